"""Frontiers of cost and violations."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.score.frontier import Point, cost_at, frontier, knee, mean_cost

STEEP = [Point(10, 0.10, 0), Point(12, 0.02, 1), Point(20, 0.01, 2), Point(30, 0.0, 3)]
BEATEN = [Point(11, 0.2, 4), Point(12, 0.03, 5), Point(25, 0.01, 6)]

POINTS = st.lists(
    st.builds(Point, st.integers(1, 50), st.integers(0, 20).map(lambda n: n / 20), st.just(0)),
    min_size=1,
    max_size=20,
)


def test_the_frontier_is_what_nothing_beats():
    """Points that cost more and violate as much or more are not on it."""
    assert frontier([*BEATEN, *STEEP]) == STEEP


@given(POINTS)
def test_every_point_is_on_the_frontier_or_beaten_by_it(points):
    """Along the frontier costs rise and violations fall; no point beats it."""
    edge = frontier(points)
    assert all(
        one.cost < other.cost and one.violation_ratio > other.violation_ratio
        for one, other in itertools.pairwise(edge)
    )
    for point in points:
        assert any(
            one.cost <= point.cost and one.violation_ratio <= point.violation_ratio for one in edge
        )


@pytest.mark.parametrize(
    ("budget", "cost"),
    [(0.5, 10), (0.10, 10), (0.06, 11), (0.02, 12), (0.015, 16), (0.0, 30)],
)
def test_the_cost_of_a_budget_is_interpolated(budget, cost):
    """Halfway between the violations of two points is halfway between their costs."""
    assert cost_at(STEEP, budget) == pytest.approx(cost)


def test_a_budget_nothing_meets_is_infeasible():
    """Infinity, never the nearest cost."""
    assert cost_at(STEEP[:2], 0.01) == math.inf
    assert mean_cost(STEEP[:2], 0.01, 0.05) == math.inf


@given(POINTS, st.floats(0, 1), st.floats(0, 1))
def test_a_stricter_budget_never_costs_less(points, one, other):
    """Costs fall with the budget, and the mean over budgets lies between those of its ends."""
    low, high = sorted((one, other))
    assert cost_at(points, low) >= cost_at(points, high)
    if high > low + 1e-6:
        mean = mean_cost(points, low, high)
        assert cost_at(points, high) - 1e-6 <= mean <= cost_at(points, low) + 1e-6


def test_the_area_is_that_of_trapezoids():
    """From 1 % to 10 %: (20 + 12)/2 over 1 point and (12 + 10)/2 over 8 points."""
    assert mean_cost(STEEP, 0.01, 0.10) == pytest.approx((16 * 1 + 11 * 8) / 9)
    assert mean_cost(STEEP, 0.2, 0.4) == 10


def test_the_knee_is_where_paying_more_begins_to_buy_little():
    """The point farthest below the line between the ends, at any scale of cost."""
    assert knee(STEEP).policy == 1
    assert knee([point._replace(cost=1000 * point.cost) for point in STEEP]).policy == 1


def test_the_knee_of_one_point_is_that_point():
    """A frontier without length has no line to be below."""
    assert knee([*STEEP[:1], Point(11, 0.2, 9)]) == STEEP[0]
    with pytest.raises(ValueError, match="no point"):
        knee([])
