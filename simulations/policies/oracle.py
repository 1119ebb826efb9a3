"""Perfect foresight: what an autoscaler could do at best, to measure the others by.

At every step it wants what serves the highest load of now until a pod started now will serve (the
95th percentile of the start-up), so no pod is late but one in twenty. It is no autoscaler: it is
given the load itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from simulations.engine.view import LaneView, Values
from simulations.policies.past import Floats
from simulations.policies.service import ServiceFacts
from simulations.workload.load import Load


class Oracle:
    """Knows the load.

    Args:
        load: What will arrive.
        replicas_for: Least replicas that serve a rate (requests per second) well enough.
        horizons: Seconds each lane looks ahead.
        facts: Bounds.
    """

    def __init__(
        self,
        load: Load,
        replicas_for: Callable[[Floats], Floats],
        horizons: Sequence[float],
        facts: ServiceFacts,
    ) -> None:
        self.tick_seconds = load.step_seconds
        self._step_ms = round(load.step_seconds * 1000)
        needed = np.asarray(replicas_for(load.expected / load.step_seconds), dtype=np.float64)
        needed = np.clip(needed, facts.minimum, facts.maximum)
        distinct = sorted(set(horizons))
        self._of_lane = np.array([distinct.index(horizon) for horizon in horizons])
        # One row per step, so that a decision reads one row.
        self._wanted = np.column_stack(
            [highest_ahead(needed, int(np.ceil(h / load.step_seconds))) for h in distinct]
        )

    def start(self, lanes: int) -> None:
        """Get ready; there is nothing to forget."""
        assert lanes == len(self._of_lane), (lanes, len(self._of_lane))

    def decide(self, view: LaneView) -> Values:
        """Return the replicas each lane will need."""
        wanted: Values = self._wanted[view.at_ms // self._step_ms][self._of_lane]
        return wanted


def highest_ahead(values: Floats, steps: int) -> Floats:
    """Return, for each step, the highest of it and the ``steps`` after it."""
    highest, reach = values.copy(), 1
    while reach < steps + 1:
        shift = min(reach, steps + 1 - reach)
        highest[:-shift] = np.maximum(highest[:-shift], highest[shift:])
        reach += shift
    return highest
