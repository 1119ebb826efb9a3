"""Baselines written as ScaledObjects: from what a user would apply to the policy it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from simulations.policies.decided import DecidedAutoscaler
from simulations.policies.objects import TriggerModel, subject_of_object
from simulations.policies.service import ServiceFacts
from simulations.policies.watching import standard_signals

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

    Args:
        raw: The object.
        triggers: Of the object, in order.
    """
    measured = {
        str(index): TriggerModel(signal=trigger.signal)
        for index, trigger in enumerate(triggers)
        if trigger.signal
    }
    return subject_of_object(raw, measured, standard_signals()).autoscaler()
