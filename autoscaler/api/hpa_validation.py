"""What the API server refuses in an ``autoscaling/v2`` spec, found without asking it.

The field paths and kinds of problems are the API server's; the wording is ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from autoscaler.api.behavior import validate_behavior
from autoscaler.api.problems import Path, Problem, forbidden, invalid, not_supported, required
from autoscaler.core.model import TargetType
from autoscaler.core.quantity import to_milli
from autoscaler.errors import QuantityError

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_LIMIT: Final = 63


def validate_hpa_spec(spec: Mapping[str, Any], *, scale_to_zero: bool = False) -> list[Problem]:
    """Return the problems of a spec on creation, ordered by field.

    Args:
        spec: A spec with defaults applied (``default_hpa_spec``).
        scale_to_zero: The ``HPAScaleToZero`` gate.
    """
    path = Path(("spec",))
    problems = _validate_bounds(spec, path, floor=0 if scale_to_zero else 1)
    if spec.get("scaleTargetRef") is not None:
        problems += _validate_reference(spec["scaleTargetRef"], path / "scaleTargetRef")
    metrics = spec.get("metrics") or ()
    for index, metric in enumerate(metrics):
        problems += _validate_metric(metric, path / "metrics" / index)
    if spec.get("minReplicas") == 0 and not any(
        metric.get("type") in {"Object", "External"} for metric in metrics
    ):
        what = "minReplicas 0 needs at least one Object or External metric"
        problems.append(forbidden(path / "metrics", what))
    if spec.get("behavior") is not None:
        problems += validate_behavior(spec["behavior"], path / "behavior")
    return sorted(problems, key=lambda problem: problem.field)


def _validate_bounds(spec: Mapping[str, Any], path: Path, *, floor: int) -> list[Problem]:
    least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    problems = []
    if least is not None and least < floor:
        problems.append(invalid(path / "minReplicas", f"must be at least {floor}", least))
    if most == 0:
        problems.append(required(path / "maxReplicas", "must be set and at least 1"))
    elif most < 1:
        problems.append(invalid(path / "maxReplicas", "must be at least 1", most))
    if least is not None and most < least:
        what = f"must be at least minReplicas ({least})"
        problems.append(invalid(path / "maxReplicas", what, most))
    return problems


def _validate_metric(metric: Mapping[str, Any], path: Path) -> list[Problem]:
    kind = metric.get("type") or ""
    problems = []
    if not kind:
        problems.append(required(path / "type", "must name the kind of metric source"))
    if kind not in METRIC_SOURCES:
        problems.append(not_supported(path / "type", kind, METRIC_SOURCES))
    present = [
        (field, check) for field, check in METRIC_SOURCES.values() if metric.get(field) is not None
    ]
    if present:
        field, check = present[0]
        problems += check(metric[field], path / field)
    expected = METRIC_SOURCES[kind][0] if kind in METRIC_SOURCES else ""
    if expected and metric.get(expected) is None:
        problems.append(required(path / expected, f"a metric of type {kind} needs this block"))
    if len(present) > 1:
        what = f"only the block of type {kind or '(none)'} may be given"
        problems += [forbidden(path / field, what) for field, _ in present if field != expected]
    return problems


def _validate_object(block: Mapping[str, Any], path: Path) -> list[Problem]:
    target = block.get("target") or {}
    return [
        *_validate_reference(block.get("describedObject") or {}, path / "describedObject"),
        *_validate_name(block.get("metric") or {}, path / "metric" / "name"),
        *_validate_target(target, path / "target"),
        *_require_value(target, path / "target"),
    ]


def _validate_external(block: Mapping[str, Any], path: Path) -> list[Problem]:
    target = block.get("target") or {}
    problems = [
        *_validate_name(block.get("metric") or {}, path / "metric" / "name"),
        *_validate_target(target, path / "target"),
        *_require_value(target, path / "target"),
    ]
    if target.get("value") is not None and target.get("averageValue") is not None:
        what = "give either value or averageValue, not both"
        problems.append(forbidden(path / "target" / "value", what))
    return problems


def _validate_pods(block: Mapping[str, Any], path: Path) -> list[Problem]:
    target = block.get("target") or {}
    problems = [
        *_validate_name(block.get("metric") or {}, path / "metric" / "name"),
        *_validate_target(target, path / "target"),
    ]
    if target.get("averageValue") is None:
        problems.append(required(path / "target" / "averageValue", "a Pods metric needs it"))
    return problems


def _validate_resource(block: Mapping[str, Any], path: Path) -> list[Problem]:
    target = block.get("target") or {}
    problems = _validate_target(target, path / "target")
    if not block.get("name"):
        problems.append(required(path / "name", "must name a resource such as cpu or memory"))
    utilization, average = target.get("averageUtilization"), target.get("averageValue")
    if utilization is None and average is None:
        what = "either averageUtilization or averageValue is needed"
        problems.append(required(path / "target" / "averageUtilization", what))
    if utilization is not None and average is not None:
        what = "give either averageUtilization or averageValue, not both"
        problems.append(forbidden(path / "target" / "averageValue", what))
    return problems


def _validate_container_resource(block: Mapping[str, Any], path: Path) -> list[Problem]:
    problems = _validate_resource(block, path)
    container = block.get("container") or ""
    if not container:
        problems.append(required(path / "container", "must name a container"))
    elif len(container) > _LABEL_LIMIT or not _LABEL.fullmatch(container):
        what = f"must be lower case letters, digits and '-', at most {_LABEL_LIMIT}"
        problems.append(invalid(path / "container", what, container))
    return problems


METRIC_SOURCES: Final[
    Mapping[str, tuple[str, Callable[[Mapping[str, Any], Path], list[Problem]]]]
] = {
    "Object": ("object", _validate_object),
    "External": ("external", _validate_external),
    "Pods": ("pods", _validate_pods),
    "Resource": ("resource", _validate_resource),
    "ContainerResource": ("containerResource", _validate_container_resource),
}
"""Block and its check by metric type; of several blocks the API server looks into the first."""


def _validate_reference(reference: Mapping[str, Any], path: Path) -> list[Problem]:
    problems = []
    for field in ("kind", "name"):
        value = reference.get(field) or ""
        if not value:
            problems.append(required(path / field, "must not be empty"))
        elif not _is_path_segment(value):
            problems.append(invalid(path / field, "must be usable in a URL path", value))
    version = reference.get("apiVersion") or ""
    if version.count("/") > 1:
        problems.append(
            invalid(path / "apiVersion", "must be <version> or <group>/<version>", version)
        )
    return problems


def _validate_name(metric: Mapping[str, Any], path: Path) -> list[Problem]:
    name = metric.get("name") or ""
    if not name:
        return [required(path, "must name a metric")]
    if not _is_path_segment(name):
        return [invalid(path, "must not be '.' or '..' nor contain '/' or '%'", name)]
    return []


def _validate_target(target: Mapping[str, Any], path: Path) -> list[Problem]:
    problems = []
    kind = target.get("type") or ""
    if not kind:
        problems.append(required(path / "type", "must name the type of the target"))
    if kind not in set(TargetType):
        accepted = ", ".join(sorted(TargetType))
        problems.append(invalid(path / "type", f"must be one of {accepted}", kind))
    utilization = target.get("averageUtilization")
    if utilization is not None and utilization < 1:
        what = "must be at least 1 percent"
        problems.append(invalid(path / "averageUtilization", what, utilization))
    for field in ("value", "averageValue"):
        if target.get(field) is not None and not _is_positive(target[field]):
            what = "must be a quantity greater than 0"
            problems.append(invalid(path / field, what, target[field]))
    return problems


def _require_value(target: Mapping[str, Any], path: Path) -> list[Problem]:
    if target.get("value") is None and target.get("averageValue") is None:
        return [required(path / "averageValue", "either value or averageValue is needed")]
    return []


def _is_positive(quantity: object) -> bool:
    try:
        return to_milli(str(quantity)) > 0
    except QuantityError:
        return False


def _is_path_segment(name: str) -> bool:
    return name not in {".", ".."} and "/" not in name and "%" not in name
