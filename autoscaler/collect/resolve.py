"""Authentication: from references to the plain parameters a scaler is built with.

A reference that leads nowhere is a problem with the trigger that names what is missing; it never
becomes an empty parameter. Values are secrets: they are passed on and never logged or shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from typing_extensions import override

from autoscaler.api.problems import Path, Problem
from autoscaler.collect.entries import Entries, EntryRef
from autoscaler.collect.environment import ContainerEnvironment, find_container, missing_entry
from autoscaler.collect.references import ReferenceReader
from autoscaler.errors import ConfigError, Forbidden
from autoscaler.kube.codec import TemplateSpec
from autoscaler.kube.resources import CONFIG_MAPS, SECRETS

NAMESPACED_KIND = "TriggerAuthentication"
CLUSTER_KIND = "ClusterTriggerAuthentication"
SUPPORTED = ("secretTargetRef", "configMapTargetRef", "env")
NOT_SUPPORTED_YET = (
    "podIdentity",
    "filePath",
    "hashiCorpVault",
    "azureKeyVault",
    "awsSecretManager",
    "gcpSecretManager",
    "boundServiceAccountToken",
    "oauth2",
)


class TriggerReferences(msgspec.Struct, frozen=True, kw_only=True):
    """What of a trigger has to be looked up.

    Attributes:
        index: Position in ``spec.triggers``.
        metadata: As written.
        authentication_kind: ``TriggerAuthentication`` or ``ClusterTriggerAuthentication``.
        authentication_name: Empty = the trigger has no ``authenticationRef``.
    """

    index: int
    metadata: Mapping[str, str]
    authentication_kind: str = NAMESPACED_KIND
    authentication_name: str = ""

    @property
    def environment_keys(self) -> tuple[str, ...]:
        """Return the metadata keys that name an environment variable."""
        return tuple(key for key in self.metadata if key.endswith("FromEnv"))


class ResolvedTrigger(msgspec.Struct, frozen=True, kw_only=True):
    """The looked-up parameters of a trigger; its text form shows no values.

    Attributes:
        auth: By parameter name.
        env: By variable name.
        uses: The Secrets and ConfigMaps that were looked at, found or not.
    """

    auth: Mapping[str, str]
    env: Mapping[str, str]
    uses: frozenset[EntryRef] = frozenset()

    @override
    def __repr__(self) -> str:
        return f"ResolvedTrigger(auth={sorted(self.auth)}, env={sorted(self.env)})"


class TargetEnvironment:
    """Where parameters that name an environment variable come from.

    Reading a pod template may need a right that nothing else does, so it is read when the first
    variable is looked up.

    Args:
        template: Pod template of the scale target, None when it has none.
        container: ``envSourceContainerName``, empty = the first container.
        read: Gets the template when it is not at hand; raises KubeError.
    """

    def __init__(
        self,
        template: TemplateSpec | None = None,
        container: str = "",
        *,
        read: Callable[[], Awaitable[TemplateSpec | None]] | None = None,
    ) -> None:
        self._template = template
        self._read = read
        self.container = container

    async def template(self) -> TemplateSpec | None:
        """Return the pod template, asked for once; raises KubeError."""
        if self._read is not None:
            self._template = await self._read()
            self._read = None
        return self._template


class _EntryRef(msgspec.Struct, frozen=True):
    parameter: str
    name: str
    key: str


class _EnvRef(msgspec.Struct, frozen=True, rename="camel"):
    parameter: str
    name: str
    container_name: str = ""


class _AuthenticationSpec(msgspec.Struct, frozen=True, rename="camel"):
    secret_target_ref: list[_EntryRef] = []
    config_map_target_ref: list[_EntryRef] = []
    env: list[_EnvRef] = []


class _NotingReader:
    """Notes which Secrets and ConfigMaps are looked at."""

    def __init__(self, reader: ReferenceReader) -> None:
        self._reader = reader
        self.uses: set[EntryRef] = set()
        self.authentication = reader.authentication

    async def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        self.uses.add(EntryRef(SECRETS, namespace, name))
        return await self._reader.secret(namespace, name)

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        self.uses.add(EntryRef(CONFIG_MAPS, namespace, name))
        return await self._reader.config_map(namespace, name)


class Resolver:
    """Looks up the parameters of triggers.

    Args:
        reader: Where objects are read.
        cluster_namespace: Namespace of the Secrets and ConfigMaps that a
            ClusterTriggerAuthentication names.
    """

    def __init__(self, reader: ReferenceReader, *, cluster_namespace: str) -> None:
        self._reader = reader
        self._cluster_namespace = cluster_namespace

    async def resolve(
        self, trigger: TriggerReferences, namespace: str, target: TargetEnvironment
    ) -> tuple[ResolvedTrigger, list[Problem]]:
        """Return a trigger's parameters and everything that is missing.

        Args:
            trigger: What to look up.
            namespace: Of the scaling object.
            target: Where ``FromEnv`` parameters come from.

        Raises:
            KubeError: The API server could not be asked; nothing is known about the trigger.
        """
        path = Path(("spec", "triggers")) / trigger.index
        problems: list[Problem] = []
        env: dict[str, str] = {}
        reader = _NotingReader(self._reader)
        for key in trigger.environment_keys:
            variable = trigger.metadata[key]
            try:
                value = await self._variable(reader, variable, namespace, target)
            except (ConfigError, Forbidden) as error:
                problems.append(Problem(str(path / "metadata" / key), str(error)))
                continue
            if value is not None:
                env[variable] = value
        auth: dict[str, str] = {}
        if trigger.authentication_name:
            found = await self._authenticate(reader, trigger, namespace, target, auth)
            where = str(path / "authenticationRef")
            problems += [Problem(where, text) for text in found]
        return ResolvedTrigger(auth=auth, env=env, uses=frozenset(reader.uses)), problems

    async def _variable(
        self,
        reader: _NotingReader,
        name: str,
        namespace: str,
        target: TargetEnvironment,
        container: str = "",
    ) -> str | None:
        template = await target.template()
        if template is None:
            raise ConfigError(
                f'environment variable "{name}": the scale target has no pod template to take it '
                "from; use authenticationRef"
            )
        chosen = find_container(template, container or target.container)
        return await ContainerEnvironment(chosen, namespace, reader).get(name)

    async def _authenticate(
        self,
        reader: _NotingReader,
        trigger: TriggerReferences,
        namespace: str,
        target: TargetEnvironment,
        auth: dict[str, str],
    ) -> list[str]:
        """Fill ``auth``; return what is wrong. Secrets win over ConfigMaps over variables."""
        kind, name = trigger.authentication_kind, trigger.authentication_name
        is_cluster = kind == CLUSTER_KIND
        subject = f'{kind} "{name if is_cluster else f"{namespace}/{name}"}"'
        if kind not in {NAMESPACED_KIND, CLUSTER_KIND}:
            return [f'kind "{kind}" must be {NAMESPACED_KIND} or {CLUSTER_KIND}']
        raw = await reader.authentication(kind, namespace, name)
        if raw is None:
            return [f"{subject} does not exist"]
        problems = [
            f"{subject}: spec.{field} is not supported yet; use {', '.join(SUPPORTED)}"
            for field in NOT_SUPPORTED_YET
            if _is_given(field, raw)
        ]
        try:
            spec = msgspec.convert(
                {k: raw[k] for k in SUPPORTED if raw.get(k)}, _AuthenticationSpec
            )
        except msgspec.ValidationError as error:
            return [*problems, f"{subject}: {error}"]
        home = self._cluster_namespace if is_cluster else namespace
        for ref in spec.env:
            try:
                value = await self._variable(
                    reader, ref.name, namespace, target, ref.container_name
                )
            except (ConfigError, Forbidden) as error:
                problems.append(f"{subject}: spec.env, parameter {ref.parameter}: {error}")
                continue
            if value is not None:
                auth[ref.parameter] = value
        for kind, refs, read in (
            ("ConfigMap", spec.config_map_target_ref, reader.config_map),
            ("Secret", spec.secret_target_ref, reader.secret),
        ):
            for entry in refs:
                field = "secretTargetRef" if kind == "Secret" else "configMapTargetRef"
                where = f"{subject}: spec.{field}, parameter {entry.parameter}"
                try:
                    auth[entry.parameter] = _entry(kind, home, entry, await read(home, entry.name))
                except (ConfigError, Forbidden) as error:
                    problems.append(f"{where}: {error}")
        return problems


def _entry(kind: str, namespace: str, ref: _EntryRef, entries: Entries) -> str:
    """Return the value a reference names; raises ConfigError when there is none."""
    if entries is None or ref.key not in entries:
        raise ConfigError(missing_entry(kind, namespace, ref.name, ref.key, entries))
    return entries[ref.key]


def _is_given(field: str, spec: Mapping[str, Any]) -> bool:
    """Whether a source is asked for; ``podIdentity`` with provider ``none`` asks for nothing."""
    given = spec.get(field)
    if field == "podIdentity" and isinstance(given, Mapping):
        return given.get("provider", "none") not in {"none", ""}
    return bool(given)
