"""A recorded or generated series of load."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulations.errors import SimulationError

Floats = NDArray[np.float64]

STEPS_MAX: Final = 20_000_000
"""More than half a year of seconds; one wrong number must not ask for all memory."""
VALUE_MAX: Final = 1e15
"""Counts are exact up to here, and arrivals can be drawn."""


class Unit(StrEnum):
    """What one value of a trace counts."""

    PER_SECOND = "per_second"
    """A mean rate over the step."""
    PER_STEP = "per_step"
    """A count of arrivals within the step."""


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Load at a fixed step.

    Attributes:
        name: For reports.
        start_at: Beginning of the first step, epoch seconds.
        step_seconds: Length of a step, > 0.
        values: One per step, from 0 to :data:`VALUE_MAX`; NaN = not known (never zero).
        unit: What a value counts.
        source: Where it comes from, with its licence; empty = made here.
    """

    name: str
    start_at: float
    step_seconds: float
    values: Floats
    unit: Unit = Unit.PER_SECOND
    source: str = ""

    def __post_init__(self) -> None:
        known = self.values[~np.isnan(self.values)]
        if self.step_seconds <= 0:
            raise SimulationError(
                f"trace {self.name}: step_seconds is {self.step_seconds}, not > 0"
            )
        if not known.size:
            raise SimulationError(f"trace {self.name} holds no value")
        if known.min() < 0 or known.max() > VALUE_MAX:
            raise SimulationError(
                f"trace {self.name} holds values from {known.min():g} to {known.max():g}, must be "
                f"from 0 to {VALUE_MAX:g}"
            )

    @property
    def duration_seconds(self) -> float:
        """Length of the whole trace."""
        return len(self.values) * self.step_seconds

    def per_second(self) -> Floats:
        """Return the mean rate of every step, NaN where it is not known."""
        if self.unit is Unit.PER_SECOND:
            return self.values
        return self.values / self.step_seconds
