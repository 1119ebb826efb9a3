"""Whether rankings hold in worlds that are a little different.

The order of two autoscalers is stable when no variant turns it round: in cost by more than 1 %
either way, in violations by more than a tenth of the budget. Variants are compared with the same
days, seed and traces of the world as it is.
"""

from __future__ import annotations

from itertools import combinations

import msgspec

from simulations.benchmark.cells import Cell, Cells, mean
from simulations.benchmark.compare import COST_MARGIN, VIOLATION_MARGIN
from simulations.score.statistics import geometric_mean


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """An autoscaler in one world.

    Attributes:
        cost: Geometric mean of the traces, as a multiple of the oracle's.
        violation_ratio: Mean of the traces.
    """

    cost: float
    violation_ratio: float


def shifts(cells: Cells, profile: str, policy: str) -> dict[str, tuple[Shift, Shift]]:
    """Return, by variant, an autoscaler in the world as it is and in the variant."""
    return {
        variant: (
            _shift(cells, profile, policy, "", days=_days(cells, profile, variant)),
            _shift(cells, profile, policy, variant, days=_days(cells, profile, variant)),
        )
        for variant in cells.variants
        if variant
    }


def _days(cells: Cells, profile: str, variant: str) -> dict[str, int]:
    policy = cells.policies[0]
    return {
        trace: len(cells.of(profile, trace, policy, variant=variant).hours)
        for trace in cells.traces
    }


def _shift(cells: Cells, profile: str, policy: str, variant: str, *, days: dict[str, int]) -> Shift:
    costs, violations = [], []
    for trace in cells.traces:
        cell = cells.of(profile, trace, policy, variant=variant)
        oracle = cells.of(profile, trace, cells.policies[0], variant=variant)
        count = days[trace]
        costs.append(float(cell.hours[:count].sum() / oracle.hours[:count].sum()))
        violations.append(_violation_ratio(cell, count))
    return Shift(cost=geometric_mean(costs), violation_ratio=mean(violations))


def _violation_ratio(cell: Cell, days: int) -> float:
    requests = float(cell.requests[:days].sum())
    return float(cell.late[:days].sum()) / max(requests, 1e-9)


def unstable_pairs(cells: Cells, profile: str) -> tuple[set[str], set[str]]:
    """Return whose rank in cost, and whose in violations, some variant changes."""
    known = {policy: shifts(cells, profile, policy) for policy in cells.policies[1:]}
    by_cost: set[str] = set()
    by_violations: set[str] = set()
    for first, second in combinations(known, 2):
        for variant in known[first]:
            before_a, after_a = known[first][variant]
            before_b, after_b = known[second][variant]
            if _turns(
                before_a.cost / before_b.cost - 1, after_a.cost / after_b.cost - 1, COST_MARGIN
            ):
                by_cost |= {first, second}
            if _turns(
                before_a.violation_ratio - before_b.violation_ratio,
                after_a.violation_ratio - after_b.violation_ratio,
                VIOLATION_MARGIN,
            ):
                by_violations |= {first, second}
    return by_cost, by_violations


def _turns(before: float, after: float, margin: float) -> bool:
    return (before > margin and after < -margin) or (before < -margin and after > margin)
