"""Deletion's second half: dependents of deleted owners, and the content of deleted namespaces."""

from __future__ import annotations

from collections.abc import Iterable

from autoscaler.demo.controllers import OwnerIndex, owner_uids
from autoscaler.demo.objects import JsonObject, Key, key_of
from autoscaler.demo.registry import DeleteOptions, Registry
from autoscaler.demo.resources import Resource
from autoscaler.demo.store import Change, Item

NO_GRACE = DeleteOptions(grace_period_seconds=0)


class GarbageCollector:
    """Deletes what has no owner left, and sees foreground and orphan deletions through.

    Keys are ``(bucket, namespace/name)`` of the object to look at.
    """

    def __init__(self, registry: Registry, owners: OwnerIndex) -> None:
        self._registry = registry
        self._owners = owners
        self._uids: dict[str, tuple[str, Key]] = {}

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at dependents of a deleted object, and at whatever is marked deleted."""
        if change.after is None and change.before is not None:
            uid = change.before.value["metadata"]["uid"]
            self._uids.pop(uid, None)
            for bucket, item in self._owners.buckets(uid):
                yield _name(bucket, key_of(item.value))
            for owner in owner_uids(change.before.value):
                if owner in self._uids:
                    yield _name(*self._uids[owner])
        elif change.after is not None:
            metadata = change.after.value["metadata"]
            self._uids[metadata["uid"]] = (change.bucket, change.key)
            if "deletionTimestamp" in metadata or metadata.get("ownerReferences"):
                yield _name(change.bucket, change.key)

    def reconcile(self, key: Key) -> float | None:
        """Act on one object."""
        bucket, (namespace, name) = key[0], _split(key[1])
        item = self._registry.store.get(bucket, namespace, name)
        resource = self._resource(bucket)
        if item is None or resource is None:
            return None
        metadata = item.value["metadata"]
        finalizers = metadata.get("finalizers") or ()
        if "deletionTimestamp" in metadata and "orphan" in finalizers:
            self._orphan(metadata["uid"])
            self._release(resource, item, "orphan")
        elif "deletionTimestamp" in metadata and "foregroundDeletion" in finalizers:
            self._foreground(resource, item)
        elif "deletionTimestamp" not in metadata and self._is_orphaned(item):
            self._registry.delete(resource, namespace, name)
        return None

    def _is_orphaned(self, item: Item) -> bool:
        owners = owner_uids(item.value)
        return bool(owners) and not any(uid in self._uids for uid in owners)

    def _foreground(self, resource: Resource, item: Item) -> None:
        """Delete the dependents; let the owner go when none that blocks it is left."""
        uid = item.value["metadata"]["uid"]
        blocked = False
        for bucket, dependent in self._owners.buckets(uid):
            below = self._resource(bucket)
            assert below is not None
            references = dependent.value["metadata"].get("ownerReferences") or ()
            blocked |= any(
                one["uid"] == uid and one.get("blockOwnerDeletion") for one in references
            )
            if "deletionTimestamp" not in dependent.value["metadata"]:
                self._registry.delete(
                    below,
                    *key_of(dependent.value),
                    DeleteOptions(propagation_policy="Foreground"),
                )
        if not blocked:
            self._release(resource, item, "foregroundDeletion")

    def _orphan(self, uid: str) -> None:
        for bucket, dependent in self._owners.buckets(uid):
            below = self._resource(bucket)
            assert below is not None

            def without_owner(value: JsonObject) -> JsonObject:
                references = value["metadata"].get("ownerReferences") or ()
                value["metadata"]["ownerReferences"] = [r for r in references if r["uid"] != uid]
                if not value["metadata"]["ownerReferences"]:
                    del value["metadata"]["ownerReferences"]
                return value

            self._registry.modify(below, *key_of(dependent.value), without_owner)

    def _release(self, resource: Resource, item: Item, finalizer: str) -> None:
        def without_finalizer(value: JsonObject) -> JsonObject:
            left = [one for one in value["metadata"]["finalizers"] if one != finalizer]
            value["metadata"]["finalizers"] = left
            return value

        self._registry.modify(resource, *key_of(item.value), without_finalizer)

    def _resource(self, bucket: str) -> Resource | None:
        for resource in self._registry.catalogue.all():
            if resource.storage == bucket and not resource.bucket:
                return resource
        return None


class NamespaceCleaner:
    """Empties Terminating namespaces and removes them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at a namespace when it or something in it changes."""
        if change.bucket == "namespaces":
            yield change.key
        elif change.after is None and change.key[0]:
            yield ("", change.key[0])

    def reconcile(self, key: Key) -> float | None:
        """Act on one namespace."""
        store = self._registry.store
        item = store.get("namespaces", *key)
        if item is None or "deletionTimestamp" not in item.value["metadata"]:
            return None
        left = False
        for resource in self._registry.catalogue.all():
            if not resource.namespaced or resource.bucket or resource.verbs:
                continue
            for found in store.items(resource.storage, key[1]):
                _, gone = self._registry.delete(resource, *key_of(found.value), NO_GRACE)
                left = left or not gone
        if not left and not item.value["metadata"].get("finalizers"):
            store.delete("namespaces", *key)
        return None


def _name(bucket: str, key: Key) -> Key:
    return bucket, "/".join(key)


def _split(text: str) -> Key:
    namespace, _, name = text.partition("/")
    return namespace, name
