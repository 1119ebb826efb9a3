"""Charts as SVG text or PNG bytes, the same bytes for the same run."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, ParamSpec

import numpy as np
from numpy.typing import NDArray

from simulations.engine.run import Run
from simulations.errors import SimulationError
from simulations.score.frontier import Point, frontier, knee

Floats = NDArray[np.float64]
P = ParamSpec("P")

PIXELS: Final = 1200
"""Horizontal resolution: longer series are drawn by the extremes of each pixel."""

BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#8a8f98"
"""Okabe and Ito's colours, told apart with any colour vision."""

STYLE: Final[dict[str, Any]] = {
    "svg.hashsalt": "flyball",
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#8a8f98",
    "grid.alpha": 0.25,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "text.color": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
"""Grey text on a transparent ground is readable on light and on dark pages."""


def _styled(draw: Callable[P, bytes]) -> Callable[P, bytes]:
    """Draw in the house style, and without a screen."""

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> bytes:
        try:
            import matplotlib as mpl
        except ImportError as error:
            raise SimulationError(
                "charts need the extra simulate: pip install 'flyball[simulate]'"
            ) from error
        mpl.use("Agg")
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapped


@_styled
def run_chart(run: Run, late: Floats, *, kind: str = "svg", title: str = "") -> bytes:
    """Draw load, replicas with every change, backlog and late requests of a run.

    Args:
        run: What happened.
        late: Late requests per step.
        kind: ``svg`` or ``png``.
        title: Above it.
    """
    figure, axes = _figure(3, height=6.4, ratios=(2, 2, 1.3))
    load_axes, replica_axes, wait_axes = axes
    hours = np.arange(run.steps) * run.step_seconds / 3600
    rate = np.where(run.known, run.arrivals / run.step_seconds, np.nan)
    _band(load_axes, hours, rate, BLUE, "arrivals")
    _band(load_axes, hours, run.capacity / run.step_seconds, GREY, "capacity")
    load_axes.set_ylabel("requests / s")
    replica_axes.fill_between(
        *_steps(hours, run.serving.astype(float)),
        color=GREEN,
        alpha=0.3,
        linewidth=0,
        label="serving",
    )
    replica_axes.plot(
        *_steps(hours, run.replicas.astype(float)), color=GREEN, linewidth=1, label="desired"
    )
    failed = [change for change in run.changes if not change.succeeded]
    if failed:
        replica_axes.plot(
            [change.step * run.step_seconds / 3600 for change in failed],
            [change.after for change in failed],
            "x",
            color=RED,
            label="write failed",
        )
    replica_axes.set_ylabel("replicas")
    _band(wait_axes, hours, run.backlog, ORANGE, "backlog")
    wait_axes.set_ylabel("waiting requests")
    late_axes = wait_axes.twinx()
    late_axes.grid(visible=False)
    share = np.divide(late, run.arrivals, out=np.zeros(run.steps), where=run.arrivals > 0)
    _band(late_axes, hours, 100 * share, RED, "late")
    late_axes.set_ylim(0, max(1.0, float(100 * share.max(initial=0)) * 1.05))
    late_axes.set_ylabel("late, %", color=RED)
    late_axes.spines["right"].set_visible(True)
    late_axes.legend(loc="upper right", frameon=False)
    begin = datetime.fromtimestamp(run.start_at, UTC)
    wait_axes.set_xlabel(f"hours since {begin:%Y-%m-%d %H:%M} UTC")
    for drawn in (load_axes, replica_axes, wait_axes):
        drawn.set_ylim(bottom=0)
        drawn.set_xlim(0, hours[-1] if run.steps > 1 else 1)
        drawn.legend(loc="upper left", frameon=False, ncols=3)
    if title:
        figure.suptitle(title)
    return _bytes(figure, kind)


@_styled
def frontier_chart(
    series: Sequence[tuple[str, Sequence[Point]]],
    *,
    kind: str = "svg",
    cost_label: str = "cost",
    budget: float | None = None,
    marks_knee: bool = False,
) -> bytes:
    """Draw violations over cost: every point, and the frontier of each series.

    Args:
        series: Name and points; a single point is drawn as a mark with its name.
        kind: ``svg`` or ``png``.
        cost_label: Unit of the cost.
        budget: Allowed violation ratio, drawn as a line.
        marks_knee: Mark the knee of the first series.
    """
    figure, (axes,) = _figure(1, height=4.6, ratios=(1,))
    colours = (BLUE, ORANGE, GREEN, RED, "#cc79a7", "#56b4e9", "#b8a100", GREY)
    floor = 1e-6
    for number, (name, points) in enumerate(series):
        colour = colours[number % len(colours)]
        marker = "osD^vP*X"[number // len(colours) % 8]
        violations = [100 * max(point.violation_ratio, floor) for point in points]
        costs = [point.cost for point in points]
        axes.plot(
            costs,
            violations,
            marker,
            color=colour,
            markersize=8 if len(points) == 1 else 3,
            alpha=1.0 if len(points) == 1 else 0.35,
            label=name,
        )
        if len(points) > 1:
            edge = frontier(points)
            axes.plot(
                [point.cost for point in edge],
                [100 * max(point.violation_ratio, floor) for point in edge],
                color=colour,
                linewidth=1.2,
            )
    if marks_knee and series and series[0][1]:
        best = knee(series[0][1])
        axes.plot(
            best.cost,
            100 * max(best.violation_ratio, floor),
            "o",
            markersize=12,
            markerfacecolor="none",
            color=RED,
            label="knee",
        )
    if budget is not None:
        axes.axhline(100 * budget, color=RED, linewidth=0.8, linestyle="--", label="budget")
    axes.set_yscale("log")
    axes.set_xlabel(cost_label)
    axes.set_ylabel("late requests, %")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    return _bytes(figure, kind)


@_styled
def comparison_chart(runs: Sequence[tuple[str, Run]], *, kind: str = "svg") -> bytes:
    """Draw the serving replicas of several policies under the same load."""
    figure, (load_axes, replica_axes) = _figure(2, height=5.2, ratios=(1, 2))
    colours = (BLUE, ORANGE, GREEN, RED, "#cc79a7", "#56b4e9", "#b8a100", GREY)
    first = runs[0][1]
    hours = np.arange(first.steps) * first.step_seconds / 3600
    rate = np.where(first.known, first.arrivals / first.step_seconds, np.nan)
    _band(load_axes, hours, rate, BLUE, "arrivals")
    load_axes.set_ylabel("requests / s")
    for number, (name, run) in enumerate(runs):
        replica_axes.plot(
            *_steps(hours, run.serving.astype(float)),
            color=colours[number % len(colours)],
            linewidth=1.2,
            linestyle="--" if number >= len(colours) else "-",
            label=name,
        )
    replica_axes.set_ylabel("serving replicas")
    replica_axes.set_xlabel("hours")
    for axes in (load_axes, replica_axes):
        axes.set_ylim(bottom=0)
        axes.set_xlim(0, hours[-1] if first.steps > 1 else 1)
    replica_axes.legend(loc="upper left", frameon=False, ncols=3)
    return _bytes(figure, kind)


def _figure(rows: int, *, height: float, ratios: tuple[float, ...]) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, height), layout="constrained")
    axes = figure.subplots(
        rows, 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": ratios}
    )
    return figure, list(axes[:, 0])


