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

STALE_ENTRIES_MIN = 64
"""Below this many outdated heap entries, cleaning up is not worth it."""


class QueueClosed(Exception):
    """The queue was closed; there will be no further keys."""


class WorkQueue(Generic[K]):
    """De-duplicating, delaying queue with one worker per key; loop time, one event loop.

    A worker does ``key = await queue.get()``, works, and always calls ``queue.done(key)``.

    Args:
        limit: Distinct keys waiting or delayed at most; more raise ``asyncio.QueueFull``, because
            losing a key silently would leave an object unattended.
    """

    def __init__(self, *, limit: int = 100_000) -> None:
        self._limit = limit
        self._ready: OrderedDict[K, None] = OrderedDict()
        self._due_at: dict[K, float] = {}
        # Entries whose time is no longer the key's in _due_at are outdated and skipped.
        self._delayed: list[tuple[float, int, K]] = []
        self._sequence = 0
        self._in_flight: set[K] = set()
        self._again: set[K] = set()
        self._getters: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    @property
    def depth(self) -> int:
        """Keys that are due: ready for a worker, or waiting for the worker that has them."""
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
        if self._closed:
            return
        if self._due_at.pop(key, None) is not None:
            self._discard_outdated()
        if key in self._in_flight:
            self._again.add(key)
        elif key not in self._ready:
            self._check_room()
            self._ready[key] = None
            self._wake_one()

    def add_after(self, key: K, seconds: float) -> None:
        """Make a key ready in ``seconds`` (<= 0: now); the earliest wish wins.

        Ignored when the key is due anyway, and once closed.
        """
        if seconds <= 0:
            self.add(key)
            return
        if self._closed or key in self._ready or key in self._again:
            return
        due_at = asyncio.get_running_loop().time() + seconds
        known = self._due_at.get(key)
        if known is not None and known <= due_at:
            return
        if known is None:
            self._check_room()
        self._due_at[key] = due_at
        self._sequence += 1
        heapq.heappush(self._delayed, (due_at, self._sequence, key))
        self._discard_outdated()
        self._set_timer()

    def forget(self, key: K) -> None:
        """Drop a waiting or delayed key; one in flight is not interrupted and does not return."""
        self._ready.pop(key, None)
        self._again.discard(key)
        if self._due_at.pop(key, None) is not None:
            self._discard_outdated()

    async def get(self) -> K:
        """Return the next ready key, first come first served; raises QueueClosed."""
        loop = asyncio.get_running_loop()
        while not self._ready:
            if self._closed:
                raise QueueClosed
            waiter: asyncio.Future[None] = loop.create_future()
            self._getters[waiter] = None
            try:
                await waiter
            except asyncio.CancelledError:
                self._getters.pop(waiter, None)
                # The wake-up may have been meant for us: somebody else must have it.
                if self._ready:
                    self._wake_one()
                raise
        if self._closed:
            raise QueueClosed
        key, _ = self._ready.popitem(last=False)
        self._in_flight.add(key)
        self._idle.clear()
        return key

    def done(self, key: K) -> None:
        """Give a key back; it becomes ready again if it was added meanwhile."""
        self._in_flight.remove(key)
        if not self._in_flight:
            self._idle.set()
        if key in self._again:
            self._again.remove(key)
            self.add(key)

    def close(self) -> None:
        """Hand out nothing more: waiting workers get QueueClosed, queued keys are dropped.

        Dropping is safe because keys are hints: whoever takes over looks at every object anyway.
        """
        self._closed = True
        self._ready.clear()
        self._again.clear()
        self._due_at.clear()
        self._delayed.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._getters:
            self._wake_one()

    async def drained(self) -> None:
        """Wait until no key is in flight; the caller sets the timeout."""
        await self._idle.wait()

    def _check_room(self) -> None:
        if len(self._ready) + len(self._again) + len(self._due_at) >= self._limit:
            raise asyncio.QueueFull(f"work queue holds its limit of {self._limit} keys")

    def _wake_one(self) -> None:
        while self._getters:
            waiter, _ = self._getters.popitem(last=False)
            if not waiter.done():
                waiter.set_result(None)
                return

    def _discard_outdated(self) -> None:
        while self._delayed and self._due_at.get(self._delayed[0][2]) != self._delayed[0][0]:
            heapq.heappop(self._delayed)
        # Keys rescheduled over and over leave outdated entries in the middle of the heap.
        if len(self._delayed) > 2 * len(self._due_at) + STALE_ENTRIES_MIN:
            self._delayed = [e for e in self._delayed if self._due_at.get(e[2]) == e[0]]
            heapq.heapify(self._delayed)

    def _set_timer(self) -> None:
        if self._timer is not None:
            if self._delayed and self._timer.when() <= self._delayed[0][0]:
                return
            self._timer.cancel()
            self._timer = None
        if self._delayed:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._delayed[0][0], self._release_due)

    def _release_due(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._delayed and self._delayed[0][0] <= now:
            due_at, _, key = heapq.heappop(self._delayed)
            if self._due_at.get(key) == due_at:
                self.add(key)
        self._discard_outdated()
        self._set_timer()
