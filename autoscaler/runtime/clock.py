"""Time as a dependency: what the shell passes to whoever needs the time."""

from __future__ import annotations

import time
from typing import Protocol

REANCHOR_DRIFT_SECONDS = 5.0


class Clock(Protocol):
    """Source of the current time."""

    def now(self) -> float:
        """Return the wall time, epoch seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean anything."""
        ...


class SystemClock:
    """Wall time carried by the monotonic clock, so that small time steps cannot empty a window.

    The wall clock is taken over again only when it has drifted by more than
    ``REANCHOR_DRIFT_SECONDS`` (a suspended machine, a corrected clock).
    """

    def __init__(self) -> None:
        self._wall_at = time.time()
        self._monotonic_at = time.monotonic()

    def now(self) -> float:
        """Return the wall time, epoch seconds."""
        carried = self._wall_at + (time.monotonic() - self._monotonic_at)
        wall = time.time()
        if abs(wall - carried) > REANCHOR_DRIFT_SECONDS:
            self._wall_at, self._monotonic_at = wall, time.monotonic()
            return wall
        return carried

    def monotonic(self) -> float:
        """Return the monotonic clock, seconds."""
        return time.monotonic()


class ManualClock:
    """A clock that stands still until told otherwise."""

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self._at = at

    def now(self) -> float:
        """Return the set time."""
        return self._at

    def monotonic(self) -> float:
        """Return the set time."""
        return self._at

    def advance(self, seconds: float) -> None:
        """Move forward by ``seconds`` (>= 0)."""
        assert seconds >= 0
        self._at += seconds


class ScaledClock:
    """A clock that starts at ``origin_at`` and runs ``speed`` times as fast as ``base``.

    Used by the demo, where an hour of load passes in half a minute.
    """

    def __init__(self, base: Clock, *, origin_at: float, speed: float) -> None:
        assert speed > 0
        self._base = base
        self._started = base.monotonic()
        self._origin_at = origin_at
        self.speed = speed

    def now(self) -> float:
        """Return the compressed wall time, epoch seconds."""
        return self._origin_at + (self._base.monotonic() - self._started) * self.speed

    def monotonic(self) -> float:
        """Return compressed seconds."""
        return self._base.monotonic() * self.speed


def loop_seconds(clock: Clock, seconds: float) -> float:
    """Return how long the event loop has to wait for ``seconds`` of ``clock`` to pass."""
    return seconds / clock.speed if isinstance(clock, ScaledClock) else seconds
