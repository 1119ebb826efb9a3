"""The embedded cluster's control loops: level-based, one at a time, in a reproducible order."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from autoscaler.demo.objects import JsonObject, Key
from autoscaler.demo.store import Change, Item, Store
from autoscaler.runtime.clock import Clock, loop_seconds

TURN_LIMIT: Final = 200
"""Reconciles in a row before other tasks get a turn."""


class Controller(Protocol):
    """One control loop; everything it needs to know comes from the store."""

    def affected(self, change: Change) -> Iterable[Key]:
        """Return the keys to reconcile after a change."""
        ...

    def reconcile(self, key: Key) -> float | None:
        """Bring one object closer to what it should be; returns seconds until the next look."""
        ...


class OwnerIndex:
    """Who owns whom: dependents by the owner's uid, kept up to date with the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_owner: dict[str, dict[tuple[str, Key], None]] = {}
        store.listen(self._changed)

    def dependents(self, uid: str, bucket: str | None = None) -> list[Item]:
        """Return the objects that name ``uid`` as an owner, oldest first."""
        found = []
        for kind, key in self._by_owner.get(uid, ()):
            if bucket is None or kind == bucket:
                item = self._store.get(kind, *key)
                if item is not None:
                    found.append(item)
        return found

    def buckets(self, uid: str) -> list[tuple[str, Item]]:
        """Return the dependents with the bucket each is kept in."""
        found = []
        for bucket, key in list(self._by_owner.get(uid, ())):
            item = self._store.get(bucket, *key)
            if item is not None:
                found.append((bucket, item))
        return found

    def _changed(self, change: Change) -> None:
        before = set() if change.before is None else owner_uids(change.before.value)
        after = set() if change.after is None else owner_uids(change.after.value)
        entry = (change.bucket, change.key)
        for uid in before - after:
            owned = self._by_owner.get(uid, {})
            owned.pop(entry, None)
            if not owned:
                self._by_owner.pop(uid, None)
        for uid in after - before:
            self._by_owner.setdefault(uid, {})[entry] = None


def owner_uids(value: JsonObject) -> set[str]:
    """Return the uids an object names as its owners."""
    return {owner["uid"] for owner in value["metadata"].get("ownerReferences") or ()}


def controller_of(value: JsonObject) -> JsonObject | None:
    """Return the owner reference of the controller managing an object."""
    for owner in value["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return dict(owner)
    return None


def owner_keys(change: Change, kind: str) -> list[Key]:
    """Return the keys of the controllers of ``kind`` that own the changed object."""
    keys = []
    for item in (change.before, change.after):
        owner = None if item is None else controller_of(item.value)
        if owner is not None and owner["kind"] == kind:
            keys.append((change.key[0], owner["name"]))
    return keys


class ControlLoops:
    """Runs controllers on what changed, and again when they asked for it."""

    def __init__(self, store: Store, clock: Clock, controllers: Sequence[Controller]) -> None:
        self._clock = clock
        self._controllers = controllers
        self._dirty: dict[tuple[int, Key], None] = {}
        self._timers: list[tuple[float, int, Key]] = []
        self._due: dict[tuple[int, Key], float] = {}
        self._wake = asyncio.Event()
        store.listen(self._changed)

    async def run(self) -> None:
        """Reconcile for ever."""
        while True:
            self.settle(limit=TURN_LIMIT)
            if self._dirty:
                await asyncio.sleep(0)
                continue
            self._wake.clear()
            delay_seconds = self._seconds_to_timer()
            try:
                async with asyncio.timeout(delay_seconds):
                    await self._wake.wait()
            except TimeoutError:
                self._ring()

    def settle(self, limit: int | None = None) -> int:
        """Reconcile until nothing is to be done now; returns how many reconciles that took."""
        done = 0
        self._ring()
        while self._dirty and done != limit:
            index, key = next(iter(self._dirty))
            del self._dirty[index, key]
            self._due.pop((index, key), None)
            again_seconds = self._controllers[index].reconcile(key)
            if again_seconds is not None:
                due_at = self._clock.monotonic() + again_seconds
                self._due[index, key] = due_at
                heapq.heappush(self._timers, (due_at, index, key))
            done += 1
        return done

    def _changed(self, change: Change) -> None:
        for index, controller in enumerate(self._controllers):
            for key in controller.affected(change):
                self._dirty[index, key] = None
        self._wake.set()

    def _seconds_to_timer(self) -> float | None:
        if not self._timers:
            return None
        left_seconds = max(0.0, self._timers[0][0] - self._clock.monotonic())
        return loop_seconds(self._clock, left_seconds)

    def _ring(self) -> None:
        """Mark what is due by now; a timer that was set anew since is stale and dropped."""
        now = self._clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            due_at, index, key = heapq.heappop(self._timers)
            if self._due.get((index, key)) == due_at:
                self._dirty[index, key] = None
