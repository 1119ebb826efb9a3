"""Short pieces of work that leave a server on the same event loop room for its calls.

A server of grpc.aio accepts about one call per turn of the loop and takes several turns to answer
it. A thousand pieces of work in a row, however politely each yields once, make every turn long, and
calls queue up behind them though there is processor time for both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

WORK_SECONDS: Final = 0.0005
"""How long work goes on in one go."""

REST_SECONDS: Final = 0.0035
"""How long calls then have the loop for themselves."""

WAITING_MAX: Final = 2_000
"""With more pieces of work waiting, they come first: what is told must not get old."""


class Pace:
    """Hands out turns, one at a time, first come first served; rests only while there are calls.

    Args:
        calls: How many calls there have been.
        waiting: How many pieces of work wait for a turn.
    """

    def __init__(self, calls: Callable[[], int], waiting: Callable[[], int]) -> None:
        self._calls = calls
        self._waiting = waiting
        self._lock = asyncio.Lock()
        self._began_at = 0.0
        self._calls_before = 0

    async def turn(self) -> None:
        """Return when it is the caller's turn; it should work at once, without waiting first."""
        clock = asyncio.get_running_loop().time
        async with self._lock:
            await asyncio.sleep(0)
            passed = clock() - self._began_at
            if passed < WORK_SECONDS:
                return
            # Whoever comes after a longer pause has not worked all the time.
            is_tired = passed < WORK_SECONDS + REST_SECONDS
            if is_tired and self._has_calls() and self._waiting() <= WAITING_MAX:
                await asyncio.sleep(REST_SECONDS)
            self._began_at, self._calls_before = clock(), self._calls()

    def _has_calls(self) -> bool:
        """Whether there were any since the last rest."""
        return self._calls() > self._calls_before
