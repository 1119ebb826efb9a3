"""Versioned objects with a bounded history, as etcd and the watch cache keep them.

Every write gets the next version of one counter. The last ``history_limit`` changes are kept, so a
watch can resume and a paged list can be read as of its first page; what is older is compacted and
answers :class:`Compacted`. Values handed in and out are shared: nobody changes them in place.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import takewhile
from typing import Final

import msgspec

from autoscaler.demo.objects import JsonObject, Key, copy_of, encode, key_of

HISTORY_LIMIT: Final = 20_000
WATCH_QUEUE_LIMIT: Final = 10_000
FIRST_VERSION: Final = 1_000


class Compacted(Exception):
    """The asked version is no longer in the history.

    Attributes:
        asked: The version asked for.
        oldest: The oldest version that can still be asked for.
    """

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {asked} ({oldest})")
        self.asked = asked
        self.oldest = oldest


class Item(msgspec.Struct, frozen=True):
    """One version of one object, with its JSON."""

    version: int
    value: JsonObject
    encoded: bytes


class Change(msgspec.Struct, frozen=True):
    """One committed write: ``before`` is None for a creation, ``after`` for a deletion.

    ``tombstone`` is the last state with the deletion's own version, as watches report it.
    """

    version: int
    bucket: str
    key: Key
    before: Item | None
    after: Item | None
    tombstone: Item | None = None


class Watcher:
    """A bounded stream of the changes of one bucket; ended by overflow or by ``close``."""

    def __init__(self, bucket: str, namespace: str | None, limit: int) -> None:
        self.bucket = bucket
        self.namespace = namespace
        self.is_closed = False
        self._queue: asyncio.Queue[Change | None] = asyncio.Queue(limit)

    def offer(self, change: Change) -> None:
        """Queue a change; a watcher too slow to keep up is closed, as the real server does."""
        if self.is_closed or (self.namespace is not None and change.key[0] != self.namespace):
            return
        try:
            self._queue.put_nowait(change)
        except asyncio.QueueFull:
            self.close()

    def close(self) -> None:
        """End the stream; what is queued is dropped."""
        self.is_closed = True
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def next(self) -> Change | None:
        """Return the next change, None when the stream has ended."""
        return None if self.is_closed else await self._queue.get()

    def take(self) -> Change | None:
        """Return a change that is already queued, None when there is none."""
        return None if self._queue.empty() else self._queue.get_nowait()


class Store:
    """All objects of the embedded cluster, by bucket (``pods``, ``deployments.apps``) and key."""

    def __init__(
        self, *, history_limit: int = HISTORY_LIMIT, first_version: int = FIRST_VERSION
    ) -> None:
        assert history_limit > 0
        self.version = first_version
        self._floor = first_version
        self._bucket_floors: dict[str, int] = {}
        self._buckets: dict[str, dict[Key, Item]] = {}
        self._sorted_keys: dict[str, list[Key]] = {}
        self._history: deque[Change] = deque()
        self._history_limit = history_limit
        self._watchers: dict[str, list[Watcher]] = {}
        self._listeners: list[Callable[[Change], None]] = []

    def open_bucket(self, bucket: str) -> None:
        """Begin serving a bucket; its history starts at the current version."""
        self._bucket_floors.setdefault(bucket, self.version)

    def get(self, bucket: str, namespace: str, name: str) -> Item | None:
        """Return the current version of an object, None when it does not exist."""
        return self._buckets.get(bucket, {}).get((namespace, name))

    def items(self, bucket: str, namespace: str | None = None) -> list[Item]:
        """Return the objects of a bucket in key order; ``namespace`` None means all."""
        objects = self._buckets.get(bucket, {})
        keys = self._sorted_keys.get(bucket)
        if keys is None:
            keys = self._sorted_keys[bucket] = sorted(objects)
        if namespace is None:
            return [objects[key] for key in keys]
        return [objects[key] for key in keys if key[0] == namespace]

    def items_at(self, bucket: str, version: int, namespace: str | None = None) -> list[Item]:
        """Return the objects as they were at ``version``; raises Compacted."""
        self.require_version(bucket, version)
        objects = dict(self._buckets.get(bucket, {}))
        for change in reversed(self._history):
            if change.version <= version:
                break
            if change.bucket != bucket:
                continue
            if change.before is None:
                objects.pop(change.key, None)
            else:
                objects[change.key] = change.before
        return [objects[key] for key in sorted(objects) if namespace is None or key[0] == namespace]

    def require_version(self, bucket: str, version: int) -> None:
        """Raise Compacted unless the history of ``bucket`` reaches back to ``version``."""
        oldest = max(self._floor, self._bucket_floors.get(bucket, 0))
        if version < oldest:
            raise Compacted(version, oldest)

    def put(self, bucket: str, value: JsonObject) -> Item:
        """Create or replace an object; sets ``metadata.resourceVersion`` on ``value``."""
        key = key_of(value)
        objects = self._buckets.setdefault(bucket, {})
        before = objects.get(key)
        self.version += 1
        item = self._stamp(value)
        objects[key] = item
        if before is None:
            self._sorted_keys.pop(bucket, None)
        self._commit(Change(self.version, bucket, key, before, item))
        return item

    def delete(self, bucket: str, namespace: str, name: str) -> Item:
        """Remove an existing object; returns its last state with the deletion's version."""
        before = self._buckets[bucket].pop((namespace, name))
        self._sorted_keys.pop(bucket, None)
        self.version += 1
        gone = self._stamp(copy_of(before.value))
        self._commit(Change(self.version, bucket, (namespace, name), before, None, gone))
        return gone

    def watch(
        self,
        bucket: str,
        *,
        namespace: str | None = None,
        since: int | None = None,
        limit: int = WATCH_QUEUE_LIMIT,
    ) -> Watcher:
        """Open a stream of changes after ``since`` (None = from now on); raises Compacted.

        The caller closes it with :meth:`unwatch`.
        """
        watcher = Watcher(bucket, namespace, limit)
        if since is not None:
            self.require_version(bucket, since)
            newer = takewhile(lambda change: change.version > since, reversed(self._history))
            for change in reversed([one for one in newer if one.bucket == bucket]):
                watcher.offer(change)
        self._watchers.setdefault(bucket, []).append(watcher)
        return watcher

    def unwatch(self, watcher: Watcher) -> None:
        """Forget a watcher."""
        watcher.close()
        watchers = self._watchers.get(watcher.bucket, [])
        if watcher in watchers:
            watchers.remove(watcher)

    @property
    def open_watches(self) -> int:
        """How many watches are open."""
        return sum(map(len, self._watchers.values()))

    def close_watchers(self) -> None:
        """End every open watch."""
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.close()

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call ``listener`` after every commit, from within it; it must not write."""
        self._listeners.append(listener)

    def compact(self, version: int | None = None) -> None:
        """Forget the history up to ``version`` (None = all of it)."""
        self._floor = max(self._floor, self.version if version is None else version)
        while self._history and self._history[0].version <= self._floor:
            self._history.popleft()

    def _stamp(self, value: JsonObject) -> Item:
        value["metadata"]["resourceVersion"] = str(self.version)
        return Item(self.version, value, encode(value))

    def _commit(self, change: Change) -> None:
        self._history.append(change)
        while len(self._history) > self._history_limit:
            self._floor = self._history.popleft().version
        for watcher in self._watchers.get(change.bucket, ()):
            watcher.offer(change)
        for listener in self._listeners:
            listener(change)
