"""One policy of the decision core in every lane."""

from __future__ import annotations

from simulations.engine.view import LaneView, Values
from simulations.policies.decided import DecidedAutoscaler
from simulations.policies.vectorised.autoscaler import VectorisedAutoscaler


class DecidedLanes:
    """Decides in each lane as ``decide()`` would.

    Args:
        decided: The policy; it is read, never run.
    """

    def __init__(self, decided: DecidedAutoscaler) -> None:
        self.decided = decided
        self.tick_seconds = decided.tick_seconds
        self._vectorised = VectorisedAutoscaler([decided])

    def start(self, lanes: int) -> None:
        """Forget everything."""
        self._vectorised = VectorisedAutoscaler([self.decided] * lanes)
        self._vectorised.start(lanes)

    def decide(self, view: LaneView) -> Values:
        """Return the replicas each lane wants."""
        return self._vectorised.decide(view)
