"""Resource usage as a metric source: cpu and memory of a target's pods, polled like any other."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from typing import Final

import msgspec

from autoscaler.core.model import MetricSource, MetricSpec, Reading
from autoscaler.errors import MetricError, MetricUnavailable
from autoscaler.kube.pod_metrics import PodMetrics, read_pod_metrics, resource_samples
from autoscaler.kube.transport import KubeClient
from autoscaler.sdk.scaler import Answer, Source, SourceContext

RESOURCE_SOURCES: Final = frozenset({MetricSource.RESOURCE, MetricSource.CONTAINER_RESOURCE})
CONCURRENT_READS: Final = 8
METRICS_API: Final = "metrics.k8s.io"
NOWHERE: Final = "no pods"


class ResourceMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """The resource metrics of one target; equal for targets asked in the same way.

    Attributes:
        client: Connection to the API server that also serves ``metrics.k8s.io``.
        namespace: Of the target.
        selector: Of the target's pods, textual; empty = nobody knows which pods are the target's.
        specs: The metrics, all of a source in :data:`RESOURCE_SOURCES`.
    """

    client: KubeClient
    namespace: str
    selector: str
    specs: tuple[MetricSpec, ...]

    def metric_specs(self) -> Sequence[MetricSpec]:
        """Return the metrics to read."""
        return self.specs

    def source_key(self) -> Hashable:
        """Return the metrics API of this cluster, which is not asked about unknown pods."""
        return METRICS_API if self.selector else NOWHERE

    def open_source(self, context: SourceContext) -> Source:
        """Build the source."""
        del context
        return UsageSource(self.client) if self.selector else NoSource()

    def query(self, metric_name: str) -> Hashable:
        """Return whose usage to read; all metrics of a target share one answer."""
        del metric_name
        return (self.namespace, self.selector)

    def reading(self, metric_name: str, answer: Answer, at: float) -> Reading:
        """Pick the resource out of the usage of the pods."""
        spec = next(spec for spec in self.specs if spec.name == metric_name)
        if not self.selector:
            raise MetricUnavailable(
                f"{spec.resource} usage is not read: the scale of the target has no pod selector, "
                "so nobody knows which pods are its own"
            )
        usage: tuple[PodMetrics, ...] = answer
        samples = resource_samples(usage, spec.resource or "", spec.container)
        if not samples:
            raise MetricUnavailable(
                f"the metrics API has no {spec.resource} usage of pods matching "
                f'"{self.selector}" in namespace {self.namespace}'
            )
        return Reading(metric=metric_name, sampled_at=at, samples=samples)


class NoSource:
    """Stands for the metrics API where the pods are unknown: all of a namespace would be wrong."""

    async def fetch(
        self, queries: Sequence[Hashable], at: float
    ) -> Mapping[Hashable, Answer | MetricError]:
        """Answer with no pods."""
        del at
        return dict.fromkeys(queries, ())

    async def close(self) -> None:
        """Nothing to release."""


class UsageSource:
    """Reads ``metrics.k8s.io``, one list per target."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._limiter = asyncio.Semaphore(CONCURRENT_READS)

    async def fetch(
        self, queries: Sequence[Hashable], at: float
    ) -> Mapping[Hashable, Answer | MetricError]:
        """Read the usage of the pods of each target."""
        del at
        answers: dict[Hashable, Answer | MetricError] = {}
        async with asyncio.TaskGroup() as group:
            for query in queries:
                group.create_task(self._read(query, answers))
        return answers

    async def close(self) -> None:
        """Nothing to release: the connection is the service's."""

    async def _read(self, query: Hashable, answers: dict[Hashable, Answer | MetricError]) -> None:
        assert isinstance(query, tuple)
        namespace, selector = query
        async with self._limiter:
            try:
                answers[query] = await read_pod_metrics(self._client, namespace, selector)
            except MetricError as error:
                answers[query] = error
