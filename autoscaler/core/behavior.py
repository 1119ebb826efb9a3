"""From the raw proposal to the allowed one: stabilization, rate limits, minimum and maximum.

Two regimes, as in the HPA: without ``behavior`` the highest recommendation of the down window holds
and scaling up may at most double; with ``behavior`` the current count is moved into the range the
recommendations of both windows span, and scaling policies limit the change per period. The window
edges differ on purpose: inclusive without a behavior, exclusive with one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import msgspec

from autoscaler.core.history import record_recommendation
from autoscaler.core.model import (
    INT32_MAX,
    Behavior,
    PolicyType,
    Recommendation,
    ScaleEvent,
    ScalingPolicy,
    ScalingRules,
    SelectPolicy,
)

READY_FOR_NEW_SCALE: Final = "ReadyForNewScale"
SCALE_UP_STABILIZED: Final = "ScaleUpStabilized"
SCALE_DOWN_STABILIZED: Final = "ScaleDownStabilized"

DESIRED_WITHIN_RANGE: Final = "DesiredWithinRange"
TOO_MANY_REPLICAS: Final = "TooManyReplicas"
TOO_FEW_REPLICAS: Final = "TooFewReplicas"
SCALE_UP_LIMIT: Final = "ScaleUpLimit"
SCALE_DOWN_LIMIT: Final = "ScaleDownLimit"

DEFAULT_SCALE_UP_FACTOR: Final = 2.0
DEFAULT_SCALE_UP_FLOOR: Final = 4.0


class Stabilized(msgspec.Struct, frozen=True):
    """What the windows made of a proposal.

    Attributes:
        replicas: The stabilised count.
        reason: ``AbleToScale`` reason.
        recommendations: The history with the raw proposal recorded.
        held_until_ms: When the entries that hold the count have left their window; None = not
            held.
    """

    replicas: int
    reason: str
    recommendations: tuple[Recommendation, ...]
    held_until_ms: int | None = None


class Limited(msgspec.Struct, frozen=True):
    """What limits made of a stabilised count.

    Attributes:
        replicas: The allowed count.
        reason: ``ScalingLimited`` reason; ``DesiredWithinRange`` when nothing bit.
        limit: The bound that bit, else ``replicas``.
    """

    replicas: int
    reason: str
    limit: int


def stabilize_without_behavior(
    history: tuple[Recommendation, ...],
    desired: int,
    *,
    current: int,
    now_ms: int,
    window_ms: int,
    may_raise: bool = True,
) -> Stabilized:
    """Hold the highest recommendation of the window.

    Args:
        history: In storage order.
        desired: Raw merged proposal.
        current: ``spec.replicas``.
        now_ms: Epoch milliseconds.
        window_ms: Controller-wide down window.
        may_raise: As the HPA does, let an old recommendation lift the count above both the current
            one and the proposal. That is what continues a scale up cut off by the doubling limit;
            without that limit it would only act on demand that is gone.
    """
    held = desired
    slot = -1
    held_at = 0
    edge = now_ms - window_ms
    for index, entry in enumerate(history):
        at_ms = entry.at_ms
        if at_ms < edge:
            slot = index
        elif entry.replicas > held or (entry.replicas == held and at_ms > held_at):
            held = entry.replicas
            held_at = at_ms
    if held > desired and not may_raise and held > current:
        held = max(desired, current)
        held_at = max(
            (entry.at_ms for entry in history if entry.replicas >= held and entry.at_ms >= edge),
            default=0,
        )
    recorded = record_recommendation(history, slot, now_ms, desired)
    if held == desired:
        return Stabilized(desired, READY_FOR_NEW_SCALE, recorded)
    return Stabilized(held, SCALE_DOWN_STABILIZED, recorded, held_at + window_ms + 1)


def stabilize(
    history: tuple[Recommendation, ...],
    desired: int,
    *,
    current: int,
    now_ms: int,
    up_window_ms: int,
    down_window_ms: int,
) -> Stabilized:
    """Move the current count into the range that the recommendations of both windows span.

    Args:
        history: In storage order.
        desired: Raw merged proposal.
        current: ``spec.replicas``.
        now_ms: Epoch milliseconds.
        up_window_ms: Scaling up goes no higher than the lowest recommendation in it.
        down_window_ms: Scaling down goes no lower than the highest recommendation in it.
    """
    lowest = highest = desired
    slot = -1
    up_edge = now_ms - up_window_ms
    down_edge = now_ms - down_window_ms
    for index, entry in enumerate(history):
        at_ms, replicas = entry.at_ms, entry.replicas
        if at_ms > up_edge and replicas < lowest:
            lowest = replicas
        if at_ms > down_edge and replicas > highest:
            highest = replicas
        if at_ms < up_edge and at_ms < down_edge:
            slot = index
    held = min(max(current, lowest), highest)
    recorded = record_recommendation(history, slot, now_ms, desired)
    if held == desired:
        return Stabilized(held, READY_FOR_NEW_SCALE, recorded)
    reason = SCALE_UP_STABILIZED if desired >= current else SCALE_DOWN_STABILIZED
    if held < desired:
        holding = (e.at_ms for e in history if e.at_ms > up_edge and e.replicas <= held)
        return Stabilized(held, reason, recorded, max(holding) + up_window_ms)
    holding = (e.at_ms for e in history if e.at_ms > down_edge and e.replicas >= held)
    return Stabilized(held, reason, recorded, max(holding) + down_window_ms)


def limit_without_behavior(
    stabilized: int, *, current: int, minimum: int, maximum: int, double_at_most: bool = True
) -> Limited:
    """Apply the fixed scale-up limit, the minimum and the maximum.

    Args:
        stabilized: Result of the window.
        current: ``spec.replicas``.
        minimum: Lower bound.
        maximum: Upper bound.
        double_at_most: Scale up at most to max(2 x current, 4).
    """
    if stabilized < minimum:
        return Limited(minimum, TOO_FEW_REPLICAS, minimum)
    limit, reason = maximum, TOO_MANY_REPLICAS
    if double_at_most:
        doubled = default_scale_up_limit(current)
        if maximum > doubled:
            limit, reason = doubled, SCALE_UP_LIMIT
    if stabilized > limit:
        return Limited(limit, reason, limit)
    return Limited(stabilized, DESIRED_WITHIN_RANGE, stabilized)


def limit(
    stabilized: int,
    behavior: Behavior,
    *,
    current: int,
    minimum: int,
    maximum: int,
    scale_ups: tuple[ScaleEvent, ...],
    scale_downs: tuple[ScaleEvent, ...],
    now_ms: int,
) -> Limited:
    """Apply the scaling policies and, in the direction of travel, the minimum or the maximum.

    Args:
        stabilized: Result of the windows.
        behavior: Both directions.
        current: ``spec.replicas``.
        minimum: Lower bound.
        maximum: Upper bound.
        scale_ups: Performed changes, in storage order.
        scale_downs: Performed changes, in storage order.
        now_ms: Epoch milliseconds.
    """
    if stabilized > current:
        rate = scale_up_limit(
            behavior.scale_up, current, scale_ups=scale_ups, scale_downs=scale_downs, now_ms=now_ms
        )
        rate = max(rate, current)
        highest, reason = (rate, SCALE_UP_LIMIT) if maximum > rate else (maximum, TOO_MANY_REPLICAS)
        if stabilized > highest:
            return Limited(highest, reason, highest)
    elif stabilized < current:
        rate = scale_down_limit(
            behavior.scale_down,
            current,
            scale_ups=scale_ups,
            scale_downs=scale_downs,
            now_ms=now_ms,
        )
        rate = min(rate, current)
        lowest, reason = (rate, SCALE_DOWN_LIMIT) if minimum < rate else (minimum, TOO_FEW_REPLICAS)
        if stabilized < lowest:
            return Limited(lowest, reason, lowest)
    return Limited(stabilized, DESIRED_WITHIN_RANGE, stabilized)


def default_scale_up_limit(current: int) -> int:
    """Return the highest count one decision may reach without a behavior."""
    return int(max(DEFAULT_SCALE_UP_FACTOR * current, DEFAULT_SCALE_UP_FLOOR))


def scale_up_limit(
    rules: ScalingRules,
    current: int,
    *,
    scale_ups: Iterable[ScaleEvent],
    scale_downs: Iterable[ScaleEvent],
    now_ms: int,
) -> int:
    """Return the highest count the up policies allow; may lie below ``current``."""
    if rules.select_policy is SelectPolicy.DISABLED:
        return current
    limits = []
    for policy in rules.policies:
        base = _at_period_start(policy, current, scale_ups, scale_downs, now_ms)
        if policy.type is PolicyType.PODS:
            limits.append(_wrapped(base + policy.value))
        else:
            limits.append(min(math.ceil(float(base) * (1.0 + policy.value / 100.0)), INT32_MAX))
    choose = min if rules.select_policy is SelectPolicy.MIN else max
    return choose(limits, default=current)


def scale_down_limit(
    rules: ScalingRules,
    current: int,
    *,
    scale_ups: Iterable[ScaleEvent],
    scale_downs: Iterable[ScaleEvent],
    now_ms: int,
) -> int:
    """Return the lowest count the down policies allow; may lie above ``current``."""
    if rules.select_policy is SelectPolicy.DISABLED:
        return current
    limits = []
    for policy in rules.policies:
        base = _at_period_start(policy, current, scale_ups, scale_downs, now_ms)
        if policy.type is PolicyType.PODS:
            limits.append(base - policy.value)
        else:
            limits.append(math.trunc(float(base) * (1.0 - policy.value / 100.0)))
    choose = max if rules.select_policy is SelectPolicy.MIN else min
    return choose(limits, default=current)


def longest_period_ms(rules: ScalingRules) -> int:
    """Return the longest period among a direction's policies, milliseconds."""
    return max((policy.period_seconds for policy in rules.policies), default=0) * 1000


