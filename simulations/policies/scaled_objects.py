"""Baselines written as ScaledObjects: from what a user would apply to the policy it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from autoscaler.api.parse import parse_object
from autoscaler.api.policy import HPA_SYNC_PERIOD_SECONDS, TriggerMetrics, scaled_object_policy
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.core.model import Reading
from autoscaler.plugins import ScalerRegistry
from autoscaler.sdk.scaler import Scaler, TriggerContext
from simulations.policies.decided import DecidedAutoscaler, Watched
from simulations.policies.past import MINUTE_SECONDS
from simulations.policies.service import ServiceFacts

PROMETHEUS: Final = "http://prometheus.monitoring:9090"


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger and what it measures.

    Attributes:
        type: Of the scaler.
        metadata: As in ``spec.triggers``.
        signal: Name of the signal; empty = the trigger follows from the time alone.
    """

    type: str
    metadata: Mapping[str, str]
    signal: str = ""


def prometheus_trigger(query: str, threshold: float, signal: str) -> Trigger:
    """Return a trigger on a PromQL query."""
    metadata = {"serverAddress": PROMETHEUS, "query": query, "threshold": f"{threshold:g}"}
    return Trigger(type="prometheus", metadata=metadata, signal=signal)


def manifest(
    api_version: str, triggers: Sequence[Trigger], facts: ServiceFacts, **spec: Any
) -> dict[str, Any]:
    """Return the object a user would apply.

    Args:
        api_version: ``keda.sh/v1alpha1`` or ``flyball.dev/v1alpha1``.
        triggers: What it scales on.
        facts: Bounds.
        spec: Further fields of the spec.
    """
    return {
        "apiVersion": api_version,
        "kind": "ScaledObject",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "scaleTargetRef": {"name": "web"},
            "minReplicaCount": facts.minimum,
            "maxReplicaCount": facts.maximum,
            "triggers": [{"type": t.type, "metadata": dict(t.metadata)} for t in triggers],
            **spec,
        },
    }


def decided_by(raw: Mapping[str, Any], triggers: Sequence[Trigger]) -> DecidedAutoscaler:
    """Return what decides as an object's controllers would.

    An object of ``flyball.dev`` is decided at every polling interval. One of ``keda.sh`` as KEDA
    and its HPA do: every 15 s, and at zero replicas at every polling interval.

    Args:
        raw: The object.
        triggers: Of the object, in order.
    """
    obj = parse_object(raw)
    assert isinstance(obj, ScaledObject)
    scalers = [
        _scaler(obj, index, trigger.type, trigger.metadata)
        for index, trigger in enumerate(triggers)
    ]
    policy = scaled_object_policy(
        obj,
        [
            TriggerMetrics(index=index, type=trigger.type, specs=tuple(scaler.metric_specs()))
            for index, (trigger, scaler) in enumerate(zip(triggers, scalers, strict=True))
        ],
    )
    watched = [
        Watched(
            metric=spec.name,
            signal=trigger.signal,
            clock=None if trigger.signal else clock_of(scaler, spec.name),
        )
        for trigger, scaler in zip(triggers, scalers, strict=True)
        for spec in scaler.metric_specs()
    ]
    if not obj.is_keda:
        return DecidedAutoscaler(policy, watched, tick_seconds=obj.polling_interval_seconds)
    return DecidedAutoscaler(
        policy,
        watched,
        tick_seconds=HPA_SYNC_PERIOD_SECONDS,
        wake_seconds=obj.polling_interval_seconds,
    )


def _scaler(obj: ScaledObject, index: int, kind: str, metadata: Mapping[str, str]) -> Scaler:
    context = TriggerContext(
        namespace=obj.metadata.namespace,
        name=obj.metadata.name,
        trigger_index=index,
        safe_defaults=not obj.is_keda,
    )
    return ScalerRegistry().create(kind, metadata, {}, {}, context)


def clock_of(scaler: Scaler, metric: str) -> Callable[[float], Reading]:
    """Return the reading of a cron trigger, which changes at full minutes only."""
    minute, reading = -1, Reading.of(metric, 0.0, 0.0)

    def read(at: float) -> Reading:
        nonlocal minute, reading
        if int(at // MINUTE_SECONDS) != minute:
            minute, reading = int(at // MINUTE_SECONDS), scaler.reading(metric, at, at)
        return reading

    return read
