"""The queue between "something changed" and "somebody looks at it".

Keys, not events, are queued: adding a key twice is the same as adding it once, so a storm of events
costs one reconcile. A key is in the hands of at most one worker; added again meanwhile, it comes
back when that worker is done.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class QueueClosed(Exception):  # noqa: N818 -- as asyncio.QueueShutDown: a state, not an error
    """The queue was closed; there will be no further keys."""


class WorkQueue(Generic[K]):
    """De-duplicating, delaying queue with one worker per key; loop time, one event loop.

    A worker does ``key = await queue.get()``, works, and always calls ``queue.done(key)``.

    Args:
        limit: Distinct keys waiting at most; more raise ``asyncio.QueueFull``, because losing a key
            silently would leave an object unattended.
    """

    def __init__(self, *, limit: int = 100_000) -> None:
        self._limit = limit
        self._ready: OrderedDict[K, None] = OrderedDict()
        self._due_at: dict[K, float] = {}
        self._delayed: list[tuple[float, int, K]] = []
        self._sequence = 0
        self._in_flight: set[K] = set()
        self._again: set[K] = set()
        self._getters: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._idle: asyncio.Event | None = None
        self._closed = False

    @property
    def depth(self) -> int:
        """Keys ready for a worker."""
        return len(self._ready) + len(self._again)

    @property
    def delayed(self) -> int:
        """Keys waiting for their time."""
        return len(self._due_at)

    @property
    def in_flight(self) -> int:
        """Keys in a worker's hands."""
        return len(self._in_flight)

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def add(self, key: K) -> None:
        """Make a key ready now; ignored once closed."""
        raise NotImplementedError

    def add_after(self, key: K, seconds: float) -> None:
        """Make a key ready in ``seconds`` (<= 0: now); the earliest wish wins. Ignored once closed."""
        raise NotImplementedError

    def forget(self, key: K) -> None:
        """Drop a waiting or delayed key; one in flight is not interrupted and does not return."""
        raise NotImplementedError

    async def get(self) -> K:
        """Return the next ready key, first come first served; raises QueueClosed."""
        raise NotImplementedError

    def done(self, key: K) -> None:
        """Give a key back; it becomes ready again if it was added meanwhile."""
        raise NotImplementedError

    def close(self) -> None:
        """Hand out nothing more: waiting workers get QueueClosed, queued keys are dropped."""
        raise NotImplementedError

    async def drained(self) -> None:
        """Wait until no key is in flight; the caller sets the timeout."""
        raise NotImplementedError
