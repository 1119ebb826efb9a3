"""What a list of policies has in common, and their numbers as arrays."""

from __future__ import annotations

from collections.abc import Hashable

from autoscaler.core.model import Activation, MetricPolicy, MetricSource, Pause, TargetType
from simulations.policies.decided import DecidedAutoscaler, Watched


def unsupported(decided: DecidedAutoscaler) -> str:
    """Say what of a policy the kernel cannot do, empty = it can; exact replay does it all."""
    policy = decided.policy
    pause = policy.pause
    is_bare = policy.activation is Activation.HPA
    reasons = {
        "scaling modifiers": policy.modifiers is not None,
        "fallback": policy.fallback is not None,
        "pauses": pause != Pause(),
        "forced activation": policy.force_activation,
        "shadow mode": policy.shadow,
        "a bare HPA at zero": is_bare and (policy.hpa.scale_to_zero or not policy.min_replicas),
    }
    for reason, applies in reasons.items():
        if applies:
            return reason
    return next(filter(None, map(_unsupported_metric, policy.metrics)), "")


def _unsupported_metric(metric: MetricPolicy) -> str:
    source = metric.spec.source
    is_resource = source is MetricSource.RESOURCE
    if metric.smoothing is not None:
        return "smoothing"
    if metric.freshness_seconds is not None:
        return "freshness"
    if is_resource and metric.spec.target_type is not TargetType.UTILIZATION:
        return "average values of resources"
    if source not in {MetricSource.EXTERNAL, MetricSource.OBJECT, MetricSource.RESOURCE}:
        return f"{source} metrics"
    return ""


def structure_of(decided: DecidedAutoscaler) -> Hashable:
    """Return what policies must share to be decided together."""
    policy = decided.policy
    return (
        tuple(
            (metric.spec.source, metric.spec.target_type, _measured(watched))
            for metric, watched in decided.metrics
        ),
        policy.activation,
        policy.behavior is None,
        policy.zero_follows_behavior,
        policy.hpa.default_scale_up_limit,
        policy.hpa.sync_period_seconds,
        decided.wake_seconds,
    )


def _measured(watched: Watched) -> Hashable:
    return watched.signal if watched.clock is None else id(watched.clock)
