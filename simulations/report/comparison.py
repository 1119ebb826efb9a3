"""The tables of comparisons: how sure they are, trace by trace, and in other worlds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from simulations.report.tables import Table, percent
from simulations.score.score import Score
from simulations.score.statistics import (
    Interval,
    Verdict,
    cost_ratio,
    late_difference,
    verdict,
)

_CHEAPER: Final = {Verdict.WIN: "cheaper", Verdict.TIE: "open", Verdict.LOSS: "dearer"}
_FEWER_LATE: Final = {Verdict.WIN: "fewer", Verdict.TIE: "open", Verdict.LOSS: "more"}


def beside(ours: Score, theirs: Score, *, seed: int = 0) -> tuple[Interval, Interval]:
    """Return the ratio of costs and the difference of late shares of two policies, by day."""
    cost, late, requests = (
        [np.array([getattr(day, name) for day in score.days]) for score in (ours, theirs)]
        for name in ("cost", "late", "requests")
    )
    return (
        cost_ratio(cost[0], cost[1], seed=seed),
        late_difference(late[0], late[1], requests[1], seed=seed),
    )


def certainty_table(scores: Sequence[Score], *, seed: int = 0) -> Table | None:
    """Return how sure it is what others cost and violate beside the first, by a paired bootstrap.

    Returns:
        None when there is nothing to compare, or fewer than two days to draw from.
    """
    base, others = scores[0], scores[1:]
    if len(base.days) <= 1 or not base.cost or not others:
        return None
    rows = []
    for score in others:
        ratio, late = beside(score, base, seed=seed)
        rows.append(
            (
                score.name,
                f"{ratio.value:.3f}",
                _range(ratio, "{:.3f}"),
                _CHEAPER[verdict(ratio)],
                f"{100 * late.value:+.3f}",
                _range(late, "{:+.3f}", factor=100),
                _FEWER_LATE[verdict(late, even=0.0)],
            )
        )
    return Table(
        title=f"Beside {base.name}, by day",
        header=(
            "policy",
            "cost",
            "95 %",
            "is it cheaper",
            "late, points",
            "95 %",
            "are fewer late",
        ),
        rows=tuple(rows),
        note=f"{len(base.days)} days, paired bootstrap; open: chance may explain the difference",
    )


def sensitivity_table(
    worlds: Sequence[tuple[str, Sequence[Score]]], stable: Sequence[bool], *, note: str = ""
) -> Table:
    """Return cost and late share in every world; policies without a proven rank are marked.

    Args:
        worlds: Name and the score of each policy, the assumed world first.
        stable: Per policy, whether its rank is the same in all worlds.
        note: What counts as another rank.
    """
    return Table(
        title="Sensitivity: cost / late in other worlds",
        header=("policy", *(name for name, _ in worlds), "ranks alike"),
        rows=tuple(
            (
                score.name,
                *(
                    f"{of_world[at].cost:,.0f} / {percent(of_world[at].violation_ratio)}"
                    for _, of_world in worlds
                ),
                "yes" if stable[at] else "NO",
            )
            for at, score in enumerate(worlds[0][1])
        ),
        note=note,
        marked=tuple(at for at, same in enumerate(stable) if not same),
    )


def _range(found: Interval, form: str, *, factor: float = 1.0) -> str:
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return "not known"
    return f"{form.format(factor * found.low)} to {form.format(factor * found.high)}"
