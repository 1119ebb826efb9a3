"""From a raw object, as the API server or a manifest has it, to its model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any, Final, TypeAlias, assert_never

import msgspec
from pydantic import ValidationError

from autoscaler.api.authentication_rules import authentication_problems
from autoscaler.api.fields import ApiModel, without_nulls
from autoscaler.api.metadata import OTHER_FIELDS
from autoscaler.api.problems import InvalidObject, Path, Problem, not_supported
from autoscaler.api.rules import scaled_job_problems, scaled_object_problems
from autoscaler.api.scaledjob import ScaledJob
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.api.schema import read_model, unknown_fields
from autoscaler.api.status import ScaledJobStatus, ScaledObjectStatus, TriggerAuthenticationStatus
from autoscaler.api.triggerauthentication import (
    ClusterTriggerAuthentication,
    TriggerAuthentication,
)

FLYBALL_API: Final = "flyball.dev/v1alpha1"
KEDA_API: Final = "keda.sh/v1alpha1"
API_VERSIONS: Final = (FLYBALL_API, KEDA_API)

ApiObject: TypeAlias = (
    ScaledObject | ScaledJob | TriggerAuthentication | ClusterTriggerAuthentication
)

KINDS: Final[
    Mapping[
        str,
        type[ScaledObject | ScaledJob | TriggerAuthentication | ClusterTriggerAuthentication],
    ]
] = {
    "ScaledObject": ScaledObject,
    "ScaledJob": ScaledJob,
    "TriggerAuthentication": TriggerAuthentication,
    "ClusterTriggerAuthentication": ClusterTriggerAuthentication,
}

_STATUS_MODELS: Final[Mapping[str, type[ApiModel]]] = {
    "ScaledObject": ScaledObjectStatus,
    "ScaledJob": ScaledJobStatus,
    "TriggerAuthentication": TriggerAuthenticationStatus,
    "ClusterTriggerAuthentication": TriggerAuthenticationStatus,
}
_BOUNDS: Final = ("minReplicaCount", "maxReplicaCount", "idleReplicaCount")
_NUMBERS: Final = re.compile(r"(\d+)")


def parse_object(raw: Mapping[str, Any]) -> ApiObject:
    """Return the model of an object, checked against every rule that needs no cluster.

    Unknown fields are ignored; a status that makes no sense is dropped (it is ours to write).

    Args:
        raw: ``apiVersion``, ``kind``, ``metadata``, ``spec`` and perhaps ``status``.

    Raises:
        InvalidObject: With every problem.
    """
    obj, problems = check_object(raw)
    errors = [problem for problem in problems if not problem.is_warning]
    if errors or obj is None:
        raise InvalidObject(errors, subject=describe(raw))
    return obj


class Examined(msgspec.Struct, frozen=True):
    """An object as read.

    Attributes:
        obj: With problems it is only good for finding more of them; None when nothing can be read.
        problems: All of them, warnings included, in field order.
        is_usable: Whether ``obj`` may be acted on.
    """

    obj: ApiObject | None
    problems: list[Problem]
    is_usable: bool


def check_object(raw: Mapping[str, Any]) -> tuple[ApiObject | None, list[Problem]]:
    """Return the object, None when it cannot be used, and all problems, warnings included."""
    examined = examine(raw)
    return examined.obj if examined.is_usable else None, examined.problems


def examine(raw: Mapping[str, Any]) -> Examined:
    """Read an object as far as that is possible."""
    kind, version = known_kind(raw), raw.get("apiVersion")
    misnamed = []
    if version not in API_VERSIONS:
        misnamed.append(not_supported(Path(("apiVersion",)), version, API_VERSIONS))
    if kind is None:
        misnamed.append(not_supported(Path(("kind",)), raw.get("kind"), KINDS))
    if misnamed or kind is None:
        return Examined(None, misnamed, is_usable=False)
    body = {key: value for key, value in raw.items() if key != "status"}
    try:
        status = _readable_status(kind, raw.get("status"))
        if status is not None:
            body["status"] = status
        obj, problems = read_model(KINDS[kind], body)
    except RecursionError:
        return Examined(None, [Problem("", "is nested too deeply")], is_usable=False)
    reported = {problem.field for problem in problems}
    if obj is not None:
        problems += [p for p in _rule_problems(obj) if not follows_from(p.field, reported)]
    problems.sort(key=lambda problem: _natural(problem.field))
    return Examined(obj, problems, is_usable=obj is not None and not reported)


def known_kind(raw: Mapping[str, Any]) -> str | None:
    """Return the object's kind when it is one of ours, whatever its group."""
    kind = raw.get("kind")
    return kind if isinstance(kind, str) and kind in KINDS else None


def find_unknown_fields(raw: Mapping[str, Any], *, limit: int | None = None) -> list[Problem]:
    """Return the fields of a known kind that nobody reads; status is not looked at.

    Args:
        raw: With ``kind``.
        limit: Fields at most; None = all.
    """
    body = {key: value for key, value in raw.items() if key != "status"}
    metadata = body.get("metadata")
    if isinstance(metadata, Mapping):
        body["metadata"] = {k: v for k, v in metadata.items() if k not in OTHER_FIELDS}
    return list(islice(unknown_fields(KINDS[str(raw["kind"])], body, Path()), limit))


def describe(raw: Mapping[str, Any]) -> str:
    """Return ``Kind namespace/name`` as far as the object tells."""
    metadata = raw.get("metadata")
    names = metadata if isinstance(metadata, Mapping) else {}
    parts = [str(names[field]) for field in ("namespace", "name") if names.get(field)]
    return " ".join(filter(None, (str(raw.get("kind") or ""), "/".join(parts))))


def _rule_problems(obj: ApiObject) -> list[Problem]:
    match obj:
        case ScaledObject():
            return scaled_object_problems(obj)
        case ScaledJob():
            return scaled_job_problems(obj)
        case TriggerAuthentication() | ClusterTriggerAuthentication():
            return authentication_problems(obj)
        case _:
            assert_never(obj)


def _readable_status(kind: str, status: object) -> dict[str, Any] | None:
    if not isinstance(status, dict):
        return None
    cleaned: dict[str, Any] = without_nulls(status)
    try:
        _STATUS_MODELS[kind].model_validate(cleaned)
    except ValidationError:
        return None
    return cleaned


def follows_from(field: str, reported: AbstractSet[str]) -> bool:
    """Say whether a rule's verdict on a field rests on a value that is itself refused."""
    if field in reported:
        return True
    # By the field's own steps, as there may be thousands of both.
    if any(char in ".[" and field[:at] in reported for at, char in enumerate(field)):
        return True
    parent, _, last = field.rpartition(".")
    if parent.endswith(".smoothing"):
        return f"{parent}.type" in reported
    return last in _BOUNDS and any(f"{parent}.{bound}" in reported for bound in _BOUNDS)


def _natural(field: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in _NUMBERS.split(field)]
