"""Fallback: which value stands in for a metric that keeps failing (KEDA's ``spec.fallback``)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from autoscaler.core.model import Condition, Health, Policy, Reading, Step


class FallbackOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the fallback stage made of the readings.

    Attributes:
        readings: With stand-in values; the mapping given when nothing stands in.
        active_metrics: Names of the metrics a value stands in for, in policy order. Such a metric
            counts as active.
        condition: The ``Fallback`` condition, or None when the object has no fallback (the
            previous condition stays).
        steps: One per metric in fallback.
    """

    readings: Mapping[str, Reading]
    active_metrics: tuple[str, ...] = ()
    condition: Condition | None = None
    steps: tuple[Step, ...] = ()


def track_health(
    policy: Policy, health: Mapping[str, Health], readings: Mapping[str, Reading]
) -> Mapping[str, Health]:
    """Count failed reads in a row per metric; a reading counts once however often it is seen.

    Args:
        policy: Objects without fallback keep no health.
        health: Counts so far, by metric name.
        readings: After the freshness stage.

    Returns:
        ``health`` itself when nothing changes; metrics the policy no longer has are dropped.
    """
    raise NotImplementedError


def apply_fallback(
    policy: Policy,
    health: Mapping[str, Health],
    readings: Mapping[str, Reading],
    *,
    current_replicas: int,
    ready_pods: int,
) -> FallbackOutcome:
    """Replace the readings of metrics that failed more often than the threshold allows.

    Args:
        policy: With or without ``fallback``.
        health: After :func:`track_health` saw the same readings.
        readings: After the freshness stage.
        current_replicas: ``spec.replicas`` of the scale target.
        ready_pods: Ready pods, which ``Value`` targets are divided by.
    """
    raise NotImplementedError
