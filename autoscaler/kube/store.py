"""What the cluster looked like last time we heard, by ``namespace/name``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from autoscaler.kube.codec import HasMetadata
from autoscaler.kube.selector import EVERYTHING, Selector

T = TypeVar("T", bound=HasMetadata)
Listener = Callable[[str, T | None, T | None], None]
"""``listener(key, old, new)``: old is None for a new object, new is None for a deleted one."""


def object_key(item: HasMetadata) -> str:
    """Return ``namespace/name``, or just the name of a cluster-scoped object."""
    meta = item.metadata
    return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name


class Store(Generic[T]):
    """Objects of one resource, kept current by a :class:`~autoscaler.kube.reflector.Reflector`.

    Reading is synchronous and costs no request. ``select`` uses an index over labels, so asking for
    the pods of one workload does not visit the pods of all others.
    """

    def __init__(self, *, name: str = "") -> None:
        self.name = name
        self._items: dict[str, T] = {}
        self._by_namespace: dict[str, set[str]] = {}
        self._by_label: dict[tuple[str, str, str], set[str]] = {}
        self._written: dict[str, int] = {}
        self._listeners: list[Listener[T]] = []
        self._synced = asyncio.Event()

    @property
    def has_synced(self) -> bool:
        """Whether a complete list has been taken over; until then absence means nothing."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Wait for the first complete list; the caller sets the timeout."""
        await self._synced.wait()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._items.values()))

    def get(self, key: str) -> T | None:
        """Return an object by ``namespace/name``."""
        return self._items.get(key)

    def keys(self) -> tuple[str, ...]:
        """Return the keys of all objects."""
        return tuple(self._items)

    def select(self, namespace: str | None = None, selector: Selector = EVERYTHING) -> list[T]:
        """Return the objects of a namespace (None = all) whose labels match, by key."""
        keys = self._candidates(namespace, selector)
        found = (self._items[key] for key in sorted(keys))
        return [item for item in found if selector.matches(item.metadata.labels)]

    def on_change(self, listener: Listener[T]) -> Callable[[], None]:
        """Call ``listener`` on every change, synchronously; returns how to unsubscribe.

        A listener must be quick and must not raise: add a key to a queue, no more. It is not called
        for objects already there; the first list comes as additions.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def wrote(self, key: str, resource_version: str, item: T | None = None) -> None:
        """Note a write of ours, so that older events still on their way are ignored.

        Args:
            key: ``namespace/name``.
            resource_version: Of the answer to the write.
            item: The answer, if it is a whole object: readers see it at once.
        """
        version = _number(resource_version)
        known = self._items.get(key)
        if version is None or known is None or _version(known, default=version) >= version:
            return
        if item is None:
            self._written[key] = max(version, self._written.get(key, 0))
        else:
            self._set(key, item)

    def is_behind(self, key: str) -> bool:
        """Tell whether a write of ours to this object has not come back yet."""
        return key in self._written

    def replace(
        self, items: Mapping[str, T], resource_version: str, *, went_back: bool = False
    ) -> None:
        """Take over a complete list; what is not in it was deleted.

        Args:
            items: By ``namespace/name``.
            resource_version: Of the list; an object known to be newer than the list survives.
            went_back: The API server's history was reset (a restored backup): versions known so far
                mean nothing any more.
        """
        if went_back:
            self._written.clear()
            for key in [key for key in self._items if key not in items]:
                self._drop(key)
            for key, item in items.items():
                self._set(key, item)
            self._synced.set()
            return
        listed = _number(resource_version)
        for key in [key for key in self._items if key not in items]:
            known = max(_version(self._items[key], default=0), self._written.get(key, 0))
            if listed is None or known <= listed:
                self._drop(key)
        for item in items.values():
            self.put(item)
        self._synced.set()

    def put(self, item: T) -> None:
        """Take over an added or modified object, unless something newer is known."""
        key = object_key(item)
        if not self._is_outdated(key, item):
            self._set(key, item)

    def remove(self, item: T) -> None:
        """Take over a deletion, unless the object has been created anew since."""
        key = object_key(item)
        if key in self._items and not self._is_outdated(key, item):
            self._drop(key)

    def _is_outdated(self, key: str, item: T) -> bool:
        known = self._items.get(key)
        if known is None:
            return False
        floor = max(_version(known, default=0), self._written.get(key, 0))
        return _version(item, default=floor) < floor

    def _set(self, key: str, item: T) -> None:
        old = self._items.get(key)
        self._written.pop(key, None)
        if (
            old is not None
            and old.metadata.resource_version == item.metadata.resource_version != ""
        ):
            return
        if old is None or old.metadata.labels != item.metadata.labels:
            if old is not None:
                self._unindex(key, old)
            self._index(key, item)
        self._items[key] = item
        self._notify(key, old, item)

    def _drop(self, key: str) -> None:
        old = self._items.pop(key)
        self._written.pop(key, None)
        self._unindex(key, old)
        self._notify(key, old, None)

    def _notify(self, key: str, old: T | None, new: T | None) -> None:
        for listener in tuple(self._listeners):
            listener(key, old, new)

    def _candidates(self, namespace: str | None, selector: Selector) -> set[str] | dict[str, T]:
        """Return the smallest indexed set that contains all matches."""
        if namespace is None:
            return self._items
        best = self._by_namespace.get(namespace, set())
        for requirement in selector.requirements:
            if requirement.operator == "in" and len(requirement.values) == 1:
                label = (namespace, requirement.key, requirement.values[0])
                labelled = self._by_label.get(label, set())
                if len(labelled) < len(best):
                    best = labelled
        return best

    def _index(self, key: str, item: T) -> None:
        namespace = item.metadata.namespace
        self._by_namespace.setdefault(namespace, set()).add(key)
        for label in item.metadata.labels.items():
            self._by_label.setdefault((namespace, *label), set()).add(key)

    def _unindex(self, key: str, item: T) -> None:
        namespace = item.metadata.namespace
        self._by_namespace[namespace].discard(key)
        if not self._by_namespace[namespace]:
            del self._by_namespace[namespace]
        for label in item.metadata.labels.items():
            index = (namespace, *label)
            self._by_label[index].discard(key)
            if not self._by_label[index]:
                del self._by_label[index]


def _version(item: HasMetadata, *, default: int) -> int:
    number = _number(item.metadata.resource_version)
    return default if number is None else number


def _number(resource_version: str) -> int | None:
    """Return a resource version as a number, None if it is none.

    Versions of one resource are ordered numbers in every API server (a documented promise since
    Kubernetes 1.35); where one is not, nothing is ever taken for outdated.
    """
    return (
        int(resource_version) if resource_version.isascii() and resource_version.isdigit() else None
    )
