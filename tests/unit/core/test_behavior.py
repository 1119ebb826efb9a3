"""Stabilization windows, scaling policies and bounds."""

from __future__ import annotations

import pytest

from autoscaler.core.behavior import (
    limit,
    limit_without_behavior,
    longest_period_ms,
    next_quota_at_ms,
    scale_down_limit,
    scale_up_limit,
    stabilize,
    stabilize_without_behavior,
)
from autoscaler.core.model import (
    Behavior,
    PolicyType,
    Recommendation,
    ScaleEvent,
    ScalingPolicy,
    ScalingRules,
    SelectPolicy,
)

NOW = 1_000_000


def rules(
    *policies: tuple[PolicyType, int, int], select: SelectPolicy = SelectPolicy.MAX
) -> ScalingRules:
    """Return rules from ``(type, value, period)``."""
    return ScalingRules(
        policies=tuple(ScalingPolicy(type=t, value=v, period_seconds=p) for t, v, p in policies),
        select_policy=select,
    )


PODS = rules((PolicyType.PODS, 4, 60))
PERCENT = rules((PolicyType.PERCENT, 10, 60))


def test_without_behavior_the_edge_of_the_window_counts() -> None:
    """An entry exactly as old as the window still holds, and until one millisecond later."""
    held = stabilize_without_behavior(
        (Recommendation(NOW - 300, 9),), 4, current=9, now_ms=NOW, window_ms=300
    )
    assert (held.replicas, held.reason, held.held_until_ms) == (9, "ScaleDownStabilized", NOW + 1)
    free = stabilize_without_behavior(
        (Recommendation(NOW - 301, 9),), 4, current=9, now_ms=NOW, window_ms=300
    )
    assert (free.replicas, free.held_until_ms) == (4, None)
    assert free.recommendations == (Recommendation(NOW, 4),)


def test_without_behavior_an_old_recommendation_may_raise() -> None:
    """That is how a doubling cut short goes on; without doubling it must not happen."""
    history = (Recommendation(NOW - 200, 20), Recommendation(NOW - 100, 8))
    shared = {"current": 8, "now_ms": NOW, "window_ms": 300}
    assert stabilize_without_behavior(history, 6, **shared).replicas == 20
    held = stabilize_without_behavior(history, 6, **shared, may_raise=False)
    assert (held.replicas, held.held_until_ms) == (8, NOW - 100 + 301)
    assert stabilize_without_behavior(history, 10, **shared, may_raise=False).replicas == 10


def test_with_behavior_the_edge_of_the_window_does_not_count() -> None:
    """An entry exactly as old as the window no longer holds."""
    shared = {"current": 9, "now_ms": NOW, "up_window_ms": 0, "down_window_ms": 300}
    held = stabilize((Recommendation(NOW - 299, 9),), 4, **shared)
    assert (held.replicas, held.held_until_ms) == (9, NOW + 1)
    assert stabilize((Recommendation(NOW - 300, 9),), 4, **shared).replicas == 4


def test_an_up_window_holds_the_lowest_recommendation() -> None:
    """Scaling up waits until no lower recommendation is left in its window."""
    shared = {"current": 3, "now_ms": NOW, "up_window_ms": 300, "down_window_ms": 0}
    held = stabilize((Recommendation(NOW - 100, 4),), 9, **shared)
    assert (held.replicas, held.reason) == (4, "ScaleUpStabilized")
    assert held.held_until_ms == NOW + 200


@pytest.mark.parametrize(
    ("stabilized", "doubling", "replicas", "reason"),
    [
        (0, True, 1, "TooFewReplicas"),
        (5, True, 5, "DesiredWithinRange"),
        (9, True, 6, "ScaleUpLimit"),
        (9, False, 9, "DesiredWithinRange"),
        (99, False, 10, "TooManyReplicas"),
    ],
)
def test_limits_without_behavior(
    stabilized: int, doubling: bool, replicas: int, reason: str
) -> None:
    """One decision at most doubles, unless that limit is off; bounds always hold."""
    limited = limit_without_behavior(
        stabilized, current=3, minimum=1, maximum=10, double_at_most=doubling
    )
    assert (limited.replicas, limited.reason) == (replicas, reason)


