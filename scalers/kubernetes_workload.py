"""``kubernetes-workload``: how many pods match a selector in the object's namespace.

Finished pods do not count. With ``groupByNode`` the distinct nodes they run on are counted.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final

import msgspec
from typing_extensions import override

from autoscaler.sdk import (
    Answer,
    ClusterPod,
    ClusterReader,
    MetricError,
    MetricMalformed,
    MetricRejected,
    MetricSpec,
    Param,
    Problem,
    Reading,
    Source,
    SourceContext,
    TriggerConfig,
    TriggerContext,
    check_target,
    external_metric,
    fetch_each,
    parse_selector,
    reading_of,
)

FINISHED: Final = frozenset({"Succeeded", "Failed"})


class WorkloadConfig(TriggerConfig):
    """Parameters of a kubernetes-workload trigger."""

    connects_nowhere: ClassVar[bool] = True

    pod_selector: Annotated[str, Param("podSelector", doc="Label selector of the pods to count.")]
    value: Annotated[float, Param("value", doc="Target: counted pods per replica.")] = 0.0
    activation_value: Annotated[float, Param("activationValue", doc="Active above this value.")] = (
        0.0
    )
    group_by_node: Annotated[bool, Param("groupByNode", doc="Count nodes instead of pods.")] = False

    @override
    def check(self, context: TriggerContext) -> Iterable[Problem]:
        """Yield a missing target and a faulty selector."""
        yield from check_target("value", self.value, context)
        try:
            parse_selector(self.pod_selector)
        except ValueError as error:
            yield "podSelector", str(error)


class WorkloadQuery(msgspec.Struct, frozen=True):
    """Which pods to list."""

    namespace: str
    selector: str


class KubernetesWorkloadScaler:
    """One kubernetes-workload trigger."""

    config_type: ClassVar[type[TriggerConfig]] = WorkloadConfig
    tier: ClassVar[str] = "silver"
    description: ClassVar[str] = "Number of pods matching a selector"

    def __init__(self, config: WorkloadConfig, context: TriggerContext) -> None:
        self._config = config
        self._query = WorkloadQuery(context.namespace, config.pod_selector)
        self._metric = external_metric(
            context, f"workload-{context.namespace}", config.value, config.activation_value
        )

    @classmethod
    def create(cls, config: Any, context: TriggerContext) -> KubernetesWorkloadScaler:
        """Build the scaler."""
        return cls(config, context)

    def metric_specs(self) -> Sequence[MetricSpec]:
        """Return the one metric."""
        return (self._metric,)

    def source_key(self) -> Hashable:
        """Return that all such triggers share the cluster."""
        return "cluster"

    def open_source(self, context: SourceContext) -> Source:
        """Build the source."""
        return WorkloadSource(context.cluster)

    def query(self, metric_name: str) -> Hashable:
        """Return which pods to list."""
        del metric_name
        return self._query

    def reading(self, metric_name: str, answer: Answer, at: float) -> Reading:
        """Count the listed pods, or their nodes."""
        try:
            pods: list[ClusterPod] = msgspec.convert(answer, type=list[ClusterPod])
        except msgspec.ValidationError as error:
            raise MetricMalformed(f"no list of pods: {error}") from None
        counted = [pod for pod in pods if pod.phase not in FINISHED]
        if self._config.group_by_node:
            return reading_of(metric_name, len({pod.node for pod in counted if pod.node}), at)
        return reading_of(metric_name, len(counted), at)


class WorkloadSource:
    """The cluster the service runs in."""

    def __init__(self, cluster: ClusterReader | None) -> None:
        self._cluster = cluster

    async def fetch(
        self, queries: Sequence[Hashable], at: float
    ) -> Mapping[Hashable, Answer | MetricError]:
        """List the pods of every query."""
        del at
        cluster = self._cluster
        if cluster is None:
            raise MetricRejected("kubernetes-workload needs a cluster, and there is none here")

        async def ask(query: Any) -> Answer:
            return await cluster.list_pods(query.namespace, query.selector)

        return await fetch_each(queries, ask)

    async def close(self) -> None:
        """Do nothing; the cluster is not ours."""
