"""Autoscalers side by side, each for some of the lanes.

What learns from the request rate keeps one history, so lanes whose counted arrivals differ need
learners of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulations.engine.view import LaneAutoscaler, LaneView, Values


class Apart:
    """Decides in each lane as the lane's own autoscaler does.

    Args:
        autoscalers: All decide equally often.
        which: Position of each lane's autoscaler among them.
    """

    def __init__(self, autoscalers: Sequence[LaneAutoscaler], which: Sequence[int]) -> None:
        self.tick_seconds = autoscalers[0].tick_seconds
        assert all(one.tick_seconds == self.tick_seconds for one in autoscalers)
        lanes = [np.flatnonzero(np.array(which) == place) for place in range(len(autoscalers))]
        self._parts = [part for part in zip(autoscalers, lanes, strict=True) if part[1].size]
        self._lanes = len(which)

    def start(self, lanes: int) -> None:
        """Forget everything."""
        assert lanes == self._lanes, (lanes, self._lanes)
        for autoscaler, some in self._parts:
            autoscaler.start(len(some))

    def decide(self, view: LaneView) -> Values:
        """Return the replicas each lane wants."""
        wanted = view.replicas.copy()
        for autoscaler, some in self._parts:
            wanted[some] = autoscaler.decide(view.of_lanes(some))
        return wanted
