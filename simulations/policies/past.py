"""What an autoscaler that learns has seen of the request rate: one value a minute."""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulations.engine.lane_signals import LaneSignal
from simulations.engine.signals import Scrapes
from simulations.engine.view import LaneView, Values
from simulations.plant.parameters import Signal
from simulations.workload.load import Load

MINUTE_SECONDS: Final = 60.0

Floats = NDArray[np.float64]


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """Readings from before a run, as they could be read then.

    Attributes:
        start_at: When the first one could be read, epoch seconds.
        rates: Requests per second, one a minute; NaN = missing.
    """

    start_at: float
    rates: Floats


class RateHistory:
    """Readings from before the run and of the run, one a minute.

    Args:
        signal: Name of the request rate.
        minutes: How many are kept at least.
        past: From before the run.
    """

    def __init__(self, signal: str, *, minutes: int, past: Past | None = None) -> None:
        self._signal = signal
        self._minutes = minutes
        self._past = past
        self._values: list[float] = []
        self._next = -1
        self.forget()

    def forget(self) -> None:
        """Forget the run, not what was before it."""
        self._values = []
        self._next = -1
        if self._past is not None:
            self._values = self._past.rates[-self._minutes :].tolist()
            first = int(self._past.start_at // MINUTE_SECONDS)
            self._next = first + len(self._past.rates)

    def observe(self, view: LaneView) -> None:
        """Keep the first reading of a minute; a minute without any is missing."""
        minute = int(view.at // MINUTE_SECONDS)
        if minute < self._next:
            return
        if self._values:
            gap = min(minute - self._next, self._minutes)
            self._values.extend([math.nan] * gap)
        self._values.append(only(view.signals[self._signal]))
        self._next = minute + 1
        if len(self._values) > 2 * self._minutes:
            del self._values[: -self._minutes]

    @property
    def end_at(self) -> float:
        """When the minute of the last reading ends, epoch seconds."""
        return self._next * MINUTE_SECONDS

    def last(self, minutes: int) -> Floats:
        """Return the newest readings, oldest first; fewer when there are fewer."""
        return np.array(self._values[-minutes:] if minutes else [], dtype=np.float64)


def only(value: Values | float) -> float:
    """Return the value of a signal that is the same in every lane."""
    return value if isinstance(value, float) else float(value[0])


def past_of(load: Load, signal: Signal, *, steps: int, seed: int) -> Past:
    """Return what could be read of a request rate during the first steps of a load.

    Args:
        load: What arrived.
        signal: The request rate; its scrapes, window and lag apply as in a run.
        steps: How many steps are past.
        seed: Of failing scrapes.
    """
    step_ms = round(load.step_seconds * 1000)
    scrapes = Scrapes(
        signal, step_ms=step_ms, duration_ms=steps * step_ms, seed=seed, known=load.known
    )
    arrived = np.cumsum(np.concatenate([[0.0], load.counted[:steps].astype(np.float64)])).tolist()
    reader = LaneSignal(signal, scrapes, [arrived], step_ms)
    minute_ms = round(MINUTE_SECONDS * 1000)
    first_ms = -round(load.start_at * 1000) % minute_ms
    instants = range(first_ms, steps * step_ms, minute_ms)
    return Past(
        start_at=load.start_at + first_ms / 1000,
        rates=np.array([only(reader.read(at_ms)[0]) for at_ms in instants]),
    )
