"""From samples at instants to a trace at a fixed step."""

from __future__ import annotations

from typing import Final

import numpy as np

from simulations.errors import SimulationError
from simulations.workload.trace import Floats, Trace, Unit

STEP_SLACK_RATIO: Final = 0.01
"""How far instants may lie off the grid, relative to the step."""


def trace_of_samples(
    instants: Floats, values: Floats, *, name: str, unit: Unit, source: str, step_seconds: float = 0
) -> Trace:
    """Put samples on a grid; instants without a sample are missing.

    Args:
        instants: Epoch seconds, ascending.
        values: One per instant; NaN = missing.
        name: Of the trace.
        unit: What a value counts.
        source: For messages and reports.
        step_seconds: Of the grid; the smallest distance of two samples when 0.

    Raises:
        SimulationError: Instants do not ascend, or do not lie on a grid.
    """
    if len(instants) <= 1:
        raise SimulationError(f"{source}: {len(instants)} samples; at least two are needed")
    gaps = np.diff(instants)
    if gaps.min() <= 0:
        where = int(np.argmin(gaps)) + 1
        raise SimulationError(
            f"{source}: sample {where + 1} at {instants[where]:g} is not after the one before it"
        )
    step = step_seconds or float(gaps.min())
    places = (instants - instants[0]) / step
    rounded = np.rint(places)
    off = np.abs(places - rounded)
    if off.max() > STEP_SLACK_RATIO:
        where = int(np.argmax(off))
        raise SimulationError(
            f"{source}: sample {where + 1} at {instants[where]:g} does not lie on a grid of "
            f"{step:g} s; resample the series to a fixed step"
        )
    grid = np.full(int(rounded[-1]) + 1, np.nan)
    grid[rounded.astype(np.int64)] = values
    return Trace(
        name=name,
        start_at=float(instants[0]),
        step_seconds=step,
        values=grid,
        unit=unit,
        source=source,
    )
