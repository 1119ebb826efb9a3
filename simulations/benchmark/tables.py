"""The benchmark's tables, for the page in the documentation and for the HTML report alike."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from simulations.benchmark.cells import Cell, Cells, mean
from simulations.benchmark.compare import (
    DRAWS,
    DRAWS_SEED,
    INTERVAL,
    LEAST_DAYS,
    Outcome,
    count_outcomes,
    harms,
)
from simulations.benchmark.protocol import BUDGET
from simulations.benchmark.run import ORACLE, STATIC_PAST, STATIC_PEAK
from simulations.benchmark.sensitivity import shifts, turns
from simulations.policies.catalogue import BASELINES
from simulations.report.tables import Table
from simulations.score.statistics import geometric_mean

TITLES: Final = {
    ORACLE: "perfect foresight",
    STATIC_PEAK: "static, peak in hindsight",
    STATIC_PAST: "static, peak of the past",
    **{name: entry.title for name, entry in BASELINES.items()},
}
OURS: Final = tuple(name for name, entry in BASELINES.items() if entry.is_ours)
COUNTED: Final = (Outcome.WIN, Outcome.TRADE, Outcome.TIE, Outcome.LOSS)


def overview(cells: Cells, profile: str) -> Table:
    """Return the means over all traces."""
    rows = []
    for policy in cells.policies:
        row = cells.row(profile, policy)
        worst = max(row, key=lambda cell: cell.violation_ratio)
        kept = sum(cell.violation_ratio <= BUDGET for cell in row)
        rows.append(
            (
                TITLES[policy],
                f"{geometric_mean([c.cost for c in row]):.2f}",
                f"{max(c.cost for c in row):.2f}",
                percent(mean([c.violation_ratio for c in row])),
                f"{percent(worst.violation_ratio)} {cells.traces[row.index(worst)]}",
                f"{kept}/{len(row)}",
                f"{mean([c.actions_per_hour for c in row]):.1f}",
            )
        )
    header = ("autoscaler", "cost", "worst cost", "late", "worst trace", "in budget", "changes/h")
    return Table(
        title=f"{profile} start-up", header=header, rows=tuple(rows), marked=_ours_of(cells)
    )


def of_set(cells: Cells, name: str) -> Table:
    """Return the means over all traces of another size or service, slow start-up."""
    (profile,) = cells.profiles
    table = overview(cells, profile)
    return msgspec.structs.replace(table, title=name[0].upper() + name[1:])


def duels(cells: Cells, ours: str) -> Table:
    """Return how one of ours does against each of the others."""
    turned = {
        profile: {frozenset((turn.first, turn.second)) for turn in turns(cells, profile)}
        for profile in cells.profiles
    }
    rows = []
    for theirs in cells.policies:
        if theirs == ours:
            continue
        row = [TITLES[theirs]]
        for profile in cells.profiles:
            count = count_outcomes(cells, profile, ours, theirs)
            mark = " ~" * (frozenset((ours, theirs)) in turned[profile])
            row.append(" / ".join(str(count[outcome]) for outcome in COUNTED) + mark)
        rows.append(tuple(row))
    header = (" / ".join(COUNTED), *cells.profiles)
    return Table(title=TITLES[ours], header=header, rows=tuple(rows))


def gate(cells: Cells) -> Table:
    """Return on how many traces each of ours does no harm, and where it does."""
    rows = []
    for ours in OURS:
        found = harms(cells, ours)
        for profile in cells.profiles:
            failed = [f"{trace} ({best})" for where, trace, best in found if where == profile]
            passed = f"{len(cells.traces) - len(failed)}/{len(cells.traces)}"
            rows.append((TITLES[ours], profile, passed, ", ".join(failed) or "nowhere"))
    header = ("autoscaler", "start-up", "no harm", "does harm on (beside)")
    return Table(title="Do no harm", header=header, rows=tuple(rows))


def sensitivity(cells: Cells, profile: str) -> Table:
    """Return cost and lateness in other worlds."""
    rows = []
    for policy in cells.policies:
        known = shifts(cells, profile, policy)
        rows.append(
            (
                TITLES[policy],
                *(
                    f"{before.cost:.2f} → {after.cost:.2f}, "
                    f"{percent(before.violation_ratio)} → {percent(after.violation_ratio)}"
                    for before, after in known.values()
                ),
            )
        )
    return Table(
        title=f"{profile} start-up, sensitivity",
        header=("cost, late", *(variant for variant in cells.variants if variant)),
        rows=tuple(rows),
        marked=_ours_of(cells),
    )


def unstable(cells: Cells) -> Table:
    """Return the orders that do not hold in every world."""
    rows = [
        (TITLES[turn.first], TITLES[turn.second], turn.figure, profile, ", ".join(turn.variants))
        for profile in cells.profiles
        for turn in turns(cells, profile)
    ]
    header = ("better as it is", "worse as it is", "at", "start-up", "turned round by")
    return Table(title="Orders that do not hold", header=header, rows=tuple(rows))


def by_trace(cells: Cells, profile: str) -> Table:
    """Return cost and lateness on every trace."""
    shown = [policy for policy in cells.policies if policy != ORACLE]
    rows = []
    for trace in cells.traces:
        of_trace = [cells.of(profile, trace, policy) for policy in shown]
        rows.append(
            (
                trace,
                percent(cells.of(profile, trace, ORACLE).violation_ratio),
                *(_with_interval(cell, cells.of(profile, trace, ORACLE)) for cell in of_trace),
            )
        )
    return Table(
        title=f"{profile} start-up, by trace",
        header=("cost, late", f"{ORACLE} late", *shown),
        rows=tuple(rows),
        note=f"In brackets 95 % intervals of the same by scored days, drawn with replacement; none "
        f"where fewer than {LEAST_DAYS} days are scored.",
    )


def _with_interval(cell: Cell, oracle: Cell) -> str:
    """Return cost and lateness, each with what other days like these might have given."""
    days = len(cell.hours)
    if days < LEAST_DAYS:
        return f"{cell.cost:.2f}, {percent(cell.violation_ratio)}"
    drawn = np.random.default_rng(DRAWS_SEED).integers(0, days, (DRAWS, days))
    cost = cell.hours[drawn].sum(axis=1) / oracle.hours[drawn].sum(axis=1)
    late = cell.late[drawn].sum(axis=1) / np.maximum(cell.requests[drawn].sum(axis=1), 1e-9)
    cheap, dear = np.percentile(cost, INTERVAL)
    few, many = np.percentile(100 * late, INTERVAL)
    return (
        f"{cell.cost:.2f} ({cheap:.2f}-{dear:.2f}), "
        f"{percent(cell.violation_ratio)} ({few:.2f}-{many:.2f})"
    )


def chart_name(profile: str) -> str:
    """Return the file of a start-up's chart."""
    return f"{profile.replace(' ', '-')}.png"


def percent(ratio: float) -> str:
    """Return a ratio in percent, two digits everywhere so that columns can be read down."""
    return f"{100 * ratio:.2f} %"


def _ours_of(cells: Cells) -> tuple[int, ...]:
    return tuple(at for at, policy in enumerate(cells.policies) if policy in OURS)
