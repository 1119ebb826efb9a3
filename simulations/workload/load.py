"""A trace on the clock of a simulation: what arrives in every step, expected and counted.

The queue is fed with the expected arrivals, because the lateness model adds the randomness of
arrivals itself (feeding it counted arrivals would count that noise twice); metrics see the counted
ones, as a counter in a real service would.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulations.errors import SimulationError
from simulations.workload.trace import STEPS_MAX, Floats, Trace

Counts = NDArray[np.int64]

SHORT_STEP_SECONDS: Final = 60.0
"""Rates of steps up to this long hold for the whole step; longer ones are joined by lines."""

ROUNDING: Final = 1e-9
"""A last step that is whole but for rounding is one."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Arrivals per simulated step.

    Attributes:
        name: Of the trace.
        start_at: Beginning of step 0, epoch seconds.
        step_seconds: Length of a step.
        expected: Mean arrivals of each step; bridged by a line where the trace knows nothing.
        counted: Arrivals as a counter would see them, drawn around ``expected``.
        known: False where the trace knows nothing: metrics are missing and nothing is scored.
    """

    name: str
    start_at: float
    step_seconds: float
    expected: Floats
    counted: Counts
    known: NDArray[np.bool_]

    @property
    def steps(self) -> int:
        """Number of simulated steps."""
        return len(self.expected)


def load_of(
    trace: Trace, *, step_seconds: float, seed: int, scale: float = 1.0, name: str = ""
) -> Load:
    """Put a trace on the clock of a simulation.

    Args:
        trace: What arrives.
        step_seconds: Of the simulation; of any length.
        seed: Of the counted arrivals; every policy meets the same ones (common random numbers).
        scale: Factor on all rates.
        name: Of the load; the trace's when empty.

    Raises:
        SimulationError: The trace is shorter than one step, or has too many.
    """
    steps = int(trace.duration_seconds / step_seconds + ROUNDING)
    if steps < 1:
        raise SimulationError(
            f"trace {trace.name} lasts {trace.duration_seconds:g} s, less than one step of "
            f"{step_seconds:g} s"
        )
    if steps > STEPS_MAX:
        raise SimulationError(
            f"trace {trace.name} has {steps} steps of {step_seconds:g} s, must have at most "
            f"{STEPS_MAX}"
        )
    rates = trace.per_second()
    known = ~np.isnan(rates)
    middles = (np.arange(len(rates)) + 0.5) * trace.step_seconds
    instants = (np.arange(steps) + 0.5) * step_seconds
    within = np.minimum((instants // trace.step_seconds).astype(np.int64), len(rates) - 1)
    bridged = np.interp(instants, middles[known], rates[known])
    expected = bridged
    if trace.step_seconds <= SHORT_STEP_SECONDS:
        expected = np.where(known[within], rates[within], bridged)
    expected = expected * scale * step_seconds
    random = np.random.default_rng(seed)
    return Load(
        name=name or trace.name,
        start_at=trace.start_at,
        step_seconds=step_seconds,
        expected=expected,
        counted=random.poisson(expected),
        known=known[within],
    )
