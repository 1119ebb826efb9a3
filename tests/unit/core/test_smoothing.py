"""Smoothing of trigger values."""

from __future__ import annotations

import pytest

from autoscaler.core.model import (
    Ewma,
    Median,
    MetricPolicy,
    MetricSpec,
    Policy,
    Reading,
    SmoothingState,
)
from autoscaler.core.smoothing import smooth


def policy(rule: Ewma | Median | None) -> Policy:
    """Return a policy with one smoothed metric."""
    metric = MetricPolicy(spec=MetricSpec(name="m"), smoothing=rule)
    return Policy(metrics=(metric, MetricPolicy(spec=MetricSpec(name="plain"))))


def feed(rule: Ewma | Median, samples: list[tuple[float, float]]) -> list[float]:
    """Return the smoothed value after each ``(sampled_at, value)``."""
    state: dict[str, SmoothingState] = {}
    found = []
    for at, value in samples:
        readings, state = smooth(policy(rule), state, {"m": Reading.of("m", value, at)})
        assert readings["m"].values_milli == (int(readings["m"].value * 1000),)
        found.append(readings["m"].value)
    return found


def test_an_average_covers_half_the_distance_per_half_life() -> None:
    """After one half life half of a step has arrived, after two three quarters."""
    found = feed(Ewma(half_life_seconds=10), [(0, 0.0), (10, 100.0), (20, 100.0)])
    assert found == pytest.approx([0, 50, 75])


def test_sampling_twice_as_often_changes_nothing() -> None:
    """The average depends on time, not on how often somebody looks."""
    rule = Ewma(half_life_seconds=30)
    often = feed(rule, [(0, 0.0), *((t, 8.0) for t in range(5, 65, 5))])
    seldom = feed(rule, [(0, 0.0), (30, 8.0), (60, 8.0)])
    assert often[-1] == pytest.approx(seldom[-1])


def test_a_median_ignores_a_single_spike() -> None:
    """The median of three follows a level, not a spike; even counts take the middle of two."""
    found = feed(Median(samples=3), [(0, 1.0), (1, 100.0), (2, 2.0), (3, 3.0), (4, 4.0)])
    assert found == [1.0, 50.5, 2.0, 3.0, 3.0]


@pytest.mark.parametrize("rule", [Ewma(half_life_seconds=10), Median(samples=3)])
def test_a_sample_seen_before_does_not_advance(rule) -> None:
    """Deciding twice on one reading gives the same value and the same state."""
    _, state = smooth(policy(rule), {}, {"m": Reading.of("m", 1.0, 10.0)})
    readings, again = smooth(policy(rule), state, {"m": Reading.of("m", 9.0, 20.0)})
    twice, same = smooth(policy(rule), again, {"m": Reading.of("m", 9.0, 20.0)})
    assert twice["m"] == readings["m"]
    assert same == again
    older, kept = smooth(policy(rule), again, {"m": Reading.of("m", 0.0, 5.0)})
    assert kept == again
    assert older["m"].value == readings["m"].value


def test_errors_pass_through_and_keep_the_state() -> None:
    """A failed read neither becomes a number nor loses what is known."""
    rule = Ewma(half_life_seconds=10)
    failed = Reading.failed("m", "boom", 5.0)
    assert smooth(policy(rule), {}, {"m": failed}) == ({"m": failed}, {})
    _, state = smooth(policy(rule), {}, {"m": Reading.of("m", 1.0, 0.0)})
    readings, kept = smooth(policy(rule), state, {"m": failed})
    assert readings["m"] is failed
    assert kept == state


def test_other_metrics_are_left_alone() -> None:
    """Without smoothing the mappings are handed through; left-over state is dropped."""
    readings = {"m": Reading.of("m", 1.0, 0.0)}
    empty: dict[str, SmoothingState] = {}
    after, state = smooth(policy(None), empty, readings)
    assert after is readings
    assert state is empty
    assert smooth(policy(None), {"m": SmoothingState(0, (1.0,))}, readings)[1] == {}
    both = {**readings, "plain": Reading.of("plain", 7.0, 0.0)}
    smoothed, _ = smooth(policy(Median(samples=3)), {}, both)
    assert smoothed["plain"] is both["plain"]
