"""What somebody else decided in the past, as an autoscaler."""

from __future__ import annotations

import math

from simulations.engine.view import View
from simulations.workload.trace import Trace


class RecordedReplicas:
    """Wants the replicas that were recorded.

    Args:
        trace: Replicas at instants; where they are missing the last ones stay.
        tick_seconds: How often it looks.
    """

    def __init__(self, trace: Trace, *, tick_seconds: float) -> None:
        self.tick_seconds = tick_seconds
        self._values: list[float] = trace.values.tolist()
        self._start_at = trace.start_at
        self._step_seconds = trace.step_seconds

    def decide(self, view: View) -> int:
        """Return the recorded replicas of this instant."""
        index = int((view.at - self._start_at) // self._step_seconds)
        if not 0 <= index < len(self._values) or math.isnan(self._values[index]):
            return view.replicas
        return round(self._values[index])

    def applied(self, at: float, *, succeeded: bool) -> None:
        """Hear nothing: the past does not change."""
