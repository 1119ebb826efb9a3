"""A number of replicas that never changes: what autoscaling saves is measured from here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from simulations.engine.view import LaneView, Values
from simulations.policies.past import Floats
from simulations.policies.service import ServiceFacts

PEAK_RATIO: Final = 0.999
"""Share of the time that capacity for the peak is enough (simulation.md's static peak)."""


class Static:
    """Always the same.

    Args:
        replicas: How many.
    """

    tick_seconds = 60.0

    def __init__(self, replicas: int) -> None:
        self._replicas = float(replicas)
        self._wanted: Values = np.zeros(0)

    def start(self, lanes: int) -> None:
        """Get ready."""
        self._wanted = np.full(lanes, self._replicas)

    def decide(self, view: LaneView) -> Values:
        """Return the number."""
        del view
        return self._wanted.copy()


def static_for_peak(
    rates: Floats, replicas_for: Callable[[Floats], Floats], facts: ServiceFacts
) -> Static:
    """Return what serves all but the highest thousandth of some rates.

    Args:
        rates: Requests per second; NaN = not known. Rates of the whole run make a planner with
            hindsight, rates from before it one without.
        replicas_for: Least replicas that serve a rate well enough.
        facts: Bounds.
    """
    peak = np.nanquantile(rates, PEAK_RATIO)
    needed = int(replicas_for(np.array([peak]))[0])
    return Static(min(max(needed, facts.minimum), facts.maximum))
