"""The steps of a decision, each a sentence an on-call engineer understands.

Texts are templates with plain values; nothing is rendered until somebody asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autoscaler.core.behavior import (
    SCALE_DOWN_LIMIT,
    SCALE_UP_LIMIT,
    TOO_MANY_REPLICAS,
    Limited,
    Stabilized,
)
from autoscaler.core.combine import Combined
from autoscaler.core.model import MetricPolicy, MetricSpec, Proposal, Reading, Step, TargetType


def metric_step(
    chosen: Proposal,
    metrics: Sequence[MetricPolicy],
    readings: Mapping[str, Reading],
    *,
    current: int,
    wanted: int,
) -> Step:
    """Explain the metric that asks for the most."""
    spec = next(metric.spec for metric in metrics if metric.spec.name == chosen.metric)
    text, used, target = _usage(spec, chosen, readings[spec.name])
    args = (spec.name, wanted, used, target)
    return Step("combine", current, wanted, "Proposal", "{0} asks for {1} (" + text + ")", args)


def _usage(spec: MetricSpec, chosen: Proposal, reading: Reading) -> tuple[str, float | None, float]:
    if spec.target_type is TargetType.UTILIZATION:
        text = "{2} % of what the pods request against {3} %"
        return text, chosen.current_utilization, spec.target_milli
    target = units(spec.target_milli)
    if reading.samples:
        return "{2} on average against {3}", units(chosen.current_milli or 0), target
    total = units(sum(reading.values_milli))
    if spec.target_type is TargetType.VALUE:
        return "{2} against a target of {3}", total, target
    return "{2} / {3} per replica", total, target


def units(milli: int) -> float:
    """Return thousandths as the number people write."""
    return milli // 1000 if milli % 1000 == 0 else milli / 1000


def failures_step(combined: Combined, first: Proposal, *, of: int, current: int) -> Step:
    """Explain what failing metrics do to the decision."""
    text = "{0} of {1} metrics failed ({2}: {3}); "
    args = (combined.failures, of, first.metric, first.error)
    if combined.replicas is None:
        text += "replicas are not lowered on an error"
        return Step("combine", current, current, first.error_reason, text, args)
    text += "the others need no fewer replicas than there are"
    return Step("combine", None, None, first.error_reason, text, args)


def selector_step(reason: str, message: str, *, current: int) -> Step:
    """Explain that the pods of the target cannot be told."""
    text = "the metrics cannot be acted on: {0}"
    return Step("combine", current, current, reason, text, (message,))


def sync_step(period_seconds: float, left_seconds: float, *, current: int) -> Step:
    """Explain that the sync period is not over."""
    text = "metrics are acted on every {0:g} s; {1:g} s are left"
    return Step("sync", current, current, "SyncPeriod", text, (period_seconds, left_seconds))


def clamp_step(current: int, bound: int) -> Step:
    """Explain that the current count lies outside the bounds."""
    if current > bound:
        text = "{0} replicas are more than the maximum of {1}"
        return Step("bounds", current, bound, "AboveMaximum", text, (current, bound))
    text = "{0} replicas are fewer than the minimum of {1}"
    return Step("bounds", current, bound, "BelowMinimum", text, (current, bound))


def window_step(desired: int, stabilized: Stabilized, left_seconds: float) -> Step:
    """Explain that a stabilization window holds the count."""
    held = stabilized.replicas
    text = "the scale-down window still holds {0} for {1:g} s"
    if held < desired:
        text = "the scale-up window still holds {0} for {1:g} s"
    return Step("stabilization", desired, held, stabilized.reason, text, (held, left_seconds))


def limit_step(stabilized: int, limited: Limited, *, has_policies: bool) -> Step:
    """Explain which limit changed the stabilised count."""
    result, reason = limited.replicas, limited.reason
    if reason == SCALE_UP_LIMIT:
        text = "the scale-up policies allow {1} for now"
        if not has_policies:
            text = "one decision at most doubles the replicas, to {1}"
    elif reason == SCALE_DOWN_LIMIT:
        text = "the scale-down policies allow {1} for now"
    elif reason == TOO_MANY_REPLICAS:
        text = "{0} is more than the maximum of {1}"
    else:
        text = "{0} is fewer than the minimum of {1}"
    stage = "rate" if reason in {SCALE_UP_LIMIT, SCALE_DOWN_LIMIT} else "bounds"
    return Step(stage, stabilized, result, reason, text, (stabilized, result))


def floor_step(result: int, floor: int) -> Step:
    """Explain that a woken target gets at least its minimum."""
    return Step("bounds", result, floor, "BelowMinimum", "at least {0} when active", (floor,))


def blocked_step(wanted: int, current: int) -> Step:
    """Explain that a pause annotation blocks a direction."""
    direction = "out" if wanted > current else "in"
    text = "scaling {0} to {1} is paused by annotation"
    return Step(
        "pause", wanted, current, f"PausedScale{direction.title()}", text, (direction, wanted)
    )


def paused_step(wanted: int, result: int) -> Step:
    """Explain what a paused object would have done."""
    text = "paused at {1}; without the pause it would be {0}"
    return Step("pause", wanted, result, "Paused", text, (wanted, result))


def shadow_step(current: int, desired: int) -> Step:
    """Explain that a decision is not written."""
    text = "shadow mode: {0} is recorded, the target stays at {1}"
    return Step("shadow", desired, desired, "Shadow", text, (desired, current))


def unreadable_step(error: str) -> Step:
    """Explain that the scale could not be read."""
    return Step("scale", None, None, "FailedGetScale", "the scale cannot be read: {0}", (error,))


def disabled_step() -> Step:
    """Explain that a bare HPA does not leave zero."""
    return Step("scale", 0, 0, "ScalingDisabled", "zero replicas: an HPA does not scale from zero")
