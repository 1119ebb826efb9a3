"""The HPA's stages on a draft: sync period, bounds, metrics, stabilization and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from autoscaler.core import conditions, derivation
from autoscaler.core.behavior import (
    SCALE_DOWN_LIMIT,
    SCALE_UP_LIMIT,
    Limited,
    Stabilized,
    limit,
    limit_without_behavior,
    next_quota_at_ms,
    stabilize,
    stabilize_without_behavior,
)
from autoscaler.core.combine import Combined, combine
from autoscaler.core.draft import Draft
from autoscaler.core.model import Behavior, MetricPolicy, Proposal, Reading, Recommendation
from autoscaler.core.proposal import propose, tolerance_of

ABOVE_MAXIMUM: Final = "Current number of replicas above Spec.MaxReplicas"
BELOW_MINIMUM: Final = "Current number of replicas below Spec.MinReplicas"
ALL_BELOW_TARGET: Final = "All metrics below target"


def await_sync_period(draft: Draft) -> bool:
    """Say whether the metrics were acted upon less than a sync period ago, and note it if so."""
    period_seconds = draft.policy.hpa.sync_period_seconds
    last_sync_at = draft.memory.last_sync_at
    if period_seconds and last_sync_at is not None:
        due_ms = round(last_sync_at * 1000) + round(period_seconds * 1000)
        left_ms = due_ms - draft.now_ms
        if left_ms > 0:
            draft.wake_at(due_ms)
            draft.steps.append(
                derivation.sync_step(period_seconds, left_ms / 1000, current=draft.current)
            )
            return True
    return False


def remember_start(draft: Draft) -> None:
    """Take the count found at the very first sync as a recommendation, which the windows hold."""
    if not draft.recommendations:
        draft.recommendations = (Recommendation(draft.now_ms, draft.current),)


def clamp_current(draft: Draft, minimum: int, maximum: int) -> int | None:
    """Return the bound the current count lies outside of, or None; metrics are not asked then."""
    current = draft.current
    if minimum <= current <= maximum:
        return None
    above = current > maximum
    draft.rescale_reason = ABOVE_MAXIMUM if above else BELOW_MINIMUM
    bound = maximum if above else minimum
    draft.steps.append(derivation.clamp_step(current, bound))
    return bound


def ask_metrics(
    draft: Draft, metrics: Sequence[MetricPolicy], readings: Mapping[str, Reading]
) -> int | None:
    """Compute and merge the proposals of all metrics.

    Args:
        draft: Gets proposals, ``ScalingActive``, events and the rescale reason.
        metrics: Whose targets count.
        readings: One per metric.

    Returns:
        The merged proposal, >= 0; None when the metrics may not be acted upon.
    """
    seen, policy, current = draft.seen, draft.policy, draft.current
    draft.synced = True
    if seen.selector_error is not None:
        _refuse_selector(draft, *seen.selector_error)
        return None
    tolerance = tolerance_of(policy)
    draft.proposals = proposals = tuple(
        [propose(metric, readings[metric.spec.name], seen, policy, tolerance) for metric in metrics]
    )
    combined = combine(proposals, current)
    if combined.first_failure is not None:
        _note_failures(draft, combined, combined.first_failure)
    wanted, chosen = combined.replicas, combined.chosen
    if wanted is None or chosen is None:
        draft.failed = True
        return None
    wanted = max(wanted, 0)
    draft.put(conditions.metric_found(chosen))
    if wanted != current:
        above = wanted > current
        draft.rescale_reason = f"{chosen.description} above target" if above else ALL_BELOW_TARGET
        draft.steps.append(
            derivation.metric_step(chosen, metrics, readings, current=current, wanted=wanted)
        )
    return wanted


def normalise(draft: Draft, desired: int, *, minimum: int, maximum: int) -> int:
    """Stabilise and limit a raw proposal, recording it.

    Args:
        draft: Gets the history, ``AbleToScale``, ``ScalingLimited`` and what holds the count.
        desired: Raw merged proposal.
        minimum: Lower bound.
        maximum: Upper bound.
    """
    behavior = draft.policy.behavior
    if behavior is None:
        stabilized, limited = _normalise_without_behavior(draft, desired, minimum, maximum)
    else:
        stabilized, limited = _normalise(draft, behavior, desired, minimum, maximum)
    result = limited.replicas
    draft.recommendations = stabilized.recommendations
    held_until_ms = stabilized.held_until_ms
    if held_until_ms is not None:
        draft.wake_at(held_until_ms)
        left_seconds = (held_until_ms - draft.now_ms) / 1000
        draft.steps.append(derivation.window_step(desired, stabilized, left_seconds))
    if result != stabilized.replicas:
        draft.steps.append(
            derivation.limit_step(stabilized.replicas, limited, has_policies=behavior is not None)
        )
        _await_quota(draft, limited, behavior)
    draft.put(conditions.STABILIZED[stabilized.reason])
    reason = limited.reason
    pause = draft.policy.pause
    if (result > draft.current and pause.scale_out) or (result < draft.current and pause.scale_in):
        draft.steps.append(derivation.blocked_step(result, draft.current))
        reason = SCALE_UP_LIMIT if result > draft.current else SCALE_DOWN_LIMIT
        result = draft.current
    draft.put(conditions.LIMITED[reason])
    return result


def _normalise_without_behavior(
    draft: Draft, desired: int, minimum: int, maximum: int
) -> tuple[Stabilized, Limited]:
    settings = draft.policy.hpa
    doubling = settings.default_scale_up_limit
    stabilized = stabilize_without_behavior(
        draft.recommendations,
        desired,
        current=draft.current,
        now_ms=draft.now_ms,
        window_ms=round(settings.downscale_stabilization_seconds * 1000),
        may_raise=doubling,
    )
    limited = limit_without_behavior(
        stabilized.replicas,
        current=draft.current,
        minimum=minimum,
        maximum=maximum,
        double_at_most=doubling,
    )
    return stabilized, limited


def _normalise(
    draft: Draft, behavior: Behavior, desired: int, minimum: int, maximum: int
) -> tuple[Stabilized, Limited]:
    down_window = behavior.scale_down.stabilization_window_seconds
    if down_window is None:
        down_window = int(draft.policy.hpa.downscale_stabilization_seconds)
    stabilized = stabilize(
        draft.recommendations,
        desired,
        current=draft.current,
        now_ms=draft.now_ms,
        up_window_ms=(behavior.scale_up.stabilization_window_seconds or 0) * 1000,
        down_window_ms=down_window * 1000,
    )
    limited = limit(
        stabilized.replicas,
        behavior,
        current=draft.current,
        minimum=minimum,
        maximum=maximum,
        scale_ups=draft.memory.scale_ups,
        scale_downs=draft.memory.scale_downs,
        now_ms=draft.now_ms,
    )
    return stabilized, limited


def _await_quota(draft: Draft, limited: Limited, behavior: Behavior | None) -> None:
    """Note when a rate limit that bit will allow more."""
    if limited.reason not in {SCALE_UP_LIMIT, SCALE_DOWN_LIMIT}:
        return
    if behavior is None:
        period_ms = round(draft.policy.hpa.sync_period_seconds * 1000)
        draft.wake_at(draft.now_ms + period_ms if period_ms else None)
        return
    rules = behavior.scale_up if limited.reason == SCALE_UP_LIMIT else behavior.scale_down
    draft.wake_at(
        next_quota_at_ms(
            rules,
            scale_ups=draft.memory.scale_ups,
            scale_downs=draft.memory.scale_downs,
            now_ms=draft.now_ms,
            moves_now=limited.replicas != draft.current,
        )
    )


def _note_failures(draft: Draft, combined: Combined, first: Proposal) -> None:
    count = len(draft.proposals)
    draft.events += conditions.failure_events(draft.proposals)
    draft.steps.append(derivation.failures_step(combined, first, of=count, current=draft.current))
    if combined.replicas is None:
        draft.put(conditions.metrics_failed(first))
        draft.events.append(conditions.not_computed_event(first, combined.failures, count))


def _refuse_selector(draft: Draft, reason: str, message: str) -> None:
    draft.failed = True
    draft.put(conditions.selector_failed(reason, message))
    draft.events += conditions.selector_events(reason, message)
    draft.steps.append(derivation.selector_step(reason, message, current=draft.current))
