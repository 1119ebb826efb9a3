"""An autoscaler of many lanes, used for a single run."""

from __future__ import annotations

import math

import numpy as np

from simulations.engine.view import LaneAutoscaler, LaneView, Values, View


class OneLane:
    """A lane autoscaler under the exact replay.

    Args:
        lanes: Decides; started anew for one lane.
    """

    def __init__(self, lanes: LaneAutoscaler) -> None:
        self._lanes = lanes
        lanes.start(1)

    @property
    def tick_seconds(self) -> float:
        """How often it decides."""
        return self._lanes.tick_seconds

    def decide(self, view: View) -> int:
        """Return the replicas the only lane wants."""
        signals: dict[str, Values | float] = {
            name: np.array([math.nan if measured.value is None else measured.value])
            for name, measured in view.signals.items()
        }
        wanted = self._lanes.decide(
            LaneView(
                view.at_ms,
                view.at,
                np.array([float(view.replicas)]),
                np.array([float(view.serving)]),
                signals,
                {name: measured.at_ms for name, measured in view.signals.items()},
            )
        )
        return int(wanted[0])

    def applied(self, at: float, *, succeeded: bool) -> None:
        """Hear nothing: lane autoscalers see the replicas of their next view."""
