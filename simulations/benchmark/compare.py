"""One autoscaler against another: by trace, with what chance may explain.

The days of a trace are drawn anew, the same ones for both (paired bootstrap), and an autoscaler is
better at something when 95 % of the draws say so by more than the margin. Better at one thing and
not worse at the other is a win; better at one and worse at the other is a trade.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Final

import numpy as np

from simulations.benchmark.cells import Cell, Cells
from simulations.benchmark.protocol import BUDGET, SEEDS
from simulations.benchmark.result import Result

DRAWS: Final = 2000
DRAWS_SEED: Final = 4
INTERVAL: Final = (2.5, 97.5)
LEAST_DAYS: Final = 3
"""Fewer scored days say nothing about days to come."""

COST_MARGIN: Final = 0.01
VIOLATION_MARGIN: Final = BUDGET / 10

REACTIVE: Final = ("hpa", "keda-rate", "keda-queue", "kpa")
COST_ALLOWED: Final = 1.02


class Outcome(StrEnum):
    """How a comparison ends for the first of two."""

    WIN = "win"
    TRADE = "trade"
    TIE = "tie"
    LOSS = "loss"
    SHORT = "short"
    """Too few days."""


def compare(ours: Cell, theirs: Cell) -> Outcome:
    """Return how an autoscaler does against another under one trace."""
    days = len(ours.hours)
    if days < LEAST_DAYS:
        return Outcome.SHORT
    drawn = np.random.default_rng(DRAWS_SEED).integers(0, days, (DRAWS, days))
    cost = ours.hours[drawn].sum(axis=1) / theirs.hours[drawn].sum(axis=1) - 1.0
    requests = ours.requests[drawn].sum(axis=1)
    late = (ours.late - theirs.late)[drawn].sum(axis=1) / np.maximum(requests, 1e-9)
    signs = {_sign(cost, COST_MARGIN), _sign(late, VIOLATION_MARGIN)}
    if {-1, 1} <= signs:
        return Outcome.TRADE
    if -1 in signs:
        return Outcome.WIN
    return Outcome.LOSS if 1 in signs else Outcome.TIE


def _sign(draws: np.ndarray[tuple[int], np.dtype[np.float64]], margin: float) -> int:
    low, high = np.percentile(draws, INTERVAL)
    return int(low > margin) - int(high < -margin)


def count_outcomes(cells: Cells, profile: str, ours: str, theirs: str) -> Counter[Outcome]:
    """Return how often each outcome occurs over the traces."""
    return Counter(
        compare(cells.of(profile, trace, ours), cells.of(profile, trace, theirs))
        for trace in cells.traces
    )


def harms(cells: Cells, ours: str) -> list[tuple[str, str, str]]:
    """Return where an autoscaler does harm: profile, trace, and against whom.

    On every trace and seed it must cost at most 2 % more than the best reactive default and keep
    the budget (or violate no more than that one), or violate less at no higher cost. The best
    reactive default is the cheapest of those that keep the budget; if none does, the one that
    violates least.
    """
    found = []
    for profile in cells.profiles:
        for trace in cells.traces:
            for seed in range(SEEDS):
                run = cells.of_seed(profile, trace, ours, seed)
                others = [cells.of_seed(profile, trace, name, seed) for name in REACTIVE]
                best = best_of(others)
                if not is_harmless(run, best):
                    found.append((profile, trace, best.policy))
                    break
    return found


def best_of(runs: list[Result]) -> Result:
    """Return the cheapest run that keeps the budget, else the one that violates least."""
    keeping = [run for run in runs if run.violation_ratio <= BUDGET]
    if keeping:
        return min(keeping, key=lambda run: run.replica_hours)
    return min(runs, key=lambda run: run.violation_ratio)


def is_harmless(run: Result, best: Result) -> bool:
    """Whether a run passes the gate beside the best reactive default."""
    is_cheap = run.replica_hours <= COST_ALLOWED * best.replica_hours
    if is_cheap and run.violation_ratio <= max(BUDGET, best.violation_ratio):
        return True
    return run.violation_ratio < best.violation_ratio and run.replica_hours <= best.replica_hours
