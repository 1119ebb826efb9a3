"""The trigger types without a network source pass the scaler contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

from autoscaler.errors import MetricError, MetricRejected, MetricUnavailable
from autoscaler.runtime.clock import ManualClock
from autoscaler.sdk.http import HttpClient
from autoscaler.sdk.scaler import ClusterPod, SourceContext
from autoscaler.sdk.testing import ScalerContract, Trouble, World
from scalers.cron import CronScaler
from scalers.kubernetes_workload import KubernetesWorkloadScaler
from scalers.resource import CpuScaler, MemoryScaler

Troubles = Mapping[Trouble, type[MetricError]]


class FakeCluster:
    """A cluster with some pods, or with trouble."""

    def __init__(self, pods: int, trouble: MetricError | None) -> None:
        self._pods = pods
        self._trouble = trouble

    async def list_pods(self, namespace: str, selector: str) -> Sequence[ClusterPod]:
        if self._trouble is not None:
            raise self._trouble
        return [ClusterPod(name=f"pod-{n}", phase="Running") for n in range(self._pods)]

    async def service_endpoints(self, namespace: str, service: str) -> Sequence[str]:
        return ()


class TestKubernetesWorkloadScaler(ScalerContract):
    scaler_type = KubernetesWorkloadScaler
    values: ClassVar[Sequence[str]] = ("0", "7")
    can_be_negative = False
    metadata: ClassVar[Mapping[str, str]] = {"podSelector": "app=web,tier in (a, b)", "value": "2"}
    troubles: ClassVar[Troubles] = {
        Trouble.REFUSED: MetricUnavailable,
        Trouble.FORBIDDEN: MetricRejected,
    }

    @asynccontextmanager
    async def playing(self, trouble: Trouble | None, value: str) -> AsyncIterator[World]:
        error = self.troubles[trouble](str(trouble)) if trouble else None
        cluster = FakeCluster(max(0, int(value)), error)
        async with HttpClient() as http:
            yield World({}, SourceContext(http=http, clock=ManualClock(), cluster=cluster))


class TestCronScaler(ScalerContract):
    scaler_type = CronScaler
    values: ClassVar[Sequence[str]] = ("7",)
    can_be_negative = False
    metadata: ClassVar[Mapping[str, str]] = {
        "timezone": "Europe/Berlin",
        "start": "0 0 * * *",
        "end": "59 23 * * *",
        "desiredReplicas": "7",
    }
    troubles: ClassVar[Troubles] = {}

    @asynccontextmanager
    async def playing(self, trouble: Trouble | None, value: str) -> AsyncIterator[World]:
        async with HttpClient() as http:
            yield World({}, SourceContext(http=http, clock=ManualClock(self.at)))


class TestCpuScaler(ScalerContract):
    scaler_type = CpuScaler
    metadata: ClassVar[Mapping[str, str]] = {"value": "60"}
    metric_type = "Utilization"
    troubles: ClassVar[Troubles] = {}


class TestMemoryScaler(ScalerContract):
    scaler_type = MemoryScaler
    metadata: ClassVar[Mapping[str, str]] = {"value": "512Mi", "containerName": "app"}
    metric_type = "AverageValue"
    troubles: ClassVar[Troubles] = {}
