"""Histories stay bounded without changing what is decided from them."""

from __future__ import annotations

import random

from autoscaler.core.behavior import stabilize, stabilize_without_behavior
from autoscaler.core.history import (
    HISTORY_LIMIT,
    LONGEST_PERIOD_MS,
    bound_recommendations,
    record_event,
    record_recommendation,
    without_repeat,
)
from autoscaler.core.model import Recommendation, ScaleEvent


def test_an_expired_entry_is_overwritten_in_place() -> None:
    """The storage order is the HPA's, not the order in time."""
    history = (Recommendation(0, 1), Recommendation(5, 2))
    assert record_recommendation(history, 0, 9, 3) == (Recommendation(9, 3), history[1])
    assert record_recommendation(history, -1, 9, 3) == (*history, Recommendation(9, 3))


def test_a_repeat_is_left_out_and_news_is_not() -> None:
    """What the newest entry in time says again; the storage order does not matter."""
    history = (Recommendation(5, 2), Recommendation(0, 3))
    repeated = record_recommendation(history, 1, 9, 2)
    assert without_repeat(history, repeated) == history
    news = record_recommendation(history, -1, 9, 3)
    assert without_repeat(history, news) == news
    first = record_recommendation((), -1, 9, 3)
    assert without_repeat((), first) == first


def test_dropping_dominated_recommendations_changes_no_window() -> None:
    """Whatever the windows and the current count, the shorter history stabilises the same."""
    chance = random.Random(7)
    for _ in range(200):
        history = tuple(
            Recommendation(chance.randrange(1000), chance.randrange(8)) for _ in range(40)
        )
        short = bound_recommendations(history)
        assert len(short) < len(history)
        for _ in range(10):
            current, desired = chance.randrange(8), chance.randrange(8)
            up, down = chance.randrange(1200), chance.randrange(1200)
            windows = {"now_ms": 1000, "up_window_ms": up, "down_window_ms": down}
            full = stabilize(history, desired, current=current, **windows)
            less = stabilize(short, desired, current=current, **windows)
            assert (full.replicas, full.reason, full.held_until_ms) == (
                less.replicas, less.reason, less.held_until_ms,
            )  # fmt: skip
            plain = {"current": current, "now_ms": 1000, "window_ms": down}
            full = stabilize_without_behavior(history, desired, **plain)
            less = stabilize_without_behavior(short, desired, **plain)
            assert (full.replicas, full.held_until_ms) == (less.replicas, less.held_until_ms)


def test_recommendations_stay_bounded() -> None:
    """A proposal that only ever falls, or rises, leaves at most the limit, and holds longer."""
    for direction in (-1, 1):
        history: tuple[Recommendation, ...] = ()
        for second in range(3000):
            history = record_recommendation(history, -1, second * 1000, 5000 + direction * second)
            assert len(history) <= HISTORY_LIMIT
        newest = max(history, key=lambda entry: entry.at_ms)
        assert newest == Recommendation(2_999_000, 5000 + direction * 2999)
        for entry in history:
            held = 5000 + direction * entry.at_ms // 1000
            assert direction * entry.replicas <= direction * held


def test_outdated_events_are_reused() -> None:
    """The last outdated event is overwritten; marks stay on the others."""
    history = (ScaleEvent(0, 1), ScaleEvent(1, 2), ScaleEvent(100, 3))
    recorded = record_event(history, 9, 110, 60)
    assert recorded == (ScaleEvent(0, 1, outdated=True), ScaleEvent(110, 9), ScaleEvent(100, 3))
    again = record_event(recorded, 4, 120, 60)
    assert again[0] == ScaleEvent(120, 4)


def test_events_stay_bounded() -> None:
    """Past the limit, what no period can reach is dropped; else the oldest two count as one."""
    history = tuple(ScaleEvent(at, 1) for at in range(HISTORY_LIMIT))
    joined = record_event(history, 5, 300, LONGEST_PERIOD_MS)
    assert len(joined) == HISTORY_LIMIT
    assert joined[0] == ScaleEvent(1, 2)
    assert sum(event.change for event in joined) == HISTORY_LIMIT + 5
    later = LONGEST_PERIOD_MS + 10
    dropped = record_event(history, 5, later, later)
    assert [event.at_ms for event in dropped] == [*range(11, HISTORY_LIMIT), later]
