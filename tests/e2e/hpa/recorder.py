"""What happens on the cluster, from watches: replica series, and which pods there are."""

from __future__ import annotations

import time
from collections import defaultdict

from autoscaler.kube.transport import KubeClient
from tests.e2e.hpa.compare import Point
from tests.e2e.watching import follow


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
        async for _, item in follow(self._client, path):
            series = self.series[namespace, item["metadata"]["name"]]
            replicas = item["spec"]["replicas"]
            if not series or series[-1].replicas != replicas:
                series.append(Point(time.monotonic(), replicas))

    async def record_pods(self, namespace: str) -> None:
        """Keep the names of pods up to date until cancelled."""
        path = f"/api/v1/namespaces/{namespace}/pods"
        async for kind, item in follow(self._client, path):
            names = self.pods[namespace, item["metadata"]["labels"]["app"]]
            if kind == "DELETED":
                names.discard(item["metadata"]["name"])
            else:
                names.add(item["metadata"]["name"])
