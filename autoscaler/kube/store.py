"""What the cluster looked like last time we heard: objects of one resource by ``namespace/name``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from autoscaler.kube.codec import HasMetadata
from autoscaler.kube.selector import Selector

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

    @property
    def has_synced(self) -> bool:
        """Whether a complete list has been taken over; until then absence means nothing."""
        raise NotImplementedError

    async def wait_synced(self) -> None:
        """Wait for the first complete list; the caller sets the timeout."""
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError

    def get(self, key: str) -> T | None:
        """Return an object by ``namespace/name``."""
        raise NotImplementedError

    def keys(self) -> list[str]:
        """Return the keys of all objects."""
        raise NotImplementedError

    def select(self, namespace: str | None = None, selector: Selector = Selector()) -> list[T]:  # noqa: B008
        """Return the objects of a namespace (None = all) whose labels match."""
        raise NotImplementedError

    def on_change(self, listener: Listener[T]) -> Callable[[], None]:
        """Call ``listener`` on every change, synchronously; returns how to unsubscribe.

        A listener must be quick and must not raise: add a key to a queue, no more. It is not called
        for objects already there; the first list comes as additions.
        """
        raise NotImplementedError

    def wrote(self, key: str, resource_version: str, item: T | None = None) -> None:
        """Note a write of ours, so that older events still on their way are ignored.

        Args:
            key: ``namespace/name``.
            resource_version: Of the answer to the write.
            item: The answer, if it is a whole object: readers see it at once.
        """
        raise NotImplementedError

    def is_behind(self, key: str) -> bool:
        """Tell whether a write of ours to this object has not come back yet."""
        raise NotImplementedError

    def replace(self, items: Mapping[str, T], resource_version: str) -> None:
        """Take over a complete list; what is not in it was deleted."""
        raise NotImplementedError

    def put(self, item: T) -> None:
        """Take over an added or modified object."""
        raise NotImplementedError

    def remove(self, item: T) -> None:
        """Take over a deletion."""
        raise NotImplementedError