def next_quota_at_ms(
    rules: ScalingRules,
    *,
    scale_ups: Iterable[ScaleEvent],
    scale_downs: Iterable[ScaleEvent],
    now_ms: int,
    moves_now: bool,
) -> int | None:
    """Return when the rate limit of a direction changes next, None = not by waiting.

    Args:
        rules: Of the direction whose limit bit.
        scale_ups: Performed changes.
        scale_downs: Performed changes; both directions count toward each limit.
        now_ms: Epoch milliseconds.
        moves_now: Whether this decision itself is a change that will count.
    """
    if rules.select_policy is SelectPolicy.DISABLED:
        return None
    periods_ms = [policy.period_seconds * 1000 for policy in rules.policies]
    instants = [
        event.at_ms + period_ms
        for period_ms in periods_ms
        for event in (*scale_ups, *scale_downs)
        if event.at_ms > now_ms - period_ms
    ]
    if moves_now:
        instants += [now_ms + period_ms for period_ms in periods_ms]
    return min(instants, default=None)


def _at_period_start(
    policy: ScalingPolicy,
    current: int,
    scale_ups: Iterable[ScaleEvent],
    scale_downs: Iterable[ScaleEvent],
    now_ms: int,
) -> int:
    """Return the count at the start of the policy's period, as far as our own changes tell."""
    edge = now_ms - policy.period_seconds * 1000
    base = current
    for event in scale_ups:
        if event.at_ms > edge:
            base -= event.change
    for event in scale_downs:
        if event.at_ms > edge:
            base += event.change
    return base


def _wrapped(value: int) -> int:
    """Return ``value`` as the int32 the HPA would hold: a huge policy wraps to a negative limit."""
    return (value + 2**31) % 2**32 - 2**31
