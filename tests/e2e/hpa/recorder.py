"""What happens on the cluster, from watches: replica series, and which pods there are."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from autoscaler.kube.transport import KubeClient
from tests.e2e.hpa.compare import Point

QUIET_SECONDS = 300.0


class Recorder:
    """Follows a namespace.

    Attributes:
        series: Each change of ``spec.replicas`` with the time it was heard of (monotonic clock), by
            namespace and name of the Deployment.
        pods: Names by namespace and label ``app``.
    """

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self.series: dict[tuple[str, str], list[Point]] = defaultdict(list)
        self.pods: dict[tuple[str, str], set[str]] = defaultdict(set)

    async def record_replicas(self, namespace: str) -> None:
        """Note replicas until cancelled."""
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        async for _, item in self._follow(path):
            series = self.series[namespace, item["metadata"]["name"]]
            replicas = item["spec"]["replicas"]
            if not series or series[-1].replicas != replicas:
                series.append(Point(time.monotonic(), replicas))

    async def record_pods(self, namespace: str) -> None:
        """Keep the names of pods up to date until cancelled."""
        async for kind, item in self._follow(f"/api/v1/namespaces/{namespace}/pods"):
            names = self.pods[namespace, item["metadata"]["labels"]["app"]]
            if kind == "DELETED":
                names.discard(item["metadata"]["name"])
            else:
                names.add(item["metadata"]["name"])

    async def _follow(self, path: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield objects and what became of them; a watch that ends is an error: it leaves a gap."""
        listed = msgspec.json.decode(await self._client.request("GET", path))
        for item in listed["items"]:
            yield "ADDED", item
        since = {"watch": "1", "resourceVersion": listed["metadata"]["resourceVersion"]}
        async with self._client.stream(
            path, params=since, inactivity_seconds=QUIET_SECONDS
        ) as lines:
            async for line in lines:
                event = msgspec.json.decode(line)
                assert event["type"] in {"ADDED", "MODIFIED", "DELETED"}, event
                yield event["type"], event["object"]
        raise AssertionError(f"the watch on {path} ended")
