"""The metric-lag model: what a signal shows at an instant, from what has happened before it.

A value is measured at scrapes (``phase + n * scrape``), over the whole steps before the scrape, and
can be read ``lag`` later. A scrape that failed shows the one before, for up to five minutes; while
the load is unknown, or the metrics are out, there is no value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulations.engine.view import Measured
from simulations.errors import SimulationError
from simulations.plant.parameters import NotNegative, Signal, SignalKind
from simulations.workload.trace import Trace

STALE_AFTER_MS: Final = 300_000
"""How long a series outlives its last sample (Prometheus' lookback)."""


class Scrapes:
    """When a signal is measured, and which measurement can be read when.

    Args:
        signal: Its timing.
        step_ms: Length of a step.
        duration_ms: Length of the run.
        seed: Of the failing scrapes.
        known: By step, whether the load is known.
        outages: ``(from, to)`` seconds after the start without metrics.

    Raises:
        SimulationError: The scrape interval is shorter than a step.
    """

    def __init__(
        self,
        signal: Signal,
        *,
        step_ms: int,
        duration_ms: int,
        seed: int,
        known: NDArray[np.bool_],
        outages: Sequence[tuple[float, float]] = (),
    ) -> None:
        self._step_ms = step_ms
        self._lag_ms = round(signal.lag_seconds * 1000)
        self._scrape_ms = round(signal.scrape_seconds * 1000)
        self._phase_ms = round(signal.phase_seconds * 1000)
        self._outages_ms = [(round(a * 1000), round(b * 1000)) for a, b in outages]
        if self._scrape_ms < step_ms:
            raise SimulationError(
                f"signal {signal.name}: scrape_seconds is {signal.scrape_seconds:g}, shorter than "
                f"a step of {step_ms / 1000:g} s"
            )
        count = duration_ms // self._scrape_ms + 1
        random = np.random.default_rng([seed, 0x5343])
        failed = random.random(count) < signal.missed_ratio
        newest, last = [], -1
        for index in range(count):
            step = (self._phase_ms + index * self._scrape_ms) // step_ms
            if not failed[index]:
                is_known = step == 0 or step > len(known) or bool(known[step - 1])
                last = index if is_known else -1
            newest.append(last)
        self._newest = newest

    def steps(self) -> list[int]:
        """Return every step before which a measurement is made."""
        return [
            (self._phase_ms + index * self._scrape_ms) // self._step_ms
            for index in range(len(self._newest))
        ]

    def visible(self, at_ms: int) -> int | None:
        """Return the step before which the newest readable measurement was made, None = none."""
        for begin_ms, end_ms in self._outages_ms:
            if begin_ms <= at_ms < end_ms:
                return None
        index = (at_ms - self._lag_ms - self._phase_ms) // self._scrape_ms
        if index < 0:
            return None
        index = self._newest[min(index, len(self._newest) - 1)]
        measured_ms = self._phase_ms + index * self._scrape_ms
        if index < 0 or at_ms - self._lag_ms - measured_ms > STALE_AFTER_MS:
            return None
        return measured_ms // self._step_ms


class History:
    """What has happened so far; index ``b`` of each list holds the state before step ``b``.

    Attributes:
        arrived: Requests counted since the start.
        worked: Served requests that the busy servers were worth since the start.
        capacity: Requests that could have been served since the start.
        backlog: Requests that wait.
        in_service: Requests being served.
    """

    __slots__ = ("arrived", "backlog", "capacity", "in_service", "worked")

    def __init__(self) -> None:
        self.arrived = [0.0]
        self.worked = [0.0]
        self.capacity = [0.0]
        self.backlog = [0.0]
        self.in_service = [0.0]


class SignalTap:
    """One signal of one tier.

    Args:
        signal: What it measures.
        scrapes: When.
        history: Of the tier; grows while the run goes on.
        step_ms: Length of a step.
    """

    def __init__(self, signal: Signal, scrapes: Scrapes, history: History, step_ms: int) -> None:
        self._signal = signal
        self._scrapes = scrapes
        self._history = history
        self._step_ms = step_ms
        self._window_steps = max(1, round(signal.window_seconds * 1000 / step_ms))
        self._cached: tuple[int, Measured] | None = None

    def read(self, at_ms: int) -> Measured:
        """Return what can be read now."""
        step = self._scrapes.visible(at_ms)
        if step is None:
            return Measured(None, at_ms)
        if self._cached is None or self._cached[0] != step:
            self._cached = step, Measured(self._measure(step), step * self._step_ms)
        return self._cached[1]

    def _measure(self, step: int) -> float | None:
        history = self._history
        match self._signal.kind:
            case SignalKind.QUEUE_LENGTH:
                return history.backlog[step]
            case SignalKind.CONCURRENCY:
                return history.backlog[step] + history.in_service[step]
            case SignalKind.REQUEST_RATE:
                since = max(0, step - self._window_steps)
                if since == step:
                    return None
                arrived = history.arrived[step] - history.arrived[since]
                return arrived / ((step - since) * (self._step_ms / 1000))
            case SignalKind.UTILIZATION:
                since = max(0, step - self._window_steps)
                capacity = history.capacity[step] - history.capacity[since]
                if capacity <= 0:
                    return None
                return (history.worked[step] - history.worked[since]) / capacity


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A signal that was recorded: what a real source showed at the time, whatever happens now.

    Attributes:
        trace: Values at instants, the first at the start of the trace; NaN = missing.
        lag_seconds: From an instant until its value can be read.
    """

    trace: Trace
    lag_seconds: NotNegative


class RecordedTap:
    """A recorded signal in a run.

    Args:
        recorded: The signal.
        start_at: Beginning of the run, epoch seconds.
    """

    def __init__(self, recorded: Recorded, start_at: float) -> None:
        trace = recorded.trace
        self._values = trace.values.tolist()
        self._step_ms = round(trace.step_seconds * 1000)
        self._begin_ms = round((trace.start_at - start_at) * 1000)
        self._lag_ms = round(recorded.lag_seconds * 1000)

    def read(self, at_ms: int) -> Measured:
        """Return what could be read then."""
        index = (at_ms - self._lag_ms - self._begin_ms) // self._step_ms
        if not 0 <= index < len(self._values):
            return Measured(None, at_ms)
        value = self._values[index]
        measured_ms = self._begin_ms + index * self._step_ms
        return Measured(None if math.isnan(value) else value, measured_ms)
