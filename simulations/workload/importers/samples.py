"""From samples at instants to a trace at a fixed step."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import numpy as np

from simulations.errors import SimulationError
from simulations.workload.trace import STEPS_MAX, Floats, Trace, Unit

STEP_SLACK_RATIO: Final = 0.05
"""How far instants may lie off the grid, relative to the step."""
YEAR_10000: Final = 253_402_300_800.0
NEXT_RATIO: Final = 1.5
"""Distances up to so many times the smallest are one step; longer ones leave steps out."""


def trace_of_samples(
    instants: Floats,
    values: Floats,
    *,
    name: str,
    unit: Unit,
    source: str,
    place: Callable[[int], str] = "sample {}".format,
) -> Trace:
    """Put samples on a grid; instants without a sample are missing.

    The step is the mean distance of neighbours, steps left out counted, so that clocks which round
    or jitter a little do not let the grid drift away from the samples.

    Args:
        instants: Epoch seconds, ascending, at a fixed step; some may be left out.
        values: One per instant, >= 0; NaN = missing.
        name: Of the trace.
        unit: What a value counts.
        source: For messages and reports.
        place: Name of the sample at a position (from 0), such as ``line 7``, for messages.

    Raises:
        SimulationError: Instants do not ascend or lie on no grid, or a value is negative.
    """
    if len(instants) <= 1:
        raise SimulationError(f"{source}: {len(instants)} samples, must be at least two")
    _check_values(instants, values, source, place)
    gaps = np.diff(instants)
    if gaps.min() <= 0:
        where = int(np.argmax(gaps <= 0)) + 1
        raise SimulationError(
            f"{source}, {place(where)}: time {_shown(instants[where])} is not after "
            f"{_shown(instants[where - 1])}, times must ascend"
        )
    usual = float(np.median(gaps[gaps <= gaps.min() * NEXT_RATIO]))
    step = float(instants[-1] - instants[0]) / float(np.rint(gaps / usual).sum())
    places = (instants - instants[0]) / step
    if places[-1] >= STEPS_MAX:
        where = int(np.argmax(gaps)) + 1
        raise SimulationError(
            f"{source}, {place(where)}: at steps of {step:g} s there would be {places[-1] + 1:.3g} "
            f"from the first to the last time, must be at most {STEPS_MAX} "
            f"(the widest gap ends at {_shown(instants[where])})"
        )
    rounded = np.rint(places)
    if np.abs(places - rounded).max() > STEP_SLACK_RATIO:
        off = np.abs(gaps / usual - np.rint(gaps / usual))
        where = int(np.argmax(off > min(STEP_SLACK_RATIO, off.max() / 2))) + 1
        raise SimulationError(
            f"{source}, {place(where)}: time {_shown(instants[where])} is {gaps[where - 1]:g} s "
            f"after the one before, must be a whole number of steps of {usual:g} s (some may be "
            "left out)"
        )
    grid = np.full(int(rounded[-1]) + 1, np.nan)
    grid[rounded.astype(np.int64)] = values
    if np.isnan(grid).all():
        raise SimulationError(f"{source}: all values are missing")
    return Trace(
        name=name,
        start_at=float(instants[0]),
        step_seconds=step,
        values=grid,
        unit=unit,
        source=source,
    )


def _check_values(
    instants: Floats, values: Floats, source: str, place: Callable[[int], str]
) -> None:
    is_odd = ~((instants >= 0) & (instants < YEAR_10000))
    for series, is_wrong, accepted in (
        (instants, is_odd, "epoch seconds from 1970 to 9999 (no milliseconds)"),
        (values, np.isinf(values) | (values < 0), "a number >= 0, or missing"),
    ):
        if is_wrong.any():
            where = int(np.argmax(is_wrong))
            raise SimulationError(
                f"{source}, {place(where)}: {series[where]:.15g} must be {accepted}"
            )


def _shown(instant: float) -> str:
    try:
        return datetime.fromtimestamp(instant, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{instant:.0f}"