def _bytes(figure: Any, kind: str) -> bytes:
    output = io.BytesIO()
    # No date and no version: the same run gives the same bytes.
    metadata = {"Date": None, "Creator": "flyball"} if kind == "svg" else {"Software": "flyball"}
    ground = "none" if kind == "svg" else "white"
    figure.savefig(output, format=kind, dpi=150, metadata=metadata, facecolor=ground)
    return output.getvalue()


def _band(axes: Any, at: Floats, values: Floats, colour: str, label: str) -> None:
    """Draw a line, or for long series the extremes of each pixel, so that no peak is lost."""
    if len(values) <= 2 * PIXELS:
        axes.plot(at, values, color=colour, linewidth=1, label=label)
        return
    edges, lows, highs = extremes(values)
    axes.fill_between(at[edges], lows, highs, color=colour, alpha=0.9, linewidth=0.6, label=label)


def _steps(at: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Return the corners of a step curve."""
    changes = np.flatnonzero(np.diff(values)) + 1
    kept = np.concatenate([[0], changes, [len(values) - 1]])
    x = np.repeat(at[kept], 2)[1:]
    y = np.repeat(values[kept], 2)[:-1]
    return x, y


def extremes(values: Floats) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Return where each pixel begins, and the lowest and highest value in it."""
    edges = np.unique(np.linspace(0, len(values), PIXELS, endpoint=False).astype(np.int64))
    filled = np.where(np.isnan(values), 0.0, values)
    return edges, np.minimum.reduceat(filled, edges), np.maximum.reduceat(filled, edges)
