"""What an object's status says, and when saying it is worth a write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from autoscaler.controller.adoption import taken_over
from autoscaler.controller.binding import Binding
from autoscaler.controller.resource_metrics import RESOURCE_SOURCES
from autoscaler.controller.tracked import Tracked, TrackedItem
from autoscaler.controller.triggers import HasTriggers
from autoscaler.core.model import Condition, Decision, Memory, Reading
from autoscaler.errors import shorten
from autoscaler.kube.status import timestamp

READY: Final = "Ready"
READY_REASON: Final = "ScaledObjectReady"
CHECK_FAILED_REASON: Final = "ScaledObjectCheckFailed"
READY_MESSAGE: Final = "the object is valid and its target is scaled"
SHADOW_MESSAGE: Final = "the object is valid; in shadow mode its target is only watched"
COMPOSITE_METRIC: Final = "composite-metric"
MESSAGE_LIMIT: Final = 1024
KEDA_CONDITIONS: Final = frozenset({READY, "Active", "Fallback", "Paused"})


def with_ready(binding: Binding, conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """Return the conditions with a Ready one: an object that has a binding works."""
    if any(c.type == READY for c in conditions):
        return conditions
    message = SHADOW_MESSAGE if binding.policy.shadow else READY_MESSAGE
    return (Condition(READY, "True", READY_REASON, message), *conditions)


def without_ready(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """Return the conditions of an object of which it is not known whether it works."""
    return tuple(c for c in conditions if c.type != READY)


def explained(
    binding: HasTriggers, conditions: tuple[Condition, ...], readings: Mapping[str, Reading]
) -> tuple[Condition, ...]:
    """Return the conditions to show: one that is not Ready names the failing triggers."""
    return tuple(_explained(binding, c, readings) if c.type == READY else c for c in conditions)


def failures(binding: HasTriggers, readings: Mapping[str, Reading]) -> str:
    """Return which triggers cannot be read, and why; empty when all can."""
    return "; ".join(
        f"{binding.describe(name)}: {reading.error}"
        for name, reading in readings.items()
        if reading.error is not None
    )


def rejected(message: str, reason: str = CHECK_FAILED_REASON) -> Condition:
    """Return the Ready condition of an object that cannot work."""
    return Condition(READY, "False", reason, shorten(message, MESSAGE_LIMIT))


def status_of(
    tracked: Tracked, binding: Binding, decision: Decision, memory: Memory
) -> dict[str, Any]:
    """Return the status fields (without conditions) after a decision."""
    policy, target = binding.policy, binding.target
    resource = target.resource
    paused, kept = policy.pause.replicas, taken_over(tracked.item)
    authentications = [
        t.authentication_ref.name for t in binding.obj.spec.triggers if t.authentication_ref
    ]
    status: dict[str, Any] = {
        "observedGeneration": tracked.item.metadata.generation,
        "scaleTargetKind": f"{resource.api_version}.{resource.kind}",
        "scaleTargetGVKR": {
            "group": resource.group,
            "version": resource.version,
            "kind": resource.kind,
            "resource": resource.plural,
        },
        "originalReplicaCount": tracked.original_replicas,
        "desiredReplicas": decision.desired_replicas,
        "externalMetricNames": list(binding.external_metrics),
        "resourceMetricNames": [
            m.spec.name for m in policy.metrics if m.spec.source in RESOURCE_SOURCES
        ],
        "compositeScalerName": COMPOSITE_METRIC if policy.modifiers else None,
        "pausedReplicaCount": paused,
        "hpaName": kept.name if kept else tracked.item.status.get("hpaName"),
        "triggersTypes": ",".join(dict.fromkeys(t.type for t in binding.obj.spec.triggers)),
        "authenticationsTypes": ",".join(dict.fromkeys(authentications)) or None,
        "health": replaced(
            tracked.item.status.get("health"),
            {
                name: {
                    "numberOfFailures": health.failures,
                    "status": "Failing" if health.failures else "Happy",
                }
                for name, health in memory.health.items()
            },
        ),
        "triggersActivity": replaced(
            tracked.item.status.get("triggersActivity"),
            {
                name: {"isActive": name in decision.active_triggers}
                for name in binding.external_metrics
            },
        ),
    }
    if memory.last_active_at is not None:
        status["lastActiveTime"] = timestamp(memory.last_active_at)
    return {name: value for name, value in status.items() if matters(tracked, name, value)}


def outline_of(conditions: tuple[Condition, ...]) -> tuple[tuple[str, str, str], ...]:
    """Return what of the conditions has to be written without delay when it changes."""
    return tuple(
        (c.type, c.status, c.reason if c.type in KEDA_CONDITIONS else "") for c in conditions
    )


def signature(conditions: tuple[Condition, ...], status: Mapping[str, Any]) -> object:
    """Return what has to be written without delay when it changes.

    Messages, the reasons of the HPA's conditions, counters and times change all the time and can
    wait.
    """
    return (
        outline_of(conditions),
        repr(
            {
                name: value
                for name, value in status.items()
                if name not in {"health", "lastActiveTime", "lastDecision"}
            }
        ),
    )


def _explained(
    binding: HasTriggers, condition: Condition, readings: Mapping[str, Reading]
) -> Condition:
    if condition.status == "True":
        return condition
    text = failures(binding, readings)
    message = f"{condition.message}: {text}" if condition.message and text else text
    return Condition(
        READY,
        condition.status,
        condition.reason,
        shorten(message or condition.message, MESSAGE_LIMIT),
    )


def replaced(before: object, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """Return a merge patch that leaves exactly ``wanted``."""
    gone = [name for name in before if name not in wanted] if isinstance(before, Mapping) else []
    return {**wanted, **dict.fromkeys(gone)} or None


def matters(tracked: TrackedItem[Any], name: str, value: Any) -> bool:
    """Leave out what is empty and was never written."""
    return bool(value) or value == 0 or name in tracked.item.status
