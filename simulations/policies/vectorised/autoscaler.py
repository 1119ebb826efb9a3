"""The lane autoscaler that decides for a list of policies."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from simulations.engine.view import LaneView, Values
from simulations.errors import SimulationError
from simulations.policies.decided import DecidedAutoscaler
from simulations.policies.vectorised.decider import Decider
from simulations.policies.vectorised.parameters import structure_of, unsupported


class VectorisedAutoscaler:
    """Decides as each policy's ``decide()`` would.

    Args:
        policies: One per lane; all decide equally often.

    Raises:
        SimulationError: A policy needs exact replay, or ticks differ.
    """

    def __init__(self, policies: Sequence[DecidedAutoscaler]) -> None:
        for decided in policies:
            reason = unsupported(decided)
            if reason:
                raise SimulationError(
                    f"policy {decided.policy.key}: the kernel has no {reason}; use exact replay"
                )
        ticks = {decided.tick_seconds for decided in policies}
        if len(ticks) != 1:
            raise SimulationError(f"policies of one group decide at different ticks: {ticks}")
        self.tick_seconds = ticks.pop()
        self._policies = policies
        self._alike: dict[Hashable, list[int]] = {}
        for lane, decided in enumerate(policies):
            self._alike.setdefault(structure_of(decided), []).append(lane)
        self._deciders: list[tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Decider]] = []

    def start(self, lanes: int) -> None:
        """Forget everything."""
        if lanes != len(self._policies):
            raise SimulationError(f"{lanes} lanes for {len(self._policies)} policies")
        self._deciders = [
            (np.array(alike), Decider([self._policies[lane] for lane in alike]))
            for alike in self._alike.values()
        ]

    def decide(self, view: LaneView) -> Values:
        """Return the replicas each lane wants."""
        if len(self._deciders) == 1:
            return self._deciders[0][1].decide(view)
        wanted = view.replicas.copy()
        for lanes, decider in self._deciders:
            wanted[lanes] = decider.decide(view.of_lanes(lanes))
        return wanted
