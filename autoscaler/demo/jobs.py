"""Jobs become pods."""

from __future__ import annotations

from collections.abc import Iterable

from autoscaler.demo.controllers import OwnerIndex, owner_keys
from autoscaler.demo.objects import JsonObject, Key, at_path, epoch, key_of, timestamp
from autoscaler.demo.pods import from_template, is_active, is_ready, phase
from autoscaler.demo.registry import Registry
from autoscaler.demo.store import Change, Item


class Jobs:
    """Runs pods until enough of them have succeeded."""

    def __init__(self, registry: Registry, owners: OwnerIndex) -> None:
        self._registry = registry
        self._owners = owners
        self._resource = registry.resource("batch/v1", "Job")
        self._pods = registry.resource("v1", "Pod")

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at a Job when it or one of its pods changes."""
        if change.bucket == "jobs.batch":
            return (change.key,)
        return owner_keys(change, "Job") if change.bucket == "pods" else ()

    def reconcile(self, key: Key) -> float | None:
        """Start pods, count finished ones, finish the Job."""
        item = self._registry.store.get("jobs.batch", *key)
        if item is None or "deletionTimestamp" in item.value["metadata"]:
            return None
        value = item.value
        spec = value["spec"]
        before = value.get("status") or {}
        found = self._owners.dependents(value["metadata"]["uid"], "pods")
        pods = [pod.value for pod in found]
        active = [pod for pod in pods if is_active(pod)]
        succeeded = sum(phase(pod) == "Succeeded" for pod in pods)
        failed = sum(phase(pod) == "Failed" for pod in pods)
        if before.get("conditions"):
            return self._expire(item)
        outcome = _outcome(spec, succeeded, failed, len(active))
        wanted = 0 if outcome or spec.get("suspend") else _wanted_active(spec, succeeded)
        for _ in range(wanted - len(active)):
            self._registry.create(self._pods, key[0], from_template(spec["template"], value))
        for pod in active[wanted:]:
            self._registry.delete(self._pods, *key_of(pod))
        named = {"active": max(wanted, 0), "succeeded": succeeded, "failed": failed}
        status: JsonObject = {name: count for name, count in named.items() if count}
        status["ready"] = sum(map(is_ready, active))
        now = timestamp(self._registry.clock.now())
        if not spec.get("suspend"):
            status["startTime"] = before.get("startTime", now)
        if outcome:
            if outcome == "Complete":
                status["completionTime"] = now
            condition = {"type": outcome, "status": "True", "lastTransitionTime": now}
            status["conditions"] = [{**condition, "lastProbeTime": now}]
        self._registry.set_status(self._resource, item, status)
        return None

    def _expire(self, item: Item) -> float | None:
        """Delete a finished Job after its ``ttlSecondsAfterFinished``."""
        ttl_seconds = at_path(item.value, "spec", "ttlSecondsAfterFinished")
        if ttl_seconds is None:
            return None
        finished_at = epoch(item.value["status"]["conditions"][0]["lastTransitionTime"])
        left_seconds = finished_at + float(ttl_seconds) - self._registry.clock.now()
        if left_seconds > 0:
            return left_seconds
        self._registry.delete(self._resource, *key_of(item.value))
        return None


def _outcome(spec: JsonObject, succeeded: int, failed: int, active: int) -> str:
    """Return the condition a Job ends with, empty while it goes on."""
    if failed > spec["backoffLimit"]:
        return "Failed"
    completions = spec.get("completions")
    enough = succeeded >= completions if completions is not None else succeeded > 0 and not active
    return "Complete" if enough else ""


def _wanted_active(spec: JsonObject, succeeded: int) -> int:
    completions = spec.get("completions")
    if completions is None:
        return 0 if succeeded else int(spec["parallelism"])
    return int(min(spec["parallelism"], completions - succeeded))
