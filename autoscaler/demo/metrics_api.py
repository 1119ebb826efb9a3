"""``metrics.k8s.io`` and ``external.metrics.k8s.io``: numbers somebody else provides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from autoscaler.demo.apierrors import not_found
from autoscaler.demo.objects import JsonObject, at_path, labels_of, timestamp
from autoscaler.demo.registry import Registry
from autoscaler.demo.requests import Target
from autoscaler.demo.resources import Resource
from autoscaler.demo.selectors import parse

WINDOW: Final = "15s"
EXTERNAL_GROUP: Final = "external.metrics.k8s.io"


class Usage(msgspec.Struct, frozen=True):
    """What a pod or node uses: CPU in millicores, memory in bytes."""

    cpu_milli: int
    memory_bytes: int

    def quantities(self) -> JsonObject:
        """Return the usage as quantities."""
        return {"cpu": f"{self.cpu_milli}m", "memory": f"{self.memory_bytes // 1024}Ki"}


PodUsage = Usage | Mapping[str, Usage]
"""Of a whole pod, shared evenly by its containers; or of each container, by name."""


class UsageReader(Protocol):
    """Knows what pods use; None for a pod without metrics yet."""

    def __call__(self, pod: JsonObject) -> PodUsage | None:
        """Return the pod's usage now; a container left out has no metrics yet."""
        ...


def no_usage(pod: JsonObject) -> PodUsage | None:  # noqa: ARG001 - the protocol's shape
    """Know nothing."""
    return None


class MetricsApi:
    """Answers metrics reads.

    Attributes:
        usage: Asked for every pod shown.
        external_values: External metrics by name.
    """

    def __init__(self, registry: Registry) -> None:
        self.usage: UsageReader = no_usage
        self.external_values: dict[str, float] = {}
        self._registry = registry

    def read(self, resource: Resource, target: Target, query: Mapping[str, str]) -> JsonObject:
        """Return one PodMetrics or NodeMetrics, or a list; raises ApiError 404."""
        if target.name:
            owner = self._registry.store.get(resource.plural, target.namespace or "", target.name)
            shown = None if owner is None else self._entry(resource, owner.value)
            if shown is None:
                raise not_found(resource, target.name)
            return shown
        matches = parse(query, resource)
        items = [
            self._entry(resource, item.value)
            for item in self._registry.store.items(resource.plural, target.namespace)
            if matches(item.value)
        ]
        return {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": {},
            "items": [item for item in items if item is not None],
        }

    def _entry(self, resource: Resource, owner: JsonObject) -> JsonObject | None:
        is_node = resource.kind == "NodeMetrics"
        used = self._node_usage(owner) if is_node else self.usage(owner)
        if used is None:
            return None
        at = timestamp(self._registry.clock.now())
        shown = ("name", "namespace")
        entry: JsonObject = {
            "kind": resource.kind,
            "apiVersion": resource.api_version,
            "metadata": {
                **{name: owner["metadata"][name] for name in shown if name in owner["metadata"]},
                "creationTimestamp": at,
                "labels": dict(labels_of(owner)),
            },
            "timestamp": at,
            "window": WINDOW,
        }
        if is_node:
            return {**entry, "usage": _whole(used).quantities()}
        return {
            **entry,
            "containers": [
                {"name": name, "usage": usage.quantities()}
                for name, usage in _by_container(owner, used).items()
            ],
        }

    def _node_usage(self, node: JsonObject) -> Usage:
        used = [
            _whole(usage)
            for item in self._registry.store.items("pods")
            if at_path(item.value, "spec", "nodeName") == node["metadata"]["name"]
            and (usage := self.usage(item.value)) is not None
        ]
        return _sum(used)

    def external(self, segments: Sequence[str], _query: Mapping[str, str]) -> JsonObject | None:
        """Return an external metric's values, None when the path names none."""
        match segments:
            case ["apis", group, "v1beta1", "namespaces", _, name] if group == EXTERNAL_GROUP:
                value = self.external_values.get(name)
            case _:
                return None
        if value is None:
            return None
        at = timestamp(self._registry.clock.now())
        item = {
            "metricName": name,
            "metricLabels": {},
            "timestamp": at,
            "value": f"{round(value * 1000)}m",
        }
        return {
            "kind": "ExternalMetricValueList",
            "apiVersion": f"{EXTERNAL_GROUP}/v1beta1",
            "metadata": {},
            "items": [item],
        }


def _by_container(pod: JsonObject, used: PodUsage) -> dict[str, Usage]:
    names = [one["name"] for one in at_path(pod, "spec", "containers") or ()]
    if not isinstance(used, Usage):
        return {name: used[name] for name in names if name in used}
    count = max(1, len(names))
    return dict.fromkeys(names, Usage(used.cpu_milli // count, used.memory_bytes // count))


def _whole(used: PodUsage) -> Usage:
    return used if isinstance(used, Usage) else _sum(used.values())


def _sum(used: Iterable[Usage]) -> Usage:
    each = tuple(used)
    return Usage(sum(u.cpu_milli for u in each), sum(u.memory_bytes for u in each))
