"""Going slower on purpose: a token bucket for calls, and back-off per failing key."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from random import Random
from typing import Generic, TypeVar

from autoscaler.runtime.backoff import Backoff

K = TypeVar("K", bound=Hashable)


class TokenBucket:
    """At most ``burst`` calls at once and ``rate_per_second`` in the long run, in arrival order.

    Time is the running loop's. Waiting callers hold a reservation, so a late small call cannot
    overtake them; a cancelled one gives its reservation back.
    """

    def __init__(self, rate_per_second: float, burst: int) -> None:
        assert rate_per_second > 0
        assert burst >= 1
        self._rate_per_second = rate_per_second
        self._burst = float(burst)
        self._tokens = float(burst)
        self._filled_at: float | None = None

    async def acquire(self) -> float:
        """Wait for a token; returns the seconds waited."""
        self._fill()
        self._tokens -= 1.0
        if self._tokens >= 0:
            return 0.0
        wait_seconds = -self._tokens / self._rate_per_second
        try:
            await asyncio.sleep(wait_seconds)
        except asyncio.CancelledError:
            self._tokens += 1.0
            raise
        return wait_seconds

    def try_acquire(self) -> bool:
        """Take a token if one is there; never waits."""
        self._fill()
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _fill(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._filled_at is not None:
            gained = (now - self._filled_at) * self._rate_per_second
            self._tokens = min(self._burst, self._tokens + gained)
        self._filled_at = now


class ErrorThrottle(Generic[K]):
    """Back-off per key: a key that keeps failing is tried ever more rarely, others are not touched.

    At most ``limit`` failing keys are remembered; the one that failed longest ago is forgotten
    first, which only means that its next failure counts as a first one.
    """

    def __init__(
        self,
        rng: Random,
        *,
        base_seconds: float = 0.5,
        cap_seconds: float = 60.0,
        limit: int = 10_000,
    ) -> None:
        self._rng = rng
        self._base_seconds = base_seconds
        self._cap_seconds = cap_seconds
        self._limit = limit
        self._failing: OrderedDict[K, Backoff] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failing)

    def failed(self, key: K, at: float, *, at_least: float = 0.0) -> float:
        """Count a failure; returns the seconds to wait before trying the key again.

        Args:
            key: What failed.
            at: Now, ``loop.time()``.
            at_least: A lower bound somebody else asks for, such as ``Retry-After``.
        """
        backoff = self._failing.get(key)
        if backoff is None:
            backoff = self._failing[key] = Backoff(
                self._rng,
                base_seconds=self._base_seconds,
                cap_seconds=self._cap_seconds,
                # Only a success ends a row of failures: a slow key may fail every few minutes.
                reset_after_seconds=float("inf"),
            )
        self._failing.move_to_end(key)
        while len(self._failing) > self._limit:
            self._failing.popitem(last=False)
        return backoff.next_delay(at, at_least=at_least)

    def succeeded(self, key: K) -> None:
        """End the key's row of failures; also for keys that no longer exist."""
        self._failing.pop(key, None)

    def failures(self, key: K) -> int:
        """Return the failures in a row of a key."""
        backoff = self._failing.get(key)
        return backoff.attempts if backoff else 0
