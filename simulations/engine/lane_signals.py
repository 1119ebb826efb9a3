"""Signals of :mod:`simulations.engine.signals` over many lanes, equal to the last bit.

A signal of the load alone is one number for all lanes, or one for each draw of the counted
arrivals. One of the plant needs the state before certain steps, known in advance from the scrapes;
only those states are copied.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulations.engine.signals import Scrapes
from simulations.engine.view import Values
from simulations.plant.lane_tier import LaneTier
from simulations.plant.parameters import Signal, SignalKind

NOT_KEPT: Values = np.zeros(0)


class LaneSignal:
    """One signal.

    Args:
        signal: What it measures.
        scrapes: When.
        arrived: Requests counted before each step, of each draw of the arrivals.
        step_ms: Length of a step.
        draws: Which one each lane has; None = all the first.
    """

    def __init__(
        self,
        signal: Signal,
        scrapes: Scrapes,
        arrived: Sequence[Sequence[float]],
        step_ms: int,
        *,
        draws: NDArray[np.int64] | None = None,
    ) -> None:
        self.name = signal.name
        self.kind = signal.kind
        self._scrapes = scrapes
        self._arrived = arrived
        self._draws = draws
        self._step_ms = step_ms
        self._window_steps = max(1, round(signal.window_seconds * 1000 / step_ms))
        self._kept: dict[int, tuple[Values, Values]] = {}
        self._cached: tuple[int, Values | float] | None = None
        measured = set(scrapes.steps())
        self._needed = set(measured)
        if self.kind is SignalKind.UTILIZATION:
            self._needed |= {max(0, step - self._window_steps) for step in measured}

    def keep(self, step: int, tier: LaneTier, worked: Values, capacity: Values) -> None:
        """Copy the state before a step, if a measurement will need it.

        Args:
            step: About to begin.
            tier: As the step before left it.
            worked: Served requests that the busy servers were worth since the start; only read for
                utilization.
            capacity: Requests that could have been served since the start.
        """
        if self.kind is SignalKind.REQUEST_RATE or step not in self._needed:
            return
        match self.kind:
            case SignalKind.QUEUE_LENGTH:
                self._kept[step] = tier.backlog.copy(), NOT_KEPT
            case SignalKind.CONCURRENCY:
                self._kept[step] = tier.backlog + tier.in_service(), NOT_KEPT
            case SignalKind.UTILIZATION:
                self._kept[step] = worked.copy(), capacity.copy()

    def read(self, at_ms: int) -> tuple[Values | float, int]:
        """Return what can be read now (NaN = missing) and when it was measured, milliseconds."""
        step = self._scrapes.visible(at_ms)
        if step is None:
            return math.nan, at_ms
        if self._cached is None or self._cached[0] != step:
            self._cached = step, self._measure(step)
            oldest = step - self._window_steps
            for kept in [kept for kept in self._kept if kept < oldest]:
                del self._kept[kept]
        return self._cached[1], step * self._step_ms

    def _measure(self, step: int) -> Values | float:
        since = max(0, step - self._window_steps)
        match self.kind:
            case SignalKind.REQUEST_RATE:
                if since == step:
                    return math.nan
                seconds = (step - since) * (self._step_ms / 1000)
                rates = [(draw[step] - draw[since]) / seconds for draw in self._arrived]
                return rates[0] if self._draws is None else np.array(rates)[self._draws]
            case SignalKind.UTILIZATION:
                worked, capacity = self._kept[step]
                worked_before, capacity_before = self._kept[since]
                possible = capacity - capacity_before
                value = np.full(len(possible), math.nan)
                np.divide(worked - worked_before, possible, out=value, where=possible > 0)
                return value
            case _:
                return self._kept[step][0]
