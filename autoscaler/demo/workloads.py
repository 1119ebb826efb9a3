"""Deployments and ReplicaSets become pods."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from autoscaler.demo.controllers import OwnerIndex, owner_keys
from autoscaler.demo.objects import JsonObject, Key, at_path, copy_of, key_of, timestamp
from autoscaler.demo.pods import (
    counts,
    from_template,
    is_active,
    is_ready,
    owner_reference,
    template_hash,
    victim_order,
)
from autoscaler.demo.registry import Registry
from autoscaler.demo.store import Change, Item

HASH_LABEL: Final = "pod-template-hash"


class ReplicaSets:
    """Keeps as many pods as each ReplicaSet asks for."""

    def __init__(self, registry: Registry, owners: OwnerIndex) -> None:
        self._registry = registry
        self._owners = owners
        self._resource = registry.resource("apps/v1", "ReplicaSet")
        self._pods = registry.resource("v1", "Pod")

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at a ReplicaSet when it or one of its pods changes."""
        if change.bucket == "replicasets.apps":
            return (change.key,)
        return owner_keys(change, "ReplicaSet") if change.bucket == "pods" else ()

    def reconcile(self, key: Key) -> float | None:
        """Create or delete pods, then write the status."""
        item = self._registry.store.get("replicasets.apps", *key)
        if item is None or "deletionTimestamp" in item.value["metadata"]:
            return None
        value = item.value
        dependents = self._owners.dependents(value["metadata"]["uid"], "pods")
        pods = [pod.value for pod in dependents if is_active(pod.value)]
        missing = value["spec"]["replicas"] - len(pods)
        for _ in range(missing):
            body = from_template(value["spec"]["template"], value)
            self._registry.create(self._pods, key[0], body)
        if missing < 0:
            for pod in sorted(pods, key=victim_order)[:-missing]:
                self._registry.delete(self._pods, *key_of(pod))
        status = counts(pods)
        status.setdefault("replicas", 0)
        status["observedGeneration"] = value["metadata"]["generation"]
        self._registry.set_status(self._resource, item, status)
        return None


