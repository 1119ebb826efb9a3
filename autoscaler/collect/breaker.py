"""Circuit breaker: leave a source that keeps failing alone, and notice soon when it is back."""

from __future__ import annotations

import random
from enum import StrEnum

import msgspec

from autoscaler.errors import MetricError


class BreakerState(StrEnum):
    """Whether a source is asked."""

    CLOSED = "closed"
    OPEN = "open"


class BreakerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When to stop asking, and how often to try again.

    Attributes:
        failures: Whole-source failures in a row that open the breaker.
        probe_seconds: First wait before a probe; doubles with each failed probe.
        probe_seconds_max: Longest wait between probes, whatever the polling interval.
    """

    failures: int = 3
    probe_seconds: float = 0.5
    probe_seconds_max: float = 30.0


class Breaker:
    """Counts whole-source failures; while open, only one small probe is due at a time.

    The wait between probes never exceeds the shortest polling interval of the source, so that a
    source that comes back is read again within two intervals.
    """

    def __init__(self, settings: BreakerSettings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self._wait_seconds = settings.probe_seconds
        self.failures = 0
        self.state = BreakerState.CLOSED
        self.probe_at = 0.0
        self.failure: MetricError | None = None

    @property
    def is_open(self) -> bool:
        """Whether only probes may ask the source."""
        return self.state is BreakerState.OPEN

    def succeeded(self) -> None:
        """Note an answer: the source lives."""
        self.failures = 0
        self._wait_seconds = self._settings.probe_seconds
        self.state = BreakerState.CLOSED
        self.failure = None

    def failed(self, error: MetricError, *, now: float, interval_seconds: float) -> None:
        """Note that nothing could be read.

        Args:
            error: Why, for the readings given while open.
            now: Seconds of the clock that :attr:`probe_at` is compared with.
            interval_seconds: Shortest polling interval of the source.
        """
        self.failures += 1
        self.failure = error
        if self.failures < self._settings.failures:
            return
        self.state = BreakerState.OPEN
        longest = min(interval_seconds, self._settings.probe_seconds_max)
        wait = min(self._wait_seconds, longest)
        self._wait_seconds = min(self._wait_seconds * 2, self._settings.probe_seconds_max)
        self.probe_at = now + wait * self._rng.uniform(0.5, 1.0)
