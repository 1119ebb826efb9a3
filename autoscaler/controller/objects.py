"""The scaling objects of all watched API groups as one collection, and which of them are ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import Final

from autoscaler.api.annotations import ADOPT
from autoscaler.kube.codec import CustomObject
from autoscaler.kube.resources import FLYBALL_GROUP, KEDA_GROUP, Resource, in_group
from autoscaler.kube.store import Listener, Store

SEPARATOR: Final = "@"
"""Between name and group in the key of an object of another group; no name contains it."""


class WatchKeda(StrEnum):
    """Which ``keda.sh`` objects the service acts on."""

    OFF = "off"
    """None; they are not even watched."""
    ANNOTATED = "annotated"
    """Those with the annotation ``flyball.dev/adopt: "true"``."""
    ALL = "all"
    """All but those with ``flyball.dev/adopt: "false"``; for clusters without KEDA."""

    @property
    def groups(self) -> tuple[str, ...]:
        """API groups to watch."""
        return (FLYBALL_GROUP,) if self is WatchKeda.OFF else (FLYBALL_GROUP, KEDA_GROUP)


class ScalingObjects:
    """Objects of one kind from every watched group.

    A key is ``namespace/name``; for another group than ours it ends with ``@<group>``, as both
    groups may have an object of the same name.

    Args:
        stores: By API group.
        watch_keda: Which objects of ``keda.sh`` are ours.
    """

    def __init__(
        self, stores: Mapping[str, Store[CustomObject]], watch_keda: WatchKeda = WatchKeda.OFF
    ) -> None:
        self._stores = stores
        self._watch_keda = watch_keda

    def get(self, key: str) -> CustomObject | None:
        """Return an object, ours or not, by key."""
        plain, _, group = key.partition(SEPARATOR)
        store = self._stores.get(group or FLYBALL_GROUP)
        return store.get(plain) if store else None

    def wrote(self, key: str, resource_version: str, item: CustomObject | None = None) -> None:
        """Note a write of ours; see :meth:`Store.wrote`."""
        plain, _, group = key.partition(SEPARATOR)
        self._stores[group or FLYBALL_GROUP].wrote(plain, resource_version, item)

    def on_change(self, listener: Listener[CustomObject]) -> None:
        """Call ``listener(key, old, new)`` on every change, of objects that are not ours, too."""
        for group, store in self._stores.items():
            store.on_change(partial(_pass_on, listener, group))

    def is_ours(self, item: CustomObject) -> bool:
        """Whether the service acts on an object."""
        if group_of(item) != KEDA_GROUP:
            return True
        wish = item.metadata.annotations.get(ADOPT)
        if self._watch_keda is WatchKeda.ALL:
            return wish != "false"
        return self._watch_keda is WatchKeda.ANNOTATED and wish == "true"


def group_of(item: CustomObject) -> str:
    """Return an object's API group."""
    return str(item.raw.get("apiVersion", "")).partition("/")[0] or FLYBALL_GROUP


def key_of(namespace: str, name: str, group: str = FLYBALL_GROUP) -> str:
    """Return an object's key."""
    return _key(f"{namespace}/{name}", group)


def key_for(item: CustomObject) -> str:
    """Return the key of an object at hand."""
    return _key(item.metadata.key, group_of(item))


def resource_of(kind: Resource, item: CustomObject) -> Resource:
    """Return the resource of a kind in the object's own group."""
    return in_group(kind, group_of(item))


def _key(plain: str, group: str) -> str:
    return plain if group == FLYBALL_GROUP else f"{plain}{SEPARATOR}{group}"


def _pass_on(
    listener: Callable[[str, CustomObject | None, CustomObject | None], None],
    group: str,
    plain: str,
    old: CustomObject | None,
    new: CustomObject | None,
) -> None:
    listener(_key(plain, group), old, new)