class Deployments:
    """Turns each Deployment into ReplicaSets, rolling from an old template to a new one."""

    def __init__(self, registry: Registry, owners: OwnerIndex) -> None:
        self._registry = registry
        self._owners = owners
        self._resource = registry.resource("apps/v1", "Deployment")
        self._sets = registry.resource("apps/v1", "ReplicaSet")

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at a Deployment when it or one of its ReplicaSets changes."""
        if change.bucket == "deployments.apps":
            return (change.key,)
        return owner_keys(change, "Deployment") if change.bucket == "replicasets.apps" else ()

    def reconcile(self, key: Key) -> float | None:
        """Move replicas toward the current template's ReplicaSet, then write the status."""
        item = self._registry.store.get("deployments.apps", *key)
        if item is None or "deletionTimestamp" in item.value["metadata"]:
            return None
        value = item.value
        current_hash = template_hash(value["spec"]["template"])
        sets = self._owners.dependents(value["metadata"]["uid"], "replicasets.apps")
        current = next((s for s in sets if _hash_of(s) == current_hash), None)
        older = [one for one in sets if one is not current]
        if current is None:
            current = self._create_set(value, current_hash)
        self._roll(value, current, older)
        sets = self._owners.dependents(value["metadata"]["uid"], "replicasets.apps")
        self._write_status(item, sets, current_hash)
        return None

    def _create_set(self, value: JsonObject, current_hash: str) -> Item:
        template = copy_of(value["spec"]["template"])
        labels = {**(at_path(template, "metadata", "labels") or {}), HASH_LABEL: current_hash}
        template["metadata"] = {**(template.get("metadata") or {}), "labels": labels}
        selector = copy_of(value["spec"]["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: current_hash}
        body = {
            "metadata": {
                "name": f"{value['metadata']['name']}-{current_hash}",
                "labels": labels,
                "ownerReferences": [owner_reference(value)],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
        }
        return self._registry.create(self._sets, value["metadata"]["namespace"], body)

    def _roll(self, value: JsonObject, current: Item, older: list[Item]) -> None:
        desired = value["spec"]["replicas"]
        old_total = sum(one.value["spec"]["replicas"] for one in older)
        if not old_total:
            self._resize(current, desired)
            return
        surge, unavailable = _rollout_limits(value, desired)
        if at_path(value, "spec", "strategy", "type") == "Recreate":
            for one in older:
                self._resize(one, 0)
            return
        self._resize(current, max(0, min(desired, desired + surge - old_total)))
        available = sum(
            at_path(one.value, "status", "availableReplicas") or 0 for one in (current, *older)
        )
        removable = max(0, available - (desired - unavailable))
        for one in older:
            ready = at_path(one.value, "status", "availableReplicas") or 0
            unready = one.value["spec"]["replicas"] - ready
            cut = min(one.value["spec"]["replicas"], unready + removable)
            removable -= min(removable, max(0, cut - unready))
            self._resize(one, one.value["spec"]["replicas"] - cut)

    def _resize(self, item: Item, replicas: int) -> None:
        if item.value["spec"]["replicas"] != replicas:
            self._registry.set_spec(self._sets, item, replicas=replicas)

    def _write_status(self, item: Item, sets: list[Item], current_hash: str) -> None:
        value = item.value
        pods = [
            pod.value
            for one in sets
            for pod in self._owners.dependents(one.value["metadata"]["uid"], "pods")
            if is_active(pod.value)
        ]
        status = counts(pods)
        updated = [pod for pod in pods if pod["metadata"]["labels"].get(HASH_LABEL) == current_hash]
        desired = value["spec"]["replicas"]
        ready = sum(map(is_ready, pods))
        for name, count in (
            ("updatedReplicas", len(updated)),
            ("unavailableReplicas", max(0, desired - ready)),
        ):
            if count:
                status[name] = count
        status["observedGeneration"] = value["metadata"]["generation"]
        _, unavailable = _rollout_limits(value, desired)
        available = ready >= desired - unavailable
        complete = len(updated) == len(pods) == desired and ready == desired
        status["conditions"] = [
            self._condition(value, "Available", available, "MinimumReplicas"),
            self._condition(value, "Progressing", True, "NewReplicaSet", complete=complete),
        ]
        self._registry.set_status(self._resource, item, status)

    def _condition(
        self, value: JsonObject, kind: str, holds: bool, reason: str, *, complete: bool = True
    ) -> JsonObject:
        ending = ("Available" if complete else "Updated") if holds else "Unavailable"
        status = "True" if holds else "False"
        before = next(
            (o for o in at_path(value, "status", "conditions") or () if o["type"] == kind), None
        )
        now = timestamp(self._registry.clock.now())
        changed = before is None or before["status"] != status
        return {
            "type": kind,
            "status": status,
            "reason": reason + ending,
            "message": "",
            "lastTransitionTime": now
            if changed or before is None
            else before["lastTransitionTime"],
        }


def _hash_of(item: Item) -> str:
    return str((item.value["metadata"].get("labels") or {}).get(HASH_LABEL, ""))


def _rollout_limits(value: JsonObject, desired: int) -> tuple[int, int]:
    """Return how many pods may be extra and how many may be missing during a rollout."""
    limits = at_path(value, "spec", "strategy", "rollingUpdate") or {}
    surge = _share(limits.get("maxSurge", "25%"), desired, up=True)
    unavailable = _share(limits.get("maxUnavailable", "25%"), desired, up=False)
    return (1, 0) if surge == unavailable == 0 else (surge, unavailable)


def _share(amount: int | str, desired: int, *, up: bool) -> int:
    if isinstance(amount, int):
        return amount
    percent = int(amount.rstrip("%")) * desired
    return -(-percent // 100) if up else percent // 100
