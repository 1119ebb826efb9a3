"""What a list of policies has in common, and their numbers as arrays."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from autoscaler.core.history import HISTORY_LIMIT
from autoscaler.core.model import (
    Activation,
    MetricPolicy,
    MetricSource,
    Pause,
    Policy,
    TargetType,
)
from simulations.policies.decided import DecidedAutoscaler, Watched
from simulations.policies.vectorised.formulas import form_of

LONGEST_WINDOW_TICKS: Final = HISTORY_LIMIT - 2
"""With longer windows the core may keep less than every recommendation; beside those of the window
there are the count found at the first decision and the recommendation just made."""


def unsupported(decided: DecidedAutoscaler) -> str:
    """Say what of a policy the kernel cannot do, empty = it can; exact replay does it all."""
    policy = decided.policy
    pause = policy.pause
    is_bare = policy.activation is Activation.HPA
    reasons = {
        "such formulas": not _can_compose(policy),
        "fallback": policy.fallback is not None,
        "pauses": pause != Pause(),
        "forced activation": policy.force_activation,
        "shadow mode": policy.shadow,
        "windows of so many decisions": _window_ticks(decided) > LONGEST_WINDOW_TICKS,
        "a bare HPA at zero": is_bare and (policy.hpa.scale_to_zero or not policy.min_replicas),
    }
    for reason, applies in reasons.items():
        if applies:
            return reason
    return next((why for metric in decided.metrics if (why := _unsupported_metric(*metric))), "")


def _can_compose(policy: Policy) -> bool:
    """Say whether lanes can do the policy's formula, if it has one."""
    if policy.modifiers is None:
        return True
    has_external = any(metric.spec.source is MetricSource.EXTERNAL for metric in policy.metrics)
    has_target = policy.modifiers.target_milli > 0
    return has_external and has_target and form_of(policy.modifiers.formula) is not None


def _window_ticks(decided: DecidedAutoscaler) -> float:
    policy = decided.policy
    behavior = policy.behavior
    seconds = policy.hpa.downscale_stabilization_seconds
    if behavior is not None:
        down = behavior.scale_down.stabilization_window_seconds
        up = behavior.scale_up.stabilization_window_seconds or 0
        seconds = max(seconds if down is None else down, up)
    return seconds / decided.tick_seconds


def _unsupported_metric(metric: MetricPolicy, watched: Watched) -> str:
    source = metric.spec.source
    is_resource = source is MetricSource.RESOURCE
    is_utilization = metric.spec.target_type is TargetType.UTILIZATION
    known = {MetricSource.EXTERNAL, MetricSource.OBJECT, MetricSource.RESOURCE}
    reasons = {
        "metrics without a target": metric.spec.target_milli <= 0,
        "values below zero": watched.factor < 0,
        "smoothing": metric.smoothing is not None,
        "freshness": metric.freshness_seconds is not None,
        "average values of resources": is_resource and not is_utilization,
        f"{source} metrics": source not in known,
    }
    return next((reason for reason, applies in reasons.items() if applies), "")


def structure_of(decided: DecidedAutoscaler) -> Hashable:
    """Return what policies must share to be decided together."""
    policy = decided.policy
    return (
        tuple(
            (metric.spec.source, metric.spec.target_type, _measured(watched))
            for metric, watched in decided.metrics
        ),
        _composed(policy),
        policy.activation,
        policy.behavior is None,
        policy.zero_follows_behavior,
        policy.hpa.default_scale_up_limit,
        policy.hpa.sync_period_seconds,
        decided.wake_seconds,
    )


def _composed(policy: Policy) -> Hashable:
    modifiers = policy.modifiers
    if modifiers is None:
        return None
    names = tuple(metric.trigger for metric in policy.metrics)
    return names, modifiers.metric_type, form_of(modifiers.formula)


def _measured(watched: Watched) -> Hashable:
    return watched.signal if watched.clock is None else id(watched.clock)
