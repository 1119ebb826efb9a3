"""What the control loops ask about pods, and how they make one from a template."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from autoscaler.core.quantity import to_milli
from autoscaler.demo.objects import JsonObject, at_path, copy_of, encode, epoch

FINISHED: Final = frozenset({"Succeeded", "Failed"})
COST: Final = "controller.kubernetes.io/pod-deletion-cost"
HASH_LETTERS: Final = 10


def phase(pod: Mapping[str, Any]) -> str:
    """Return the pod's phase."""
    return str(at_path(pod, "status", "phase") or "Pending")


def is_terminating(pod: Mapping[str, Any]) -> bool:
    """Whether the pod is marked deleted."""
    return "deletionTimestamp" in pod["metadata"]


def is_active(pod: Mapping[str, Any]) -> bool:
    """Whether the pod counts as a replica: neither finished nor on its way out."""
    return phase(pod) not in FINISHED and not is_terminating(pod)


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether the pod's Ready condition is True."""
    return any(
        one["type"] == "Ready" and one["status"] == "True"
        for one in at_path(pod, "status", "conditions") or ()
    )


def node_of(pod: Mapping[str, Any]) -> str:
    """Return the node the pod is bound to, empty when it is not."""
    return str(at_path(pod, "spec", "nodeName") or "")


def requests_milli(spec: Mapping[str, Any]) -> dict[str, int]:
    """Return what a pod spec asks for, by resource, in thousandths."""
    total: dict[str, int] = {}
    for container in spec.get("containers") or ():
        for name, amount in (at_path(container, "resources", "requests") or {}).items():
            total[name] = total.get(name, 0) + to_milli(str(amount))
    return total


def victim_order(pod: JsonObject) -> tuple[bool, bool, bool, int, float]:
    """Return a sort key: the pods a ReplicaSet gives up first come first.

    Unbound before bound, Pending before Running, unready before ready, cheap before dear by the
    deletion cost, young before old.
    """
    annotations = pod["metadata"].get("annotations") or {}
    return (
        bool(node_of(pod)),
        phase(pod) == "Running",
        is_ready(pod),
        int(annotations.get(COST, "0")),
        -epoch(pod["metadata"]["creationTimestamp"]),
    )


def owner_reference(owner: JsonObject) -> JsonObject:
    """Return the reference a controller puts on what it makes."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def from_template(
    template: JsonObject, owner: JsonObject, *, name: str = "", labels: Mapping[str, str] = {}
) -> JsonObject:
    """Return the body of a new pod.

    Args:
        template: ``spec.template`` of the owner.
        owner: The controller.
        name: Exact name; empty generates one after the owner's.
        labels: Added to the template's.
    """
    metadata = copy_of(template.get("metadata") or {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    metadata["ownerReferences"] = [owner_reference(owner)]
    if name:
        metadata["name"] = name
    else:
        metadata["generateName"] = f"{owner['metadata']['name']}-"
    return {"metadata": metadata, "spec": copy_of(template.get("spec") or {})}


def template_hash(template: JsonObject) -> str:
    """Return a short name for a pod template: equal templates have equal names."""
    return hashlib.sha256(encode(template)).hexdigest()[:HASH_LETTERS]


def counts(pods: list[JsonObject]) -> JsonObject:
    """Return the replica counts of a workload's status; zeroes are left out."""
    ready = sum(map(is_ready, pods))
    named = {"replicas": len(pods), "readyReplicas": ready, "availableReplicas": ready}
    return {name: count for name, count in named.items() if count}
