"""Replay of one normalisation: stabilization, rate limits, bounds and the history afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autoscaler.api.behavior import to_behavior
from autoscaler.core.behavior import (
    Limited,
    Stabilized,
    default_scale_up_limit,
    limit,
    limit_without_behavior,
    scale_down_limit,
    scale_up_limit,
    stabilize,
    stabilize_without_behavior,
)
from autoscaler.core.history import record_event
from autoscaler.core.model import Behavior, Recommendation, ScaleEvent, ScalingRules
from tests.golden.replay import Case, Outcome, replays

NOW_MS = 1_000_000_000_000


def recommendations(pairs: Sequence[Sequence[int]]) -> tuple[Recommendation, ...]:
    """Turn ``[age in ms, replicas]`` pairs into a history."""
    return tuple(Recommendation(NOW_MS - age, replicas) for age, replicas in pairs)


def events(pairs: Sequence[Sequence[int]]) -> tuple[ScaleEvent, ...]:
    """Turn ``[age in ms, change]`` pairs into scale events."""
    return tuple(ScaleEvent(NOW_MS - age, change) for age, change in pairs)


def longest_period_ms(rules: ScalingRules) -> int:
    """Return the longest period of a direction's policies."""
    return max(policy.period_seconds for policy in rules.policies) * 1000


@replays("hpa/behavior-none", "hpa/behavior-rules")
def normalisation(case: Case, _document: Mapping[str, Any]) -> Outcome:
    """Result, reasons, raw limits and stored histories equal the controller's."""
    expected = case["expected"]
    behavior = to_behavior(case["behavior_defaulted"])
    ups, downs = events(case["scale_up_events"]), events(case["scale_down_events"])
    current = case["current_replicas"]
    stabilized, limited = _normalise(case, behavior, ups, downs)

    assert stabilized.replicas == expected["stabilized_replicas"], stabilized
    assert limited.replicas == expected["final_replicas"], limited
    assert f"True:{stabilized.reason}" == expected["able_to_scale"]
    bit = limited.replicas != stabilized.replicas
    assert f"{bit}:{limited.reason}" == expected["scaling_limited"]
    assert stabilized.recommendations == recommendations(expected["recommendations_after"])
    if behavior is None:
        assert default_scale_up_limit(current) == expected["scale_up_rate_limit"]
    else:
        sums = {"scale_ups": ups, "scale_downs": downs, "now_ms": NOW_MS}
        up = scale_up_limit(behavior.scale_up, current, **sums)
        down = scale_down_limit(behavior.scale_down, current, **sums)
        assert up == expected["scale_up_rate_limit"], up
        assert down == expected["scale_down_rate_limit"], down
        change = limited.replicas - current
        if change > 0:
            ups = record_event(ups, change, NOW_MS, longest_period_ms(behavior.scale_up))
        elif change < 0:
            downs = record_event(downs, -change, NOW_MS, longest_period_ms(behavior.scale_down))
    assert _ages(ups) == expected["scale_up_events_after"], ups
    assert _ages(downs) == expected["scale_down_events_after"], downs
    return None


def _normalise(
    case: Case,
    behavior: Behavior | None,
    ups: tuple[ScaleEvent, ...],
    downs: tuple[ScaleEvent, ...],
) -> tuple[Stabilized, Limited]:
    history = recommendations(case["recommendations"])
    desired, current = case["desired_replicas_from_metrics"], case["current_replicas"]
    window = case["controller_downscale_stabilization_seconds"]
    bounds = {"minimum": case["min_replicas"], "maximum": case["max_replicas"]}
    if behavior is None:
        stabilized = stabilize_without_behavior(
            history, desired, current=current, now_ms=NOW_MS, window_ms=window * 1000
        )
        return stabilized, limit_without_behavior(stabilized.replicas, current=current, **bounds)
    own = behavior.scale_down.stabilization_window_seconds
    stabilized = stabilize(
        history,
        desired,
        current=current,
        now_ms=NOW_MS,
        up_window_ms=behavior.scale_up.stabilization_window_seconds * 1000,
        down_window_ms=(window if own is None else own) * 1000,
    )
    limited = limit(
        stabilized.replicas,
        behavior,
        current=current,
        scale_ups=ups,
        scale_downs=downs,
        now_ms=NOW_MS,
        **bounds,
    )
    return stabilized, limited


def _ages(history: tuple[ScaleEvent, ...]) -> list[list[int]]:
    return [[NOW_MS - event.at_ms, event.change] for event in history]
