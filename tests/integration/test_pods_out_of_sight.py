"""Pods that cannot be listed or watched: said, never taken for facts, never a reason to lower."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from autoscaler.controller.reconcile import DENIED_SECONDS
from autoscaler.controller.target_pods import GRACE_SECONDS
from autoscaler.demo.apierrors import ApiError
from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.faults import FaultRates
from tests.integration.external_world import eventually, number_source, ref, serving
from tests.integration.test_bad_input import cron
from tests.integration.test_external_scaler import deployment, inline, keda_object
from tests.integration.world import World, running

SHORT_WATCHES = FaultRates(dropped_watches=1.0, watch_seconds=1.0)
"""No watch lasts longer than a second, so that whatever pods meet next they meet soon."""
BROKEN = ApiError(503, "ServiceUnavailable", "the pods are out of order")
NO_OUT = {"annotations": {"autoscaling.keda.sh/paused-scale-out": "true"}}
AT_ONCE = {
    "horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}
}


def per_pod(ratio: str = "2") -> dict[str, Any]:
    """Return a trigger that wants ``ratio`` replicas for each ready pod."""
    return {**cron(desiredReplicas=ratio), "metricType": "Value"}


@asynccontextmanager
async def on_nodes() -> AsyncIterator[World]:
    """Run the service on a cluster whose pods start and whose watches are short."""
    async with EmbeddedCluster(rates=SHORT_WATCHES) as cluster, running(cluster=cluster) as world:
        cluster.add_pool("shop", 2, cpu="64", memory="64Gi")
        yield world


def deny_pods(cluster: EmbeddedCluster) -> None:
    """Take the right to look at pods away."""
    for verb in ("list", "watch"):
        cluster.faults.deny(verb, "pods")


def permit_pods(cluster: EmbeddedCluster) -> None:
    """Give the right back."""
    for verb in ("list", "watch"):
        cluster.faults.permit(verb, "pods")


def break_pods(cluster: EmbeddedCluster) -> None:
    """Let every list and watch of pods fail from now on."""
    for verb in ("list", "watch"):
        cluster.faults.fail_next(verb, "pods", BROKEN, times=1_000)


def ready_pods(cluster: EmbeddedCluster) -> int:
    """Return how many pods run and are ready."""
    return sum(
        {"type": "Ready", "status": "True"}.items() <= condition.items()
        for item in cluster.store.items("pods")
        for condition in item.value.get("status", {}).get("conditions", ())
    )


def raise_by_hand(world: World, name: str, replicas: int) -> None:
    """Let a user set the replicas of a Deployment."""

    def change(value: dict[str, Any]) -> None:
        value["spec"]["replicas"] = replicas

    world.edit("Deployment", name, change, api="apps/v1")


def first_line(world: World, name: str) -> str:
    """Return why an object has the replicas it has."""
    return (world.service.explain_text("default", name) or "not seen yet").splitlines()[0]


async def two_ready(world: World, name: str) -> None:
    """Create an object that wants four replicas of the two pods it knows, and may only lower."""
    world.deploy(name, 2)
    await world.until(lambda: ready_pods(world.cluster) == 2)
    world.scale_on(name, per_pod(), metadata=NO_OUT, advanced=AT_ONCE, minReplicaCount=1)
    await world.until(lambda: "asks for 4" in first_line(world, name))
    await world.until(lambda: world.condition(name, "ScalingActive")[0] == "True")


@pytest.mark.slow
async def test_missing_right_on_pods_is_a_condition() -> None:
    """An object whose pods must not be listed says which right is missing, and works with it."""
    async with on_nodes() as world:
        deny_pods(world.cluster)
        world.deploy("web", 1)
        world.scale_on("web", per_pod("3"), maxReplicaCount=3)
        await world.until(lambda: world.condition("web")[0] == "False")
        assert 'cannot list resource "pods"' in world.condition("web")[2]
        await world.until(lambda: 'cannot list resource "pods"' in first_line(world, "web"))
        assert [reason for reason, _ in world.events("web")] == ["ScaledObjectCheckFailed"]
        assert world.history["web"] == [1]
        permit_pods(world.cluster)
        await world.until(lambda: world.replicas("web") == 3)
        await world.until(lambda: world.condition("web")[0] == "True")


@pytest.mark.slow
async def test_pods_that_cannot_be_listed_fail_their_metrics_only() -> None:
    """After a while a trigger that needs no pods is acted on; one that does says what is wrong."""
    async with on_nodes() as world:
        break_pods(world.cluster)
        world.deploy("both", 1)
        world.scale_on("both", per_pod(), cron(desiredReplicas="3"))
        world.deploy("one", 2)
        world.scale_on("one", per_pod())
        await asyncio.sleep(GRACE_SECONDS / 2)
        assert world.condition("both") == world.condition("one") == ("", "", "")
        await world.until(lambda: world.replicas("both") == 3)
        failed = ("False", "FailedGetExternalMetric")
        await world.until(lambda: world.condition("one", "ScalingActive")[:2] == failed)
        why = "the pods of the target cannot be listed: GET /api/v1/namespaces/default/pods: 503"
        assert why in world.condition("one", "ScalingActive")[2]
        assert why in first_line(world, "one")
        assert why in first_line(world, "both")
        told = [text for reason, text in world.events("one") if reason == failed[1]]
        assert len(told) == 1
        assert why in told[0]
        assert (world.history["both"], world.history["one"]) == ([1, 3], [2])


@pytest.mark.slow
async def test_right_on_pods_taken_away_lowers_nothing() -> None:
    """Two pods were known; ten replicas set since are left alone until the pods are known again."""
    async with on_nodes() as world:
        await two_ready(world, "web")
        deny_pods(world.cluster)
        await world.until(lambda: world.cluster.faults.counts["denied"] > 0)
        raise_by_hand(world, "web", 10)
        await world.until(lambda: world.condition("web")[0] == "False")
        assert 'resource "pods"' in world.condition("web")[2]
        await world.until(lambda: 'resource "pods"' in first_line(world, "web"))
        await world.until(lambda: ready_pods(world.cluster) == 10)
        permit_pods(world.cluster)
        await world.until(lambda: "asks for 20" in first_line(world, "web"))
        await world.until(lambda: world.condition("web")[0] == "True")
        assert world.history["web"] == [2, 10]


@pytest.mark.slow
async def test_old_pods_raise_for_a_moment_and_lower_never() -> None:
    """A watch of pods that keeps failing: nothing is lowered from the start, and then it is said.

    What the old pods ask for is still raised within the grace, as after any watch that broke.
    """
    async with on_nodes() as world:
        await two_ready(world, "web")
        break_pods(world.cluster)
        await world.until(lambda: world.cluster.faults.counts["scripted"] > 0)
        raise_by_hand(world, "web", 3)
        world.edit("ScaledObject", "web", lambda value: value["metadata"].pop("annotations"))
        await world.until(lambda: world.replicas("web") == 4, GRACE_SECONDS / 2)
        raise_by_hand(world, "web", 10)
        await world.until(lambda: world.condition("web", "ScalingActive")[0] == "False", 20)
        assert (
            "pods of the target cannot be watched: " in world.condition("web", "ScalingActive")[2]
        )
        assert "replicas are not lowered on an error" in first_line(world, "web")
        assert world.history["web"] == [2, 3, 4, 10]


@pytest.mark.slow
async def test_a_watch_of_pods_that_breaks_for_a_moment_is_not_told() -> None:
    """Neither a condition nor an event changes, however often that happens."""
    async with on_nodes() as world:
        await two_ready(world, "web")
        before = world.condition("web", "ScalingActive"), world.condition("web")
        counts = world.cluster.faults.counts
        for count in range(1, 4):
            world.cluster.faults.fail_next("watch", "pods", BROKEN)
            await world.until(lambda count=count: counts["scripted"] == count)  # type: ignore[misc]
            await asyncio.sleep(1)
        assert (world.condition("web", "ScalingActive"), world.condition("web")) == before
        assert not [reason for reason, _ in world.events("web") if "Failed" in reason]
        world.edit("ScaledObject", "web", lambda value: value["metadata"].pop("annotations"))
        await world.until(lambda: world.replicas("web") >= 4)


@pytest.mark.slow
async def test_external_scaler_serves_nothing_from_old_pods() -> None:
    """KEDA hears of no fewer replicas while the watch fails, and in the end why there is no answer."""
    async with EmbeddedCluster(rates=SHORT_WATCHES) as cluster, number_source() as source:
        cluster.add_pool("shop", 2, cpu="64", memory="64Gi")
        cluster.create(deployment(2))
        cluster.create(keda_object("web"))
        source.values["jobs"] = 10
        trigger = source.trigger("jobs", metricType="Value")
        asked = ref(inline(trigger, minReplicaCount=1, advanced=AT_ONCE))
        async with (
            serving(cluster_url=cluster.url, source=source) as world,
            world.client() as keda,
        ):
            await keda.until(asked, 4)
            break_pods(cluster)
            await eventually(lambda: cluster.faults.counts["scripted"] > 0)
            source.values["jobs"] = 3
            for _ in range(round(GRACE_SECONDS / 2)):
                assert await keda.value(asked) == 4
                await asyncio.sleep(1)
            await keda.until(asked, grpc.StatusCode.UNAVAILABLE, GRACE_SECONDS + 5)
            assert "pods of the target cannot be watched: " in (await keda.refused(asked))[1]


@pytest.mark.slow
async def test_external_scaler_names_the_missing_right_on_pods() -> None:
    """A call is refused with the right that is missing, and answered once it is there."""
    async with EmbeddedCluster(rates=SHORT_WATCHES) as cluster, number_source() as source:
        cluster.add_pool("shop", 2, cpu="64", memory="64Gi")
        cluster.create(deployment(2))
        cluster.create(keda_object("web"))
        deny_pods(cluster)
        source.values["jobs"] = 10
        asked = ref(inline(source.trigger("jobs", metricType="Value")))
        async with (
            serving(cluster_url=cluster.url, source=source) as world,
            world.client() as keda,
        ):
            assert (await keda.refused(asked))[0] is grpc.StatusCode.UNAVAILABLE
            await asyncio.sleep(DENIED_SECONDS)
            code, why = await keda.refused(asked)
            assert code is grpc.StatusCode.UNAVAILABLE
            assert 'cannot list resource "pods"' in why
            permit_pods(cluster)
            await keda.until(asked, 4, 40)
