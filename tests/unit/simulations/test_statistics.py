"""How sure comparisons are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.score.statistics import (
    Interval,
    Verdict,
    cost_ratio,
    geometric_mean,
    late_difference,
    verdict,
)

DAYS = st.lists(st.tuples(st.floats(0.1, 1e4), st.floats(0.1, 1e4)), min_size=2, max_size=30)


def test_the_geometric_mean_is_that_of_ratios():
    """Twice and half cancel; what cannot be reached is not left out."""
    assert geometric_mean([2.0, 0.5]) == pytest.approx(1.0)
    assert geometric_mean([1.0, math.inf]) == math.inf
    assert geometric_mean([0.0, math.inf]) == math.inf
    assert geometric_mean([0.0, 4.0]) == 0.0
    assert math.isnan(geometric_mean([]))


@pytest.mark.parametrize("value", [-1.0, math.nan])
def test_a_geometric_mean_of_what_is_no_ratio_is_an_error(value):
    """Negative and missing values are defects of the caller."""
    with pytest.raises(ValueError, match="needs values >= 0"):
        geometric_mean([1.0, value])


@given(DAYS, st.integers(0, 2**32))
def test_intervals_depend_on_nothing_but_days_and_seed(days, seed):
    """The same seed gives the same interval; the ratio itself needs no luck."""
    ours, theirs = (np.array(column) for column in zip(*days, strict=True))
    found = cost_ratio(ours, theirs, seed=seed)
    assert found == cost_ratio(ours, theirs, seed=seed)
    assert found.value == pytest.approx(ours.sum() / theirs.sum())
    assert (ours / theirs).min() * (1 - 1e-9) <= found.low <= found.high
    assert found.high <= (ours / theirs).max() * (1 + 1e-9)


def test_days_are_drawn_in_pairs():
    """A policy that always costs 10 % less does so for certain, however much days differ."""
    theirs = np.array([1.0, 1000.0, 30.0, 7.0])
    found = cost_ratio(0.9 * theirs, theirs)
    assert (found.low, found.high) == (pytest.approx(0.9), pytest.approx(0.9))
    assert verdict(found) is Verdict.WIN


def test_a_mean_of_many_days_has_the_interval_of_the_normal_distribution():
    """400 days with a standard deviation of 0.2: 1.96 * 0.2 / 20 on both sides."""
    ours = 1.0 + 0.2 * np.where(np.arange(400) % 2, 1.0, -1.0)
    found = cost_ratio(ours, np.ones(400))
    assert found.low == pytest.approx(1 - 0.0196, abs=0.002)
    assert found.high == pytest.approx(1 + 0.0196, abs=0.002)


def test_one_day_proves_nothing():
    """Its ratio is known, but not whether the next day's will be alike."""
    one = np.array([1.0])
    assert cost_ratio(0.5 * one, one) == Interval(0.5, 0.0, math.inf)
    assert verdict(cost_ratio(0.5 * one, one)) is Verdict.TIE
    assert verdict(late_difference(one, 0 * one, 9 * one), even=0.0) is Verdict.TIE


def test_differences_of_late_requests_are_weighted_by_requests():
    """3 more of 100 and 1 fewer of 300 are 0.5 % more; the draws lie between both days."""
    found = late_difference(np.array([5.0, 2.0]), np.array([2.0, 3.0]), np.array([100.0, 300.0]))
    assert found.value == pytest.approx(0.005)
    assert (found.low, found.high) == (pytest.approx(-1 / 300), pytest.approx(0.03))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.8, 0.99, Verdict.WIN),
        (0.9, 1.1, Verdict.TIE),
        (0.9, 1.0, Verdict.TIE),
        (1.01, 1.2, Verdict.LOSS),
    ],
)
def test_only_intervals_without_one_decide(low, high, expected):
    """Less cost is a win; an interval that holds 1 is a tie."""
    assert verdict(Interval(1.0, low, high)) is expected
    shifted = Interval(0.0, low - 1, high - 1)
    assert verdict(shifted, even=0.0) is expected
