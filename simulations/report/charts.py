"""Charts as SVG text or PNG bytes, the same bytes for the same run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from simulations.engine.run import Change, Run
from simulations.report.drawing import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    RED,
    Floats,
    area,
    curve,
    from_zero,
    legend,
    looks,
    panels,
    styled,
    time_axis,
    to_bytes,
)
from simulations.report.tables import LEAST_PERCENT
from simulations.score.frontier import Point, frontier, knee

MARKS: Final = 300
"""Most changes of a run that are marked one by one."""
_SPREAD: Final = 0x9E3779B1
"""2^32 divided by the golden ratio: multiples of it fill an interval evenly (Knuth, 6.4)."""

FEW_DECADES: Final = 200.0
"""A logarithmic axis that spans less than this has ticks within decades."""


@styled
def run_chart(run: Run, late: Floats, *, kind: str = "svg", title: str = "") -> bytes:
    """Draw load, replicas with every change, backlog and late requests of a run.

    In SVG the derivation of a change shows when the pointer rests on its mark.

    Args:
        run: What happened.
        late: Late requests per step.
        kind: ``svg`` or ``png``.
        title: Above it.
    """
    figure, axes = panels((2, 2.2, 1, 1), height=7.2)
    load_axes, replica_axes, backlog_axes, late_axes = axes
    at = time_axis(late_axes, run.start_at, run.steps, run.step_seconds)
    curve(load_axes, at, run.capacity / run.step_seconds, GREY, "capacity of what serves")
    _load(load_axes, at, run)
    area(replica_axes, at, run.serving.astype(float), GREEN, "serving", alpha=0.32)
    curve(replica_axes, at, run.replicas.astype(float), GREEN, "desired")
    titles = _mark_changes(replica_axes, at, run)
    area(backlog_axes, at, run.backlog, ORANGE, _some("requests that wait", run.backlog))
    share = np.full(run.steps, np.nan)
    np.divide(100 * late, run.requests, out=share, where=run.known & (run.requests > 0))
    area(late_axes, at, share, RED, _some("requests that are late", share))
    for drawn, label, least in (
        (load_axes, "requests / s", 0.0),
        (replica_axes, "replicas", 1.0),
        (backlog_axes, "requests", 1.0),
        (late_axes, "late, %", 0.1),
    ):
        drawn.set_ylabel(label)
        from_zero(drawn, at_least=least)
        legend(drawn, columns=5)
    figure.align_ylabels(axes)
    if title:
        figure.suptitle(title, fontweight="bold")
    return to_bytes(figure, kind, titles)


@styled
def frontier_chart(
    series: Sequence[tuple[str, Sequence[Point]]],
    *,
    kind: str = "svg",
    cost_label: str = "cost",
    budget: float | None = None,
    marks_knee: bool = False,
) -> bytes:
    """Draw violations over cost: every point, and what no other point beats.

    Args:
        series: Name and points; a single point is drawn as a mark with its name. Series of several
            points have a frontier each, single points one together.
        kind: ``svg`` or ``png``.
        cost_label: Unit of the cost.
        budget: Allowed violation ratio, drawn as a line.
        marks_knee: Mark the knee of the first series.
    """
    from matplotlib.ticker import LogLocator

    figure, (axes,) = panels((1,), height=4.6)
    none, lowest = _lowest(series, budget)
    singles = [points[0] for _, points in series if len(points) == 1]
    if len(singles) == len(series) > 1:
        _edge(axes, singles, none, GREY, "frontier")
    for (name, points), (colour, _, mark) in zip(series, looks(), strict=False):
        few = len(points) == 1
        axes.plot(
            [point.cost for point in points],
            [max(100 * point.violation_ratio, none) for point in points],
            mark,
            color=colour,
            markersize=8 if few else 3,
            markeredgewidth=0,
            alpha=1.0 if few else 0.4,
            label=name,
            clip_on=False,
            zorder=4 if few else 2,
        )
        if not few:
            _edge(axes, points, none, colour, f"frontier of {name}")
    if marks_knee and series and series[0][1]:
        best = knee(series[0][1])
        axes.plot(
            best.cost,
            max(100 * best.violation_ratio, none),
            "o",
            markersize=13,
            markerfacecolor="none",
            markeredgewidth=1.5,
            color=INK,
            label="knee",
        )
    if budget is not None:
        axes.axhline(100 * budget, color=RED, linewidth=0.9, linestyle="--", label="budget")
    axes.set_yscale("log")
    axes.set_ylim(none, max(10 * none, axes.get_ylim()[1]))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}" if value > none else lowest)
    axes.minorticks_off()
    low, high = axes.get_ylim()
    if high / low < FEW_DECADES:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.set_xlabel(cost_label)
    axes.set_ylabel("late requests, %")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    return to_bytes(figure, kind)


@styled
def comparison_chart(runs: Sequence[tuple[str, Run]], *, kind: str = "svg") -> bytes:
    """Draw the serving replicas of several policies under the same load."""
    figure, (load_axes, replica_axes) = panels((1, 2), height=5.6)
    first = runs[0][1]
    at = time_axis(replica_axes, first.start_at, first.steps, first.step_seconds)
    _load(load_axes, at, first)
    for (name, run), (colour, line, _) in zip(runs, looks(), strict=False):
        curve(replica_axes, at, run.serving.astype(float), colour, name, line=line)
    load_axes.set_ylabel("requests / s")
    replica_axes.set_ylabel("serving replicas")
    for axes in (load_axes, replica_axes):
        from_zero(axes, at_least=1.0)
        legend(axes)
    figure.align_ylabels([load_axes, replica_axes])
    return to_bytes(figure, kind)


def _load(axes: Any, at: Floats, run: Run) -> None:
    rate = np.where(run.known, run.arrivals / run.step_seconds, np.nan)
    curve(axes, at, rate, BLUE, "arrivals")
    if run.known.all():
        return
    edges = np.flatnonzero(np.diff(np.concatenate([[True], run.known, [True]]).astype(np.int8)))
    days = run.step_seconds / 86_400
    for number, (begin, end) in enumerate(edges.reshape(-1, 2).tolist()):
        label = "_" if number else "load not known, not scored"
        axes.axvspan(
            at[0] + begin * days, at[0] + end * days, color=GREY, alpha=0.2, lw=0, label=label
        )


def _some(what: str, values: Floats) -> str:
    return what if np.nanmax(values, initial=0.0) > 0 else f"{what}: none"


def _mark_changes(axes: Any, at: Floats, run: Run) -> dict[str, str]:
    """Mark changes, the largest if there are many; return their hover titles."""
    numbered = list(enumerate(run.changes))
    # Equally large ones are taken from all over the run, not from its beginning.
    largest = sorted(
        numbered,
        key=lambda one: (-abs(one[1].after - one[1].before), one[0] * _SPREAD % 2**32),
    )[:MARKS]
    some = f", {MARKS} largest of {len(numbered)}" if len(numbered) > MARKS else ""
    titles, labelled = {}, set()
    for number, change in sorted(largest):
        mark, what = _mark(change)
        (drawn,) = axes.plot(
            at[change.step],
            change.after,
            mark,
            color=GREEN if change.succeeded else RED,
            markersize=4 if some else 6,
            markeredgecolor="white" if change.succeeded else RED,
            markeredgewidth=0.6 if change.succeeded else 1.6,
            label="_" if what in labelled else f"{what}{some}",
            zorder=3,
        )
        labelled.add(what)
        name = f"change-{number}"
        drawn.set_gid(name)
        why = f": {change.why}" if change.why else ""
        titles[name] = f"{change.before} to {change.after}{why}"
    return titles


def _mark(change: Change) -> tuple[str, str]:
    if not change.succeeded:
        return "x", "write failed"
    return ("^", "scaled up") if change.after > change.before else ("v", "scaled down")


def _lowest(
    series: Sequence[tuple[str, Sequence[Point]]], budget: float | None
) -> tuple[float, str]:
    """Return where a logarithmic axis shows what it cannot (no violations), and how it says so."""
    shown = [100 * point.violation_ratio for _, points in series for point in points]
    little = [percent for percent in shown if 0 < percent < LEAST_PERCENT]
    more = [percent for percent in [*shown, 100 * (budget or 0.0)] if percent >= LEAST_PERCENT]
    if little:
        return LEAST_PERCENT, f"<{LEAST_PERCENT:g}"
    below = 0.1 if 0 in shown else 1.0
    lowest = below * 10.0 ** math.floor(math.log10(min(more, default=1.0)))
    return lowest, "none" if 0 in shown else f"{lowest:g}"


def _edge(axes: Any, points: Sequence[Point], none: float, colour: str, label: str) -> None:
    edge = frontier(points)
    if len(edge) == 1:
        return
    axes.plot(
        [point.cost for point in edge],
        [max(100 * point.violation_ratio, none) for point in edge],
        color=colour,
        linewidth=1.3,
        label=label,
        zorder=3,
    )
