"""How charts are drawn: style, time axis, long series, bytes that depend on the data alone."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from html import escape
from itertools import count
from typing import Any, Final, ParamSpec

import numpy as np
from numpy.typing import NDArray

from simulations.errors import SimulationError

Floats = NDArray[np.float64]
P = ParamSpec("P")

PIXELS: Final = 1200
"""Horizontal resolution: longer series are drawn by the extremes of each pixel."""

BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#8a8f98"
COLOURS: Final = (BLUE, ORANGE, GREEN, "#cc79a7", "#56b4e9", RED, "#a39a00")
"""Okabe and Ito's colours, told apart with any colour vision; yellow darkened to show on white."""

INK: Final = "#4a5260"
"""Text and axes; pages put their own colour in its place, see :mod:`simulations.report.html`."""

_PATH: Final = re.compile(r' d="[^"]*"')
_DIGITS: Final = re.compile(r"(\.\d\d)\d+")
"""A hundredth of a point is finer than any screen, and half the size of a page."""

STYLE: Final[dict[str, Any]] = {
    "svg.hashsalt": "flyball",
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9.5,
    "legend.fontsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "axes.facecolor": "none",
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "timezone": "UTC",
}


def styled(draw: Callable[P, bytes]) -> Callable[P, bytes]:
    """Draw in the house style, whatever the user's settings of matplotlib are."""

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> bytes:
        try:
            import matplotlib as mpl
        except ImportError as error:
            raise SimulationError(
                "charts need the extra simulate: pip install 'flyball[simulate]'"
            ) from error
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(STYLE)
            return draw(*args, **kwargs)

    return wrapped


def panels(ratios: tuple[float, ...], *, height: float) -> tuple[Any, list[Any]]:
    """Return a figure and its axes, one below the other with a common horizontal axis."""
    # A figure without pyplot needs no screen and is forgotten when nothing refers to it.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, height), layout="constrained")
    axes = figure.subplots(
        len(ratios), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": ratios}
    )
    return figure, list(axes[:, 0])


def to_bytes(figure: Any, kind: str, titles: Mapping[str, str] | None = None) -> bytes:
    """Return a figure as ``svg`` or ``png``; in SVG, elements with these ids get a hover title."""
    _settle(figure)
    output = io.BytesIO()
    # No date and no version: the same run gives the same bytes.
    metadata = {"Date": None, "Creator": "flyball"} if kind == "svg" else {"Software": "flyball"}
    ground = "none" if kind == "svg" else "white"
    figure.savefig(output, format=kind, dpi=150, metadata=metadata, facecolor=ground)
    if kind != "svg":
        return output.getvalue()
    text = _PATH.sub(_rounded, output.getvalue().decode())
    for name, title in (titles or {}).items():
        opening = f'<g id="{name}">'
        text = text.replace(opening, f"{opening}<title>{escape(title)}</title>", 1)
    return text.encode()


def _settle(figure: Any) -> None:
    """Lay the figure out once and for all, to a ten-thousandth of its size.

    The solver behind the layout gives positions whose last bits differ from process to process,
    and names in SVG are hashes of positions.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position([round(float(edge), 4) for edge in axes.get_position().bounds])


def _rounded(path: re.Match[str]) -> str:
    return _DIGITS.sub(r"\1", path[0])


def time_axis(axes: Any, start_at: float, steps: int, step_seconds: float) -> Floats:
    """Label the horizontal axis with UTC; return where steps begin on it and the last one ends."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    at: Floats = (start_at + np.arange(steps + 1) * step_seconds) / 86_400
    locator = AutoDateLocator(tz=UTC, minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))
    axes.set_xlim(at[0], at[-1])
    axes.set_xlabel("time (UTC)")
    return at


def legend(axes: Any, *, columns: int = 4) -> None:
    """Put the legend above the axes, where it covers nothing."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.2,
        borderpad=0.0,
        frameon=False,
        ncols=columns,
        handlelength=1.4,
        columnspacing=1.4,
    )


def from_zero(axes: Any, *, at_least: float = 0.0) -> None:
    """Let the vertical axis begin at zero and go at least so far."""
    axes.set_ylim(0, max(at_least, axes.get_ylim()[1]))


def curve(
    axes: Any, at: Floats, values: Floats, colour: str, label: str, *, line: str = "-"
) -> None:
    """Draw a curve that holds each value for a step; gaps where there is none.

    Long series are drawn by the extremes of each pixel, so that no peak is lost.
    """
    values = np.append(values, values[-1])
    kept = _corners(values)
    if len(kept) > 2 * PIXELS:
        edges, lows, highs = extremes(values)
        axes.fill_between(at[edges], lows, highs, color=colour, linewidth=0.9, label=label)
        return
    axes.plot(
        at[kept],
        values[kept],
        color=colour,
        linewidth=1.1,
        linestyle=line,
        drawstyle="steps-post",
        label=label,
    )


def area(
    axes: Any, at: Floats, values: Floats, colour: str, label: str, *, alpha: float = 1.0
) -> None:
    """Fill what is below a curve; long series up to the highest value of each pixel.

    Where that hides much lower values, the part above the lowest one is lighter.
    """
    values = np.append(values, values[-1])
    kept = _corners(values)
    if len(kept) > 2 * PIXELS:
        edges, lows, highs = extremes(values)
        axes.fill_between(at[edges], lows, color=colour, alpha=alpha, linewidth=0, label=label)
        axes.fill_between(at[edges], lows, highs, color=colour, alpha=alpha * 0.6, linewidth=0.6)
        return
    # The outline keeps areas visible that are narrower than a pixel.
    axes.fill_between(
        at[kept], values[kept], color=colour, alpha=alpha, linewidth=0.6, step="post", label=label
    )


def _corners(values: Floats) -> NDArray[np.int64]:
    """Return both ends and where values differ from the ones before."""
    differs = (values[1:] != values[:-1]) & ~(np.isnan(values[1:]) & np.isnan(values[:-1]))
    return np.concatenate([[0], np.flatnonzero(differs) + 1, [len(values) - 1]])


def extremes(values: Floats) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Return where each pixel begins, and the lowest and highest value known in it (else NaN)."""
    edges = np.unique(np.linspace(0, len(values), PIXELS, endpoint=False).astype(np.int64))
    return edges, np.fmin.reduceat(values, edges), np.fmax.reduceat(values, edges)


def looks() -> Iterator[tuple[str, str, str]]:
    """Yield colours with a line style and a mark; neighbours differ in all three."""
    lines, marks = ("-", "--", ":", "-."), "osD^vP*X"
    for number in count():
        yield (
            COLOURS[number % len(COLOURS)],
            lines[number % len(lines)],
            marks[number % len(marks)],
        )
