"""Environment of a container as the kubelet would set it, one variable at a time.

Only the variables a trigger names are looked up, so an unreadable Secret elsewhere in the pod
template does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from autoscaler.collect.references import ConfigMapReader, SecretReader
from autoscaler.errors import ConfigError
from autoscaler.kube.codec import EnvFrom, EnvSource, TemplateContainer, TemplateSpec

# `$$` is an escaped dollar, `$(NAME)` a reference; anything else stays as it is.
_REFERENCE = re.compile(r"\$\$|\$\(([^()]*)\)")


class _Entries(SecretReader, ConfigMapReader, Protocol):
    """Reads Secrets and ConfigMaps."""


def find_container(template: TemplateSpec, name: str) -> TemplateContainer:
    """Return a container of a pod template by name; an empty name means the first one.

    Raises:
        ConfigError: There is no such container.
    """
    if not name and template.containers:
        return template.containers[0]
    everyone = [*template.containers, *template.init_containers]
    for container in everyone:
        if container.name == name:
            return container
    known = ", ".join(container.name for container in everyone) or "none"
    raise ConfigError(f'the pod template has no container "{name}" (containers: {known})')


class ContainerEnvironment:
    """The variables of one container.

    Args:
        container: From the pod template of the scale target.
        namespace: Of the scale target.
        entries: Where Secrets and ConfigMaps are read.
    """

    def __init__(self, container: TemplateContainer, namespace: str, entries: _Entries) -> None:
        self._container = container
        self._namespace = namespace
        self._entries = entries

    async def get(self, name: str) -> str | None:
        """Return a variable's value; None when it is unset because its reference is optional.

        Raises:
            ConfigError: The container has no such variable, or what it refers to is missing.
            KubeError: A reference could not be read.
        """
        found, value = await self._before(name, len(self._container.env))
        if not found:
            raise ConfigError(
                f'container "{self._container.name}" of the scale target has no environment '
                f'variable "{name}"'
            )
        return value

    async def _before(self, name: str, end: int) -> tuple[bool, str | None]:
        """Look a variable up among the first ``end`` entries of ``env``, then in ``envFrom``."""
        for index in range(end - 1, -1, -1):
            variable = self._container.env[index]
            if variable.name != name:
                continue
            if variable.value_from is not None:
                return True, await self._referenced(name, variable.value_from)
            return True, await self._expand(variable.value, index)
        for source in reversed(self._container.env_from):
            if name.startswith(source.prefix):
                entries = await self._from(source)
                value = entries.get(name[len(source.prefix) :])
                if value is not None:
                    return True, value
        return False, None

    async def _expand(self, text: str, end: int) -> str:
        """Replace ``$(NAME)`` by variables defined earlier; unknown names stay as written."""
        pieces: list[str] = []
        position = 0
        for match in _REFERENCE.finditer(text):
            pieces.append(text[position : match.start()])
            position = match.end()
            if match.group(1) is None:
                pieces.append("$")
                continue
            _, value = await self._before(match.group(1), end)
            pieces.append(match.group(0) if value is None else value)
        pieces.append(text[position:])
        return "".join(pieces)

    async def _referenced(self, name: str, source: EnvSource) -> str | None:
        if (ref := source.secret_key_ref) is not None:
            kind, entries = "Secret", await self._entries.secret(self._namespace, ref.name)
        elif (ref := source.config_map_key_ref) is not None:
            kind, entries = "ConfigMap", await self._entries.config_map(self._namespace, ref.name)
        else:
            raise ConfigError(
                f'environment variable "{name}" comes from a field of the running pod, which does '
                "not exist for a trigger; use a value, a Secret or a ConfigMap"
            )
        if entries is not None and ref.key in entries:
            return entries[ref.key]
        if ref.optional:
            return None
        missing = missing_entry(kind, self._namespace, ref.name, ref.key, entries)
        raise ConfigError(f'environment variable "{name}": {missing}')

    async def _from(self, source: EnvFrom) -> Mapping[str, str]:
        if (ref := source.secret_ref) is not None:
            kind, entries = "Secret", await self._entries.secret(self._namespace, ref.name)
        elif (ref := source.config_map_ref) is not None:
            kind, entries = "ConfigMap", await self._entries.config_map(self._namespace, ref.name)
        else:
            return {}
        if entries is None:
            if ref.optional:
                return {}
            raise ConfigError(
                f'envFrom of container "{self._container.name}": '
                f'{kind} "{self._namespace}/{ref.name}" does not exist'
            )
        return entries


def missing_entry(
    kind: str, namespace: str, name: str, key: str, entries: Mapping[str, str] | None
) -> str:
    """Say what is missing: the whole object, or one key of it."""
    if entries is None:
        return f'{kind} "{namespace}/{name}" does not exist'
    return f'{kind} "{namespace}/{name}" has no key "{key}"'
