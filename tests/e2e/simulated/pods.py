"""The lives of real pods, as a watch tells them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec

from autoscaler.kube.transport import KubeClient
from tests.e2e.simulated.source import Served
from tests.e2e.watching import follow


class Life(msgspec.Struct, kw_only=True):
    """A pod's; the monotonic clock at which each turn was heard of, None = not yet."""

    created_at: float
    ready_at: float | None = None
    deleted_at: float | None = None
    gone_at: float | None = None

    def seconds(self, begin_at: float, end_at: float) -> float:
        """Return how long of a period there was this pod, from its creation to its exit."""
        gone_at = end_at if self.gone_at is None else self.gone_at
        return max(0.0, min(gone_at, end_at) - max(self.created_at, begin_at))


class Pods:
    """Pods by their label ``app``; those that are Ready serve the load of that name.

    Args:
        services: By name.

    Attributes:
        lives: By name of the service and of the pod.
    """

    def __init__(self, services: Mapping[str, Served]) -> None:
        self.lives: dict[str, dict[str, Life]] = defaultdict(dict)
        self._services = services

    async def record(self, client: KubeClient, namespace: str) -> None:
        """Follow the pods of a namespace until cancelled."""
        async for kind, pod in follow(client, f"/api/v1/namespaces/{namespace}/pods"):
            self._note(kind, pod)

    def ready(self, service: str) -> int:
        """Return how many pods serve."""
        return sum(
            life.ready_at is not None and life.deleted_at is None
            for life in self.lives[service].values()
        )

    def _note(self, kind: str, pod: dict[str, Any]) -> None:
        now = time.monotonic()
        service, name = pod["metadata"]["labels"]["app"], pod["metadata"]["name"]
        served = self._services[service]
        life = self.lives[service].setdefault(name, Life(created_at=now))
        if life.ready_at is None and _is_ready(pod):
            life.ready_at = now
            served.queue.add(name, served.seconds())
        is_gone = kind == "DELETED"
        if life.deleted_at is None and (is_gone or "deletionTimestamp" in pod["metadata"]):
            life.deleted_at = now
            served.queue.remove(name, served.seconds())
        if is_gone:
            life.gone_at = now


def _is_ready(pod: dict[str, Any]) -> bool:
    return any(
        one["type"] == "Ready" and one["status"] == "True"
        for one in pod["status"].get("conditions", ())
    )
