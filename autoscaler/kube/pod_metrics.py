"""Resource usage of pods from ``metrics.k8s.io``, as samples for the HPA arithmetic."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from autoscaler.core.model import PodSample
from autoscaler.kube.transport import KubeClient


class PodMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """What one pod used.

    Attributes:
        usage_milli: By container, then by resource.
        sampled_at: End of the window, epoch seconds.
    """

    pod: str
    usage_milli: Mapping[str, Mapping[str, int]]
    sampled_at: float
    window_seconds: float


async def read_pod_metrics(
    client: KubeClient, namespace: str, selector: str
) -> tuple[PodMetrics, ...]:
    """Read the usage of the pods matching a selector.

    Raises:
        MetricError: The metrics API does not answer, refuses, or answers nonsense.
    """
    raise NotImplementedError


def resource_samples(
    metrics: tuple[PodMetrics, ...], resource: str, container: str | None = None
) -> tuple[PodSample, ...]:
    """Return one sample per pod that has one.

    A pod's sample is the sum over its containers; if any of them lacks the resource, or there are
    none, the pod has no sample. With ``container``, only that container counts.
    """
    raise NotImplementedError
