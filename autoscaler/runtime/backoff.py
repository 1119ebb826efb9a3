"""How long to wait before trying again: exponential, with full jitter.

Full jitter (a uniform draw below the exponential ceiling) spreads the retries of many clients best;
a small floor keeps a lucky draw from becoming a hot loop. The random generator is injected, so that
tests and simulations repeat exactly.
"""

from __future__ import annotations

from random import Random

FLOOR_RATIO = 0.1


class Backoff:
    """Delays of one retry loop.

    The first delay is drawn below ``base_seconds``, each further one below twice the last ceiling,
    at most ``cap_seconds``. A loop that did not need a delay for ``reset_after_seconds`` starts
    over, so that one failure a day never waits the full cap.
    """

    def __init__(
        self,
        rng: Random,
        *,
        base_seconds: float = 0.8,
        cap_seconds: float = 30.0,
        reset_after_seconds: float = 120.0,
    ) -> None:
        assert 0 < base_seconds <= cap_seconds
        self._rng = rng
        self._base_seconds = base_seconds
        self._cap_seconds = cap_seconds
        self._reset_after_seconds = reset_after_seconds
        self._attempts = 0
        self._due_at: float | None = None

    @property
    def attempts(self) -> int:
        """Delays handed out since the last reset."""
        return self._attempts

    def next_delay(self, at: float, *, at_least: float = 0.0) -> float:
        """Return how long to wait now, seconds, > 0.

        Args:
            at: Now on any monotonic scale (``loop.time()``); only differences count.
            at_least: A lower bound somebody else asks for, such as ``Retry-After``.
        """
        if self._due_at is not None and at - self._due_at >= self._reset_after_seconds:
            self._attempts = 0
        # 2.0 ** 1024 overflows; the cap is reached long before.
        ceiling = min(self._cap_seconds, self._base_seconds * 2.0 ** min(self._attempts, 64))
        self._attempts += 1
        delay = max(self._rng.uniform(self._base_seconds * FLOOR_RATIO, ceiling), at_least)
        self._due_at = at + delay
        return delay

    def reset(self) -> None:
        """Forget past failures: the next delay is a first one."""
        self._attempts = 0
        self._due_at = None
