"""Which object may scale which target: the oldest one, and only that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from autoscaler.kube.codec import CustomObject

Claimed = tuple[str, str, str, str]
"""Group, kind, namespace and name of a target; versions of a group are the same object."""


class Claim(msgspec.Struct, frozen=True, order=True):
    """Who claims a target; the smallest one holds it.

    Attributes:
        created_at: Creation of the object, epoch seconds.
        key: Decides between objects created in the same second.
    """

    created_at: float
    key: str


class Claims:
    """What every object wants to scale, kept current by the object watch."""

    def __init__(self) -> None:
        self._by_target: dict[Claimed, dict[str, Claim]] = {}
        self._by_key: dict[str, Claimed] = {}

    def update(self, key: str, item: CustomObject | None) -> set[str]:
        """Note what an object claims now (None = it is gone).

        Returns:
            Keys of the other objects whose standing may have changed.
        """
        wanted = None if item is None or _is_going(item) else claimed(item)
        before = self._by_key.get(key)
        if before == wanted:
            return set()
        touched: set[str] = set()
        if before is not None:
            holders = self._by_target[before]
            del holders[key]
            touched.update(holders)
            if not holders:
                del self._by_target[before]
            del self._by_key[key]
        if item is not None and wanted is not None:
            created = item.metadata.creation_timestamp
            holders = self._by_target.setdefault(wanted, {})
            touched.update(holders)
            holders[key] = Claim(created.timestamp() if created else 0.0, key)
            self._by_key[key] = wanted
        return touched

    def holder(self, key: str) -> str:
        """Return the object that may scale what ``key`` claims; ``key`` itself when it may."""
        target = self._by_key.get(key)
        if target is None:
            return key
        return min(self._by_target[target].values()).key

    def claimants(self, group: str, kind: str, namespace: str, name: str) -> list[str]:
        """Return the objects that claim a target."""
        return list(self._by_target.get((group, kind, namespace, name), ()))


def claimed(item: CustomObject) -> Claimed | None:
    """Return what an object wants to scale; None when that cannot be told."""
    spec = item.raw.get("spec")
    ref = spec.get("scaleTargetRef") if isinstance(spec, Mapping) else None
    if not isinstance(ref, Mapping) or not isinstance(ref.get("name"), str):
        return None
    group = _text(ref, "apiVersion", "apps/v1").rpartition("/")[0]
    return group, _text(ref, "kind", "Deployment"), item.metadata.namespace, ref["name"]


def _text(ref: Mapping[str, Any], field: str, default: str) -> str:
    value = ref.get(field)
    return value if isinstance(value, str) and value else default


def _is_going(item: CustomObject) -> bool:
    return item.metadata.deletion_timestamp is not None
