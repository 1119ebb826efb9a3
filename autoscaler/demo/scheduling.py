"""Binds pods to nodes that fit: selector, taints, requests; least loaded first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from autoscaler.core.quantity import to_milli
from autoscaler.demo.objects import JsonObject, Key, at_path, labels_of, timestamp
from autoscaler.demo.pods import FINISHED, node_of, phase, requests_milli
from autoscaler.demo.registry import Registry
from autoscaler.demo.store import Change, Item

DEFAULT_PODS_MILLI: Final = 110_000
BLOCKING: Final = frozenset({"NoSchedule", "NoExecute"})


class Scheduler:
    """Places pods and says why it cannot."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._pods = registry.resource("v1", "Pod")
        self._used: dict[str, dict[str, int]] = {}
        self._waiting: dict[Key, None] = {}

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at unbound pods, and at all that wait when room may have been made."""
        if change.bucket == "nodes":
            return tuple(self._waiting)
        if change.bucket != "pods":
            return ()
        freed = self._account(change)
        unbound = change.after is not None and not node_of(change.after.value)
        return (*([change.key] if unbound else ()), *(self._waiting if freed else ()))

    def reconcile(self, key: Key) -> float | None:
        """Bind one pod, or mark it unschedulable."""
        self._waiting.pop(key, None)
        item = self._registry.store.get("pods", *key)
        if item is None or node_of(item.value) or "deletionTimestamp" in item.value["metadata"]:
            return None
        if item.value["spec"].get("schedulerName", "default-scheduler") != "default-scheduler":
            return None
        nodes = [node.value for node in self._registry.store.items("nodes")]
        needs = {**requests_milli(item.value["spec"]), "pods": 1_000}
        fitting = [node for node in nodes if not self._objection(node, item.value, needs)]
        if not fitting:
            self._waiting[key] = None
            reasons = sorted({self._objection(node, item.value, needs) for node in nodes})
            self._mark(item, f"0/{len(nodes)} nodes are available: {', '.join(reasons)}.")
            return None
        best = min(fitting, key=lambda node: (self._load(node, needs), node["metadata"]["name"]))
        self._registry.set_spec(self._pods, item, nodeName=best["metadata"]["name"])
        return None

    def _objection(self, node: JsonObject, pod: JsonObject, needs: Mapping[str, int]) -> str:
        """Return why a node cannot take a pod, empty when it can."""
        spec = pod["spec"]
        selector = spec.get("nodeSelector") or {}
        if at_path(node, "spec", "unschedulable"):
            return "node is unschedulable"
        if any(labels_of(node).get(name) != value for name, value in selector.items()):
            return "node didn't match the pod's node selector"
        for taint in at_path(node, "spec", "taints") or ():
            if taint["effect"] in BLOCKING and not tolerated(taint, spec.get("tolerations") or ()):
                return f"node had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
        used = self._used.get(node["metadata"]["name"], {})
        capacity = _capacity_milli(node)
        for name, amount in needs.items():
            if used.get(name, 0) + amount > capacity.get(name, 0):
                return "too many pods" if name == "pods" else f"insufficient {name}"
        return ""

    def _load(self, node: JsonObject, needs: Mapping[str, int]) -> float:
        """Return the fullest share of cpu or memory after placing the pod, 0..1."""
        used, capacity = self._used.get(node["metadata"]["name"], {}), _capacity_milli(node)
        return max(
            (used.get(name, 0) + needs.get(name, 0)) / max(1, capacity.get(name, 0))
            for name in ("cpu", "memory", "pods")
        )

    def _account(self, change: Change) -> bool:
        """Keep the sums per node; returns whether something was freed."""
        before, after = _booking(change.before), _booking(change.after)
        if before == after:
            return False
        for booking, sign in ((before, -1), (after, 1)):
            if booking is not None:
                node, needs = booking
                used = self._used.setdefault(node, {})
                for name, amount in needs.items():
                    used[name] = used.get(name, 0) + sign * amount
        return before is not None

    def _mark(self, item: Item, why: str) -> None:
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": why,
        }
        status = item.value.get("status") or {}
        if any(one.get("message") == why for one in status.get("conditions") or ()):
            return
        condition["lastTransitionTime"] = timestamp(self._registry.clock.now())
        self._registry.set_status(self._pods, item, {**status, "conditions": [condition]})


def tolerated(taint: Mapping[str, Any], tolerations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one of the tolerations covers a taint."""
    for one in tolerations:
        if one.get("effect") not in {None, "", taint["effect"]}:
            continue
        if one.get("operator", "Equal") == "Exists":
            if one.get("key") in {None, "", taint["key"]}:
                return True
        elif one.get("key") == taint["key"] and one.get("value", "") == taint.get("value", ""):
            return True
    return False


def _capacity_milli(node: JsonObject) -> dict[str, int]:
    amounts = at_path(node, "status", "allocatable") or at_path(node, "status", "capacity") or {}
    return {"pods": DEFAULT_PODS_MILLI} | {name: to_milli(str(x)) for name, x in amounts.items()}


def _booking(item: Item | None) -> tuple[str, dict[str, int]] | None:
    """Return the node a pod takes room on, and how much; None when it takes none."""
    if item is None or not node_of(item.value) or phase(item.value) in FINISHED:
        return None
    return node_of(item.value), {**requests_milli(item.value["spec"]), "pods": 1_000}