@pytest.mark.parametrize(
    ("up", "down", "stabilized", "replicas", "reason"),
    [
        (PODS, PODS, 20, 14, "ScaleUpLimit"),
        (PODS, PODS, 99, 14, "ScaleUpLimit"),
        (rules((PolicyType.PODS, 90, 60)), PODS, 99, 50, "TooManyReplicas"),
        (PODS, PODS, 13, 13, "DesiredWithinRange"),
        (PODS, PODS, 10, 10, "DesiredWithinRange"),
        (PODS, PODS, 1, 6, "ScaleDownLimit"),
        (PODS, rules((PolicyType.PODS, 90, 60)), 0, 2, "TooFewReplicas"),
        (rules(select=SelectPolicy.DISABLED), PODS, 20, 10, "ScaleUpLimit"),
        (PODS, rules(select=SelectPolicy.DISABLED), 1, 10, "ScaleDownLimit"),
    ],
)
def test_limits_with_behavior(
    up: ScalingRules, down: ScalingRules, stabilized: int, replicas: int, reason: str
) -> None:
    """Policies bite in the direction of travel; ties name the bound."""
    limited = limit(
        stabilized,
        Behavior(scale_up=up, scale_down=down),
        current=10,
        minimum=2,
        maximum=50,
        scale_ups=(),
        scale_downs=(),
        now_ms=NOW,
    )
    assert (limited.replicas, limited.reason) == (replicas, reason)


def test_both_directions_count_toward_each_limit() -> None:
    """The base is the count at the start of the period; an event exactly that old is outside."""
    sums = {
        "scale_ups": (ScaleEvent(NOW - 59_999, 3), ScaleEvent(NOW - 60_000, 50)),
        "scale_downs": (ScaleEvent(NOW - 1, 1), ScaleEvent(NOW - 90_000, 50)),
        "now_ms": NOW,
    }
    assert scale_up_limit(PODS, 10, **sums) == 10 - 3 + 1 + 4
    assert scale_down_limit(PODS, 10, **sums) == 10 - 3 + 1 - 4


def test_percentages_keep_the_rounding_of_doubles() -> None:
    """The HPA's doubles are imitated where exact arithmetic would differ."""
    sums = {"scale_ups": (), "scale_downs": (), "now_ms": NOW}
    assert scale_up_limit(PERCENT, 100, **sums) == 111
    assert scale_down_limit(rules((PolicyType.PERCENT, 90, 60)), 10, **sums) == 0


def test_select_policy_chooses_among_limits() -> None:
    """Max allows the biggest change, Min the smallest; no policies allow none."""
    two = ((PolicyType.PODS, 1, 60), (PolicyType.PODS, 5, 60))
    sums = {"scale_ups": (), "scale_downs": (), "now_ms": NOW}
    assert scale_up_limit(rules(*two), 10, **sums) == 15
    assert scale_up_limit(rules(*two, select=SelectPolicy.MIN), 10, **sums) == 11
    assert scale_down_limit(rules(*two), 10, **sums) == 5
    assert scale_down_limit(rules(*two, select=SelectPolicy.MIN), 10, **sums) == 9
    assert scale_up_limit(rules(), 10, **sums) == scale_down_limit(rules(), 10, **sums) == 10


def test_huge_policies_wrap_as_in_the_hpa() -> None:
    """An int32 overflow makes the limit negative, which blocks scaling up."""
    huge = rules((PolicyType.PODS, 2**31 - 1, 60))
    assert scale_up_limit(huge, 10, scale_ups=(), scale_downs=(), now_ms=NOW) < 0


def test_the_next_quota_is_when_the_first_change_leaves_a_period() -> None:
    """Waiting helps when a change expires, or when this one will."""
    sums = {"scale_ups": (ScaleEvent(NOW - 50_000, 3),), "scale_downs": (), "now_ms": NOW}
    assert next_quota_at_ms(PODS, **sums, moves_now=False) == NOW + 10_000
    none = {"scale_ups": (), "scale_downs": (), "now_ms": NOW}
    assert next_quota_at_ms(PODS, **none, moves_now=True) == NOW + 60_000
    assert next_quota_at_ms(PODS, **none, moves_now=False) is None
    off = rules((PolicyType.PODS, 4, 60), select=SelectPolicy.DISABLED)
    assert next_quota_at_ms(off, **sums, moves_now=True) is None


def test_the_longest_period_decides_what_is_outdated() -> None:
    """Rules without policies have none."""
    two = rules((PolicyType.PODS, 1, 60), (PolicyType.PODS, 5, 15))
    assert longest_period_ms(two) == 60_000
    assert longest_period_ms(rules()) == 0
