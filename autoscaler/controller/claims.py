"""Which object may scale which target: the oldest one, and only that.

Objects that others act on go first, whatever their age; objects in shadow mode are in nobody's way.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import msgspec

from autoscaler.kube.codec import CustomObject

Claimed = tuple[str, str, str, str]
"""Group, kind, namespace and name of a target; versions of a group are the same object."""


class Standing(IntEnum):
    """Whose turn it is; a smaller one goes first."""

    FOREIGN = 0
    """Somebody else acts on the object."""
    OURS = 1
    WATCHING = 2
    """Shadow mode: it writes nothing, so it neither holds a target nor waits for one."""


class Claim(msgspec.Struct, frozen=True, order=True):
    """Who claims a target; the smallest one holds it.

    Attributes:
        standing: Decides first.
        created_at: Creation of the object, epoch seconds.
        key: Decides between objects created in the same second.
    """

    standing: Standing
    created_at: float
    key: str


class Claims:
    """What every object wants to scale, kept current by the object watch."""

    def __init__(self) -> None:
        self._by_target: dict[Claimed, dict[str, Claim]] = {}
        self._by_key: dict[str, Claimed] = {}

    def update(self, key: str, item: CustomObject | None, *, is_ours: bool = True) -> set[str]:
        """Note what an object claims now.

        Args:
            key: Of the object.
            item: The object; None = it is gone.
            is_ours: Whether we act on it, or somebody else.

        Returns:
            Keys of the other objects whose standing may have changed.
        """
        wanted = None if item is None or _is_going(item) else claimed(item)
        claim = None if item is None else _claim(key, item, is_ours=is_ours)
        before = self._by_key.get(key)
        if before == wanted and (before is None or self._by_target[before][key] == claim):
            return set()
        touched: set[str] = set()
        if before is not None:
            holders = self._by_target[before]
            del holders[key]
            touched.update(holders)
            if not holders:
                del self._by_target[before]
            del self._by_key[key]
        if claim is not None and wanted is not None:
            holders = self._by_target.setdefault(wanted, {})
            touched.update(holders)
            holders[key] = claim
            self._by_key[key] = wanted
        return touched

    def holder(self, key: str) -> str:
        """Return the object that may scale what ``key`` claims; ``key`` itself when it may."""
        target = self._by_key.get(key)
        if target is None:
            return key
        claims = self._by_target[target]
        if claims[key].standing is Standing.WATCHING:
            return key
        return min(claims.values()).key

    def objection(self, key: str) -> str:
        """Return why the object must not scale its target; empty when no other one does."""
        holder = self.holder(key)
        if holder == key:
            return ""
        target = self._by_key[key]
        is_foreign = self._by_target[target][holder].standing is Standing.FOREIGN
        why = "which KEDA acts on" if is_foreign else "which is older"
        return (
            f'spec.scaleTargetRef: {target[1]} "{target[2]}/{target[3]}" is already scaled by '
            f'ScaledObject "{holder}", {why}; two of them would fight over it'
        )

    def successors(self, item: CustomObject) -> list[str]:
        """Return the objects that scale, or wait to scale, the target of an object."""
        target = claimed(item)
        claims = self._by_target.get(target, {}) if target else {}
        return [c.key for c in sorted(claims.values()) if c.standing is not Standing.WATCHING]

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


def is_shadow(item: CustomObject) -> bool:
    """Whether an object only watches its target."""
    spec = item.raw.get("spec")
    return isinstance(spec, Mapping) and spec.get("mode") == "shadow"


def _claim(key: str, item: CustomObject, *, is_ours: bool) -> Claim:
    created = item.metadata.creation_timestamp
    standing = Standing.FOREIGN
    if is_ours:
        standing = Standing.WATCHING if is_shadow(item) else Standing.OURS
    return Claim(standing, created.timestamp() if created else 0.0, key)


def _text(ref: Mapping[str, Any], field: str, default: str) -> str:
    value = ref.get(field)
    return value if isinstance(value, str) and value else default


def _is_going(item: CustomObject) -> bool:
    return item.metadata.deletion_timestamp is not None
