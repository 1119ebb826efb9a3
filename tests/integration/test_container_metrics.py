"""cpu and memory of one container: what the others of its pod use decides nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from autoscaler.controller.settings import ControllerSettings
from autoscaler.core.model import HpaSettings
from autoscaler.demo.metrics_api import Usage
from tests.integration.world import World, running

MEBIBYTE = 1 << 20
LAZY = Usage(cpu_milli=20, memory_bytes=16 * MEBIBYTE)
BUSY = Usage(cpu_milli=900, memory_bytes=900 * MEBIBYTE)
FRESH_PODS_COUNT = ControllerSettings(
    resource_metrics_seconds=0.5,
    hpa=HpaSettings(cpu_initialization_period_seconds=0, initial_readiness_delay_seconds=0),
)
AT_ONCE = {
    "horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}
}
MIN, BEGIN, MAX = 1, 2, 4
SETTLE_SECONDS = 2.0
"""Several reads of the metrics."""


def deploy(world: World, name: str) -> None:
    """Create a Deployment whose pods have a container ``main`` and a sidecar ``proxy``."""
    labels = {"app": name}
    requests = {"requests": {"cpu": "100m", "memory": "100Mi"}}
    containers = [
        {"name": one, "image": "demo", "resources": requests} for one in ("main", "proxy")
    ]
    world.create(
        "Deployment",
        name,
        api="apps/v1",
        spec={
            "replicas": BEGIN,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    )


def trigger(resource: str, target: tuple[str, str], container: str = "") -> dict[str, Any]:
    """Return a cpu or memory trigger, of one container or of whole pods."""
    metric_type, value = target
    named = {"containerName": container} if container else {}
    return {"type": resource, "metricType": metric_type, "metadata": {"value": value, **named}}


@pytest.mark.parametrize(
    ("resource", "target"),
    [
        ("cpu", ("Utilization", "60")),
        ("cpu", ("AverageValue", "60m")),
        ("memory", ("Utilization", "60")),
        ("memory", ("AverageValue", "60Mi")),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
async def test_only_the_named_container_decides(resource: str, target: tuple[str, str]) -> None:
    """A busy sidecar raises who counts it and nobody else; when the roles change, so does who."""
    async with running(FRESH_PODS_COUNT) as world:
        world.cluster.add_pool("shop", 2, cpu="8", memory="16Gi")
        world.cluster.metrics.usage = lambda _: {"main": LAZY, "proxy": BUSY}
        for name, container in (("by-main", "main"), ("by-proxy", "proxy"), ("by-pod", "")):
            deploy(world, name)
            world.scale_on(
                name,
                trigger(resource, target, container),
                minReplicaCount=MIN,
                maxReplicaCount=MAX,
                advanced=AT_ONCE,
            )

        def asked() -> tuple[int, ...]:
            return tuple(world.replicas(name) for name in ("by-main", "by-proxy", "by-pod"))

        await world.until(lambda: asked() == (MIN, MAX, MAX), 30)
        await asyncio.sleep(SETTLE_SECONDS)
        assert world.history["by-main"] == [BEGIN, MIN]
        assert set(world.history["by-proxy"]) == set(world.history["by-pod"]) == {BEGIN, MAX}
        world.cluster.metrics.usage = lambda _: {"main": BUSY, "proxy": LAZY}
        await world.until(lambda: asked() == (MAX, MIN, MAX), 30)


async def test_container_without_metrics_holds_the_replicas() -> None:
    """A container that is not measured is an error that is told, though others of the pod are."""
    async with running(FRESH_PODS_COUNT) as world:
        world.cluster.add_pool("shop", 2, cpu="8", memory="16Gi")
        world.cluster.metrics.usage = lambda _: {"proxy": BUSY}
        deploy(world, "web")
        world.scale_on(
            "web",
            trigger("cpu", ("Utilization", "60"), "main"),
            minReplicaCount=MIN,
            maxReplicaCount=MAX,
            advanced=AT_ONCE,
        )
        failed = ("False", "FailedGetContainerResourceMetric")
        await world.until(lambda: world.condition("web", "ScalingActive")[:2] == failed, 30)
        assert "has no cpu usage" in world.condition("web", "ScalingActive")[2]
        await asyncio.sleep(SETTLE_SECONDS)
        assert world.history["web"] == [BEGIN]
        world.cluster.metrics.usage = lambda _: {"main": BUSY, "proxy": LAZY}
        await world.until(lambda: world.replicas("web") == MAX, 30)
