"""A number of replicas that never changes: what autoscaling saves is measured from here."""

from __future__ import annotations

from typing import Final

import numpy as np

from simulations.engine.view import LaneView, Values
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


def static(replicas: int, facts: ServiceFacts) -> Static:
    """Return so many replicas, within the bounds of the service."""
    return Static(min(max(replicas, facts.minimum), facts.maximum))
