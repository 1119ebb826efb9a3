"""StatefulSets become numbered pods."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from autoscaler.demo.controllers import OwnerIndex, owner_keys
from autoscaler.demo.objects import JsonObject, Key, key_of
from autoscaler.demo.pods import (
    counts,
    from_template,
    is_ready,
    is_terminating,
    template_hash,
)
from autoscaler.demo.registry import Registry
from autoscaler.demo.store import Change

REVISION_LABEL: Final = "controller-revision-hash"
NAME_LABEL: Final = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL: Final = "apps.kubernetes.io/pod-index"


class StatefulSets:
    """Keeps numbered pods, in order unless the set says Parallel."""

    def __init__(self, registry: Registry, owners: OwnerIndex) -> None:
        self._registry = registry
        self._owners = owners
        self._resource = registry.resource("apps/v1", "StatefulSet")
        self._pods = registry.resource("v1", "Pod")

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at a StatefulSet when it or one of its pods changes."""
        if change.bucket == "statefulsets.apps":
            return (change.key,)
        return owner_keys(change, "StatefulSet") if change.bucket == "pods" else ()

    def reconcile(self, key: Key) -> float | None:
        """Take the next steps the set's order allows, then write the status."""
        item = self._registry.store.get("statefulsets.apps", *key)
        if item is None or "deletionTimestamp" in item.value["metadata"]:
            return None
        value = item.value
        found = self._owners.dependents(value["metadata"]["uid"], "pods")
        pods = {_ordinal(pod.value): pod.value for pod in found}
        revision = template_hash(value["spec"]["template"])
        is_parallel = value["spec"].get("podManagementPolicy") == "Parallel"
        for step in self._steps(value, pods, revision):
            step_kind, ordinal = step
            if step_kind == "create":
                self._create(value, ordinal, revision)
            else:
                self._registry.delete(self._pods, *key_of(pods[ordinal]))
            if not is_parallel:
                break
        live = [pod for pod in pods.values() if not is_terminating(pod)]
        status = counts(live)
        status.setdefault("replicas", 0)
        status["observedGeneration"] = value["metadata"]["generation"]
        status["currentRevision"] = status["updateRevision"] = revision
        self._registry.set_status(self._resource, item, status)
        return None

    def _steps(
        self, value: JsonObject, pods: dict[int, JsonObject], revision: str
    ) -> Iterable[tuple[str, int]]:
        """Yield what to create or delete, most urgent first; ordered sets take the first only."""
        desired = value["spec"]["replicas"]
        is_parallel = value["spec"].get("podManagementPolicy") == "Parallel"
        for ordinal in range(desired):
            if ordinal not in pods:
                yield "create", ordinal
            elif not is_parallel and not is_ready(pods[ordinal]):
                return
        if not is_parallel and any(is_terminating(pod) for pod in pods.values()):
            return
        for ordinal in sorted((one for one in pods if one >= desired), reverse=True):
            if not is_terminating(pods[ordinal]):
                yield "delete", ordinal
        if is_parallel and not all(is_ready(pods[one]) for one in range(desired) if one in pods):
            return
        outdated = [
            ordinal
            for ordinal in sorted((one for one in pods if one < desired), reverse=True)
            if pods[ordinal]["metadata"]["labels"].get(REVISION_LABEL) != revision
            and not is_terminating(pods[ordinal])
        ]
        for ordinal in outdated[:1]:
            yield "delete", ordinal

    def _create(self, value: JsonObject, ordinal: int, revision: str) -> None:
        name = f"{value['metadata']['name']}-{ordinal}"
        labels = {REVISION_LABEL: revision, NAME_LABEL: name, INDEX_LABEL: str(ordinal)}
        body = from_template(value["spec"]["template"], value, name=name, labels=labels)
        body["spec"]["hostname"] = name
        self._registry.create(self._pods, value["metadata"]["namespace"], body)


def _ordinal(pod: JsonObject) -> int:
    return int(pod["metadata"]["name"].rpartition("-")[2])
