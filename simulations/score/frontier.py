"""The frontier of cost and violations: what no other point beats in both."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple


class Point(NamedTuple):
    """A policy by its two prices.

    Attributes:
        cost: In whatever unit all points share.
        violation_ratio: Share of late requests.
        policy: Its position among the compared ones.
    """

    cost: float
    violation_ratio: float
    policy: int


def frontier(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats in both prices, from the cheapest on."""
    best: list[Point] = []
    for point in sorted(points):
        if not best or point.violation_ratio < best[-1].violation_ratio:
            best.append(point)
    return best


def cost_at(points: Sequence[Point], budget: float) -> float:
    """Return the cost at which a violation budget can be met, interpolated on the frontier.

    Args:
        points: Any.
        budget: Allowed share of late requests.

    Returns:
        Infinity when no point meets the budget: it is infeasible.
    """
    edge = frontier(points)
    meeting = next((at for at, point in enumerate(edge) if point.violation_ratio <= budget), None)
    if meeting is None:
        return math.inf
    right = edge[meeting]
    if meeting == 0:
        return right.cost
    left = edge[meeting - 1]
    share = (left.violation_ratio - budget) / (left.violation_ratio - right.violation_ratio)
    return left.cost + share * (right.cost - left.cost)


def mean_cost(points: Sequence[Point], lowest: float, highest: float) -> float:
    """Return the area under the frontier between two budgets, divided by their distance.

    The mean of :func:`cost_at` over the budgets: one figure for a frontier, in units of cost.

    Args:
        points: Any.
        lowest: Strictest budget.
        highest: Loosest budget, > ``lowest``.

    Returns:
        Infinity when no point meets the strictest budget.
    """
    inner = {point.violation_ratio for point in frontier(points)}
    budgets = [lowest, *sorted(ratio for ratio in inner if lowest < ratio < highest), highest]
    area = 0.0
    for left, right in itertools.pairwise(budgets):
        area += (cost_at(points, left) + cost_at(points, right)) / 2 * (right - left)
    return area / (highest - lowest)


def knee(points: Sequence[Point]) -> Point:
    """Return where paying more begins to buy little.

    The point of the frontier farthest below the line between its ends, both prices scaled to their
    range (the Kneedle criterion, Satopaa et al. 2011).

    Raises:
        ValueError: There is no point.
    """
    edge = frontier(points)
    if not edge:
        raise ValueError("no point, no knee")
    first, last = edge[0], edge[-1]
    cost_range = last.cost - first.cost
    ratio_range = first.violation_ratio - last.violation_ratio
    if cost_range <= 0 or ratio_range <= 0:
        return first

    def below_line(point: Point) -> float:
        along = (point.cost - first.cost) / cost_range
        down = (first.violation_ratio - point.violation_ratio) / ratio_range
        return down - along

    return max(edge, key=below_line)
