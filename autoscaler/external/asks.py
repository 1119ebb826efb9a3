"""What a caller asks about: KEDA's reference to an object, and the policy its metadata carries.

Three forms of trigger metadata name a policy (``docs/guides/keda-external-scaler.md``):
``scaledObject: namespace/name``, ``policy: |`` with the spec of a ScaledObject, or the keys of a
single trigger with ``type`` beside them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from autoscaler.api.manifest import read_documents
from autoscaler.api.parse import API_VERSIONS, FLYBALL_API, find_unknown_fields
from autoscaler.api.problems import InvalidObject, Problem
from autoscaler.errors import ConfigError, shorten

SCALED_OBJECT: Final = "scaledObject"
POLICY: Final = "policy"
TYPE: Final = "type"
FORMS: Final = (SCALED_OBJECT, POLICY, TYPE)

OF_THE_CONNECTION: Final = frozenset({"scalerAddress", "enableTLS", "unsafeSsl"})
"""Keys KEDA itself reads of the metadata of an ``external`` trigger, which it sends on as written.

It adds none of its own (``parseExternalScalerMetadata`` in its ``external_scaler.go``, 2.19).
"""

NUMBERS: Final = (
    "minReplicaCount",
    "maxReplicaCount",
    "idleReplicaCount",
    "pollingInterval",
    "cooldownPeriod",
    "initialCooldownPeriod",
)
"""Keys of the flat form that belong to the object, not to its trigger."""

METRIC_TYPE: Final = "metricType"
AUTHENTICATION_REF: Final = "authenticationRef"
BESIDE_PARAMETERS: Final = (*NUMBERS, METRIC_TYPE, AUTHENTICATION_REF, TYPE)
"""Keys of the flat form that are no parameters of its trigger."""

NAME_LENGTH_MAX: Final = 253
ENTRIES_MAX: Final = 200
"""Keys of trigger metadata; no scaler reads as many."""
LINES_MAX: Final = 5_000
"""Of a policy in YAML, comments included."""
VALUES_MAX: Final = 1_000
"""Of a policy in YAML; a trigger with a dozen parameters has about fifteen."""
TRIGGERS_MAX: Final = 50
"""Of a policy in YAML."""
REPORTED_MAX: Final = 20
"""Unknown fields an error names."""

_WHOLE: Final = re.compile(r" *-?[0-9]{1,18} *")


class Ask(NamedTuple):
    """A caller's reference to one trigger of one object; equal asks get the same answer."""

    namespace: str
    name: str
    entries: frozenset[tuple[str, str]]

    @property
    def size(self) -> int:
        """Bytes of the metadata, names and values together."""
        return sum(len(key.encode()) + len(value.encode()) for key, value in self.entries)


class NamedPolicy(msgspec.Struct, frozen=True):
    """A ScaledObject of ours."""

    namespace: str
    name: str


class InlinePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy written into the trigger metadata.

    Attributes:
        raw: ``apiVersion``, ``kind`` and ``spec`` of a ScaledObject, without its target.
        environment: Values KEDA has looked up for ``FromEnv`` keys, by the name the raw policy
            refers to them with.
        digest: The same for the same content.
        is_flat: It was written as the keys of a single trigger.
        connection: Keys beside a flat one that set something about KEDA's connection to us.
    """

    raw: Mapping[str, Any]
    environment: Mapping[str, str]
    digest: str
    is_flat: bool = False
    connection: tuple[str, ...] = ()


Intent: TypeAlias = NamedPolicy | InlinePolicy


def ask_of(namespace: str, name: str, metadata: Iterable[tuple[str, str]]) -> Ask:
    """Return what a reference asks about."""
    return Ask(namespace, name, frozenset(metadata))


def intent_of(ask: Ask) -> Intent:
    """Return the policy an ask names or carries.

    Raises:
        ConfigError: It does neither, or not in an accepted form.
    """
    metadata = {key: value for key, value in ask.entries if key not in OF_THE_CONNECTION}
    forms = [form for form in FORMS if metadata.get(form, "").strip()]
    if not ask.namespace or not ask.name:
        raise ConfigError("scaledObjectRef: name and namespace must be given")
    if max(len(ask.namespace), len(ask.name)) > NAME_LENGTH_MAX:
        raise ConfigError(f"scaledObjectRef: a name is longer than {NAME_LENGTH_MAX} characters")
    if len(ask.entries) > ENTRIES_MAX:
        raise ConfigError(
            f"trigger metadata has {len(ask.entries)} keys, at most {ENTRIES_MAX} are accepted"
        )
    if len(forms) != 1:
        given = f"gives {' and '.join(forms)}" if forms else "gives none of them"
        raise ConfigError(
            "trigger metadata must give exactly one of scaledObject (namespace/name), policy "
            f"(YAML) and type (of a single trigger); it {given}"
        )
    if forms == [SCALED_OBJECT]:
        return _named(metadata, ask.namespace)
    if forms == [POLICY]:
        return InlinePolicy(raw=_written(metadata), environment={}, digest=_digest(metadata))
    raw, environment = _flat(metadata)
    connection = tuple(
        sorted(key for key, value in ask.entries if key in OF_THE_CONNECTION and _is_set(value))
    )
    return InlinePolicy(
        raw=raw,
        environment=environment,
        digest=_digest(metadata, connection),
        is_flat=True,
        connection=connection,
    )


def _digest(metadata: Mapping[str, str], connection: Sequence[str] = ()) -> str:
    content = repr((sorted(metadata.items()), connection))
    return hashlib.sha256(content.encode("utf-8", "backslashreplace")).hexdigest()


def _is_set(value: str) -> bool:
    return value.strip().lower() not in {"", "false"}


def _named(metadata: Mapping[str, str], own: str) -> NamedPolicy:
    text = metadata[SCALED_OBJECT].strip()
    namespace, separator, name = text.rpartition("/")
    if not name or (separator and not namespace) or "/" in namespace:
        raise ConfigError(f'scaledObject: "{shorten(text, 80)}" must be namespace/name')
    _refuse_others(metadata, SCALED_OBJECT)
    return NamedPolicy(namespace or own, name)


def _written(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Read ``policy``: the spec of a ScaledObject, or the whole object."""
    _refuse_others(metadata, POLICY)
    text = metadata[POLICY]
    if text.count("\n") > LINES_MAX:
        raise ConfigError(f"policy: has more than {LINES_MAX} lines")
    documents = read_documents(text, documents_max=1, values_max=VALUES_MAX)
    if len(documents) != 1:
        given = "more" if documents else "none"
        raise ConfigError(f"policy: must be one YAML document, there is {given}")
    document = documents[0]
    problems = [
        Problem(problem.field, f"line {document.line_of(problem.field)}: {problem.message}")
        for problem in document.problems
    ]
    if problems:
        raise InvalidObject(problems, subject="policy")
    value = document.value
    if not isinstance(value, dict):
        raise ConfigError("policy: must be a mapping, such as the spec of a ScaledObject")
    raw = _whole(value) if "spec" in value or "kind" in value else _object(value)
    spec = raw["spec"]
    if not isinstance(spec, dict):
        raise ConfigError("policy: spec: must be a mapping")
    if "scaleTargetRef" in spec:
        raise ConfigError(
            "policy: spec.scaleTargetRef: leave it out; the target is that of KEDA's ScaledObject"
        )
    triggers = spec.get("triggers")
    if isinstance(triggers, list) and len(triggers) > TRIGGERS_MAX:
        raise ConfigError(
            f"policy: spec.triggers: has {len(triggers)}, at most {TRIGGERS_MAX} are accepted in "
            "trigger metadata; use scaledObject (namespace/name) for more"
        )
    found = find_unknown_fields(raw, limit=REPORTED_MAX)
    unknown = [problem for problem in found if "metadata." not in problem.field]
    if unknown:
        # Nobody else would tell: this object never meets an API server.
        raise InvalidObject(unknown, subject="policy")
    return raw


def _whole(value: Mapping[str, Any]) -> dict[str, Any]:
    version, kind = value.get("apiVersion", FLYBALL_API), value.get("kind", "ScaledObject")
    if version not in API_VERSIONS or kind != "ScaledObject":
        shown = shorten(f"{version} {kind}", 80)
        raise ConfigError(
            f'policy: "{shown}" must be a ScaledObject of {" or ".join(API_VERSIONS)}, or only its '
            "spec"
        )
    found = value.get("metadata")
    annotations = found.get("annotations") if isinstance(found, dict) else None
    kept = {"annotations": annotations} if isinstance(annotations, dict) else {}
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": kept,
        "spec": value.get("spec"),
    }


def _object(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": FLYBALL_API, "kind": "ScaledObject", "metadata": {}, "spec": {**spec}}


def _flat(metadata: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the keys of a single trigger."""
    spec: dict[str, Any] = {}
    trigger: dict[str, Any] = {"type": metadata[TYPE].strip()}
    parameters: dict[str, str] = {}
    environment: dict[str, str] = {}
    for key, value in sorted(metadata.items()):
        if key == TYPE:
            continue
        if key in NUMBERS:
            spec[key] = _number(key, value)
        elif key == METRIC_TYPE:
            trigger[METRIC_TYPE] = value
        elif key == AUTHENTICATION_REF:
            trigger[AUTHENTICATION_REF] = {"name": value}
        elif key.endswith("FromEnv"):
            # KEDA sends the variable's value under the unchanged key.
            parameters[key], environment[key] = key, value
        else:
            parameters[key] = value
    trigger["metadata"] = parameters
    return _object({**spec, "triggers": [trigger]}), environment


def _number(key: str, value: str) -> int:
    if not _WHOLE.fullmatch(value):
        raise ConfigError(f'{key}: "{shorten(value, 40)}" must be a whole number')
    return int(value)


def _refuse_others(metadata: Mapping[str, str], form: str) -> None:
    others = sorted(set(metadata) - {form})
    if others:
        shown = ", ".join(shorten(key, 40) for key in others[:5])
        raise ConfigError(f"trigger metadata has {shown} beside {form}, where nothing reads it")
