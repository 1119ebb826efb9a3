"""The HorizontalPodAutoscaler on CPU, by kube-controller-manager's defaults.

Defaults (``pkg/controller/podautoscaler/config/v1alpha1/defaults.go`` of Kubernetes 1.36): sync
period 15 s, tolerance 0.1, downscale stabilisation 300 s, CPU initialisation period 300 s, initial
readiness delay 30 s; without ``behavior`` at most ``max(2 x current, 4)`` per sync. The target is
the benchmark's for everybody: 70 % of the requested CPU. Decided by the core's HPA arithmetic,
which the recorded vectors of the real controller hold in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from autoscaler.api.hpa import hpa_policy
from autoscaler.core.model import HpaSettings, Memory
from simulations.policies.decided import DecidedAutoscaler, Watched
from simulations.policies.decided_lanes import DecidedLanes
from simulations.policies.service import ServiceFacts
from simulations.policies.watching import CPU

SYNC_PERIOD_SECONDS: Final = 15.0


def hpa_autoscaler(
    spec: Mapping[str, Any],
    settings: HpaSettings,
    signals: Sequence[str],
    *,
    memory: Memory | None = None,
) -> DecidedAutoscaler:
    """Return what decides as the HPA of a spec would.

    Args:
        spec: An ``autoscaling/v2`` spec.
        settings: Flags of the kube-controller-manager.
        signals: What each metric of the spec measures, in order.
        memory: What it knows of the past already.
    """
    policy = hpa_policy(spec, settings)
    watched = [
        Watched(metric=metric.spec.name, signal=signal)
        for metric, signal in zip(policy.metrics, signals, strict=True)
    ]
    return DecidedAutoscaler(policy, watched, tick_seconds=SYNC_PERIOD_SECONDS, memory=memory)


def hpa_spec(facts: ServiceFacts) -> dict[str, Any]:
    """Return the spec of the baseline."""
    target = {"type": "Utilization", "averageUtilization": round(100 * facts.target_ratio)}
    return {
        "minReplicas": facts.minimum,
        "maxReplicas": facts.maximum,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }


def hpa(facts: ServiceFacts) -> DecidedLanes:
    """Return the baseline."""
    return DecidedLanes(hpa_autoscaler(hpa_spec(facts), HpaSettings(), [CPU]))
