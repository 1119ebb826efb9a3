"""``autoscaling/v2`` HorizontalPodAutoscaler specs: API defaults and the core's policy.

Validation is in :mod:`autoscaler.api.hpa_validation`; a spec that a cluster already stores has
passed it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from autoscaler.api.behavior import default_behavior, to_behavior, validate_behavior
from autoscaler.api.hpa_validation import validate_hpa_spec
from autoscaler.core.model import (
    Activation,
    HpaSettings,
    MetricPolicy,
    MetricSource,
    MetricSpec,
    Policy,
    TargetType,
)
from autoscaler.core.quantity import to_milli

__all__ = [
    "default_behavior",
    "default_hpa_spec",
    "hpa_policy",
    "to_behavior",
    "validate_behavior",
    "validate_hpa_spec",
]

SOURCE_FIELDS: Final = {
    MetricSource.EXTERNAL: "external",
    MetricSource.OBJECT: "object",
    MetricSource.PODS: "pods",
    MetricSource.RESOURCE: "resource",
    MetricSource.CONTAINER_RESOURCE: "containerResource",
}


def default_hpa_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spec as the API server would store it; applying it twice changes nothing."""
    stored = dict(spec)
    if stored.get("minReplicas") is None:
        stored["minReplicas"] = 1
    if not stored.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        stored["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if stored.get("behavior") is not None:
        stored["behavior"] = default_behavior(stored["behavior"])
    return stored


def hpa_policy(spec: Mapping[str, Any], settings: HpaSettings, *, key: str = "") -> Policy:
    """Return the policy that decides as the HPA controller would.

    Args:
        spec: An ``autoscaling/v2`` spec that passes validation; defaults need not be applied.
        settings: Flags of the kube-controller-manager to imitate.
        key: ``namespace/name``, for messages.

    Raises:
        QuantityError: A target is no quantity.
    """
    stored = default_hpa_spec(spec)
    return Policy(
        key=key,
        min_replicas=stored["minReplicas"],
        max_replicas=stored["maxReplicas"],
        metrics=tuple(_metric(index, raw) for index, raw in enumerate(stored["metrics"])),
        behavior=to_behavior(stored.get("behavior")),
        activation=Activation.HPA,
        hpa=settings,
    )


def _metric(index: int, raw: Mapping[str, Any]) -> MetricPolicy:
    source = MetricSource(raw["type"])
    block = raw[SOURCE_FIELDS[source]]
    name = block["metric"]["name"] if "metric" in block else block["name"]
    target_type, target = _target(source, block["target"])
    spec = MetricSpec(
        name=f"s{index}-{name}",
        source=source,
        target_type=target_type,
        target_milli=target,
        resource=block.get("name"),
        container=block.get("container"),
        description=_describe(source, block, target_type),
    )
    return MetricPolicy(spec=spec, trigger_index=index)


def _target(source: MetricSource, target: Mapping[str, Any]) -> tuple[TargetType, int]:
    """Return which target field counts, and its amount.

    ``target.type`` decides only for Object metrics; everywhere else the controller takes whichever
    field is set. An Object metric whose type names no set field keeps type ``Utilization`` and
    amount 0: the controller reports such a metric as failed at run time.
    """
    average, value = target.get("averageValue"), target.get("value")
    if source is MetricSource.OBJECT:
        if target.get("type") == TargetType.VALUE and value is not None:
            average = None
        elif target.get("type") != TargetType.AVERAGE_VALUE or average is None:
            return TargetType.UTILIZATION, 0
    if average is not None:
        return TargetType.AVERAGE_VALUE, to_milli(str(average))
    if source in {MetricSource.RESOURCE, MetricSource.CONTAINER_RESOURCE}:
        return TargetType.UTILIZATION, target["averageUtilization"]
    return TargetType.VALUE, to_milli(str(value))


def _describe(source: MetricSource, block: Mapping[str, Any], target_type: TargetType) -> str:
    """Return the metric in the words of the controller's events."""
    by_value = target_type is TargetType.VALUE
    match source:
        case MetricSource.OBJECT if by_value:
            return f"{block['describedObject']['kind']} metric {block['metric']['name']}"
        case MetricSource.EXTERNAL | MetricSource.OBJECT:
            selector = _print_selector(block["metric"].get("selector"))
            return f"external metric {block['metric']['name']}({selector})"
        case MetricSource.PODS:
            return f"pods metric {block['metric']['name']}"
        case MetricSource.RESOURCE | MetricSource.CONTAINER_RESOURCE:
            if target_type is TargetType.AVERAGE_VALUE:
                return f"{block['name']} resource"
            kind = "container resource" if "container" in block else "resource"
            return f"{block['name']} {kind} utilization (percentage of request)"


def _print_selector(selector: Mapping[str, Any] | None) -> str:
    """Print a label selector as Go prints the struct, which is what the events contain."""
    if selector is None:
        return "nil"
    labels = "".join(f"{k}: {v}," for k, v in sorted((selector.get("matchLabels") or {}).items()))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{e['key']},Operator:{e['operator']},"
        f"Values:[{' '.join(e.get('values') or ())}],}},"
        for e in selector.get("matchExpressions") or ()
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
