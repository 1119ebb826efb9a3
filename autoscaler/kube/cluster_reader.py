"""The reads a scaler may do in the cluster it runs in."""

from __future__ import annotations

from collections.abc import Sequence

from autoscaler.kube.transport import KubeClient
from autoscaler.sdk.scaler import ClusterPod


class KubeClusterReader:
    """Implements ``sdk.ClusterReader`` over the API."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def list_pods(self, namespace: str, selector: str) -> Sequence[ClusterPod]:
        """Return the pods matching a label selector; raises MetricError."""
        raise NotImplementedError

    async def service_endpoints(self, namespace: str, service: str) -> Sequence[str]:
        """Return ``host:port`` of the ready endpoints behind a Service; raises MetricError."""
        raise NotImplementedError
