"""The tables of all reports: rows of text, for the console and for HTML alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from simulations.engine.run import Run
from simulations.score.score import Score, utc_days

LEAST_PERCENT: Final = 0.001
"""Smaller shares are said to be less than this."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table.

    Attributes:
        title: Above it.
        header: Column names; all but the first hold figures.
        rows: Text.
        note: Below it.
        marked: Rows to stress.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    marked: tuple[int, ...] = ()


FIGURES: Final = ("cost", "of first", "late", "worst 5 min", "mean", "peak", "changes/h")
LATE_NOTE: Final = "late: share of the requests that waited longer than the SLO or gave up"
REPLICAS_NOTE: Final = "mean and peak are replicas"


def percent(ratio: float) -> str:
    """Return a ratio in percent, with as many digits as matter; little is never shown as none."""
    value = 100 * ratio
    if 0 < value < LEAST_PERCENT:
        return f"<{LEAST_PERCENT} %"
    return f"{value:.3f} %" if value < 1 else f"{value:.2f} %"


def score_table(scores: Sequence[Score], *, title: str = "Result") -> Table:
    """Return the main figures of some runs; the first row is what others are compared with."""
    note = LATE_NOTE
    if len(scores) == 1:
        rows = tuple(_figures(scores[0]))
        return Table(title=title, header=(scores[0].name, ""), rows=rows, note=note)
    base = scores[0].cost
    return Table(
        title=title,
        header=("policy", *FIGURES),
        rows=tuple((score.name, *figures_beside(score, base)) for score in scores),
        note=f"{note}; {REPLICAS_NOTE}",
    )


def figures_beside(score: Score, base: float) -> tuple[str, ...]:
    """Return the main figures of a run, in the order of :data:`FIGURES`.

    Args:
        score: Of the run.
        base: Cost of what it is compared with.
    """
    return (
        f"{score.cost:,.1f}",
        f"{score.cost / base:.3f}" if base else "-",
        percent(score.violation_ratio),
        percent(score.worst_ratio),
        f"{score.mean_replicas:.2f}",
        str(score.peak_replicas),
        f"{score.changes_per_hour:.1f}",
    )


def _figures(score: Score) -> Iterator[tuple[str, str]]:
    """Yield every figure of one run with its name."""
    yield "cost", f"{score.cost:,.1f}"
    yield "replica hours", f"{score.replica_hours:,.1f}"
    if score.node_hours:
        yield "node hours", f"{score.node_hours:,.1f}"
    yield "mean replicas", f"{score.mean_replicas:.2f}"
    yield "peak replicas", str(score.peak_replicas)
    yield "changes per hour", f"{score.changes_per_hour:.1f}"
    yield "pods created", f"{score.created:,}"
    yield "requests", f"{score.requests:,.0f}"
    yield "late", percent(score.violation_ratio)
    yield "given up", percent(score.dropped / score.requests if score.requests else 0.0)
    yield "late in the worst 5 minutes", percent(score.worst_ratio)
    yield "p95 wait behind the backlog", f"{score.wait_p95_seconds:.2f} s"
    yield "p99 wait behind the backlog", f"{score.wait_p99_seconds:.2f} s"


def elasticity_table(scores: Sequence[Score]) -> Table:
    """Return the SPEC RG metrics of some runs."""
    return Table(
        title="Elasticity (diagnostics)",
        header=("policy", "theta U", "theta O", "tau U", "tau O", "instability"),
        rows=tuple(
            (
                score.name,
                f"{score.elasticity.theta_u:.2f} %",
                f"{score.elasticity.theta_o:.2f} %",
                f"{score.elasticity.tau_u:.2f} %",
                f"{score.elasticity.tau_o:.2f} %",
                f"{score.elasticity.instability:.2f} %",
            )
            for score in scores
        ),
        note=(
            "SPEC RG: theta = mean shortage (U) and surplus (O) relative to the demand, tau = "
            "share of the time with too few and too many replicas; they judge replicas, not users"
        ),
    )


def days_table(run: Run, *, from_step: int = 0) -> Table:
    """Return the figures of a run by calendar day."""
    return Table(
        title=f"{run.name} by day (UTC)",
        header=("day", "requests", "late", "replica hours", "cost"),
        rows=tuple(
            (
                f"{datetime.fromtimestamp(day.begin_at, UTC):%Y-%m-%d}",
                f"{day.requests:,.0f}",
                percent(day.late / day.requests if day.requests else 0.0),
                f"{day.replica_hours:,.1f}",
                f"{day.cost:,.1f}",
            )
            for day in utc_days(run, from_step=from_step)
        ),
        note="the first and the last day may not be whole",
    )


def changes_table(run: Run, *, most: int = 200) -> Table:
    """Return the changes of a run, each with its derivation."""
    shown = run.changes[:most]
    left = len(run.changes) - len(shown)
    return Table(
        title=f"Decisions of {run.name} that changed something",
        header=("after", "replicas", "why"),
        rows=tuple(
            (
                _clock(change.step * run.step_seconds),
                f"{change.before} -> {change.after}{'' if change.succeeded else ' (failed)'}",
                change.why,
            )
            for change in shown
        ),
        note=f"{left} more are not shown" if left else "",
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
