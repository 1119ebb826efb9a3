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
    cells = cells.of_first_seed
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


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """An order that does not hold.

    Attributes:
        first: Cheaper or less late in the world as it is.
        second: The other.
        figure: ``cost`` or ``late``.
        variants: Which turn the order round.
    """

    first: str
    second: str
    figure: str
    variants: tuple[str, ...]


def turns(cells: Cells, profile: str) -> list[Turn]:
    """Return the orders that variants turn round, by pairs of autoscalers."""
    known = {policy: shifts(cells, profile, policy) for policy in cells.policies[1:]}
    found = []
    for pair in combinations(known, 2):
        worlds = [
            (variant, known[pair[0]][variant], known[pair[1]][variant])
            for variant in known[pair[0]]
        ]
        for figure, difference, margin in (
            ("cost", _by_cost, COST_MARGIN),
            ("late", _by_lateness, VIOLATION_MARGIN),
        ):
            changes = {
                variant: (difference(first[0], second[0]), difference(first[1], second[1]))
                for variant, first, second in worlds
            }
            turned = [name for name, (old, new) in changes.items() if _turns(old, new, margin)]
            if turned:
                is_first = changes[turned[0]][0] < 0
                cheaper, dearer = pair if is_first else pair[::-1]
                found.append(
                    Turn(first=cheaper, second=dearer, figure=figure, variants=tuple(turned))
                )
    return found


def _by_cost(first: Shift, second: Shift) -> float:
    return first.cost / second.cost - 1.0


def _by_lateness(first: Shift, second: Shift) -> float:
    return first.violation_ratio - second.violation_ratio


def _turns(before: float, after: float, margin: float) -> bool:
    return (before > margin and after < -margin) or (before < -margin and after > margin)
