"""The service as a whole: modes, pauses, hand-overs, metrics of pods, its own endpoints."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import aiohttp
import pytest

from autoscaler.api import annotations
from autoscaler.controller.service import Service
from autoscaler.controller.settings import ControllerSettings
from autoscaler.core.model import HpaSettings
from autoscaler.demo.cluster import EmbeddedCluster, scaling_resources
from autoscaler.demo.metrics_api import Usage
from autoscaler.kube.transport import KubeClient
from autoscaler.plugins import ScalerRegistry
from autoscaler.web.app import listening
from tests.integration.test_bad_input import authentication, cron, password, redis
from tests.integration.world import QUICK, World, running
from tests.servers import RedisServer


def annotate(world: World, name: str, **values: str | None) -> None:
    """Set (or with None remove) annotations of a ScaledObject, by constant name."""

    def change(value: dict[str, Any]) -> None:
        known = value["metadata"].setdefault("annotations", {})
        for constant, text in values.items():
            key = getattr(annotations, constant)
            known.pop(key, None)
            if text is not None:
                known[key] = text

    world.edit("ScaledObject", name, change)


def want(world: World, name: str, replicas: int) -> None:
    """Let the object's cron trigger want another count."""

    def change(value: dict[str, Any]) -> None:
        value["spec"]["triggers"] = [cron(desiredReplicas=str(replicas))]

    world.edit("ScaledObject", name, change)


async def test_shadow_mode_never_writes_replicas() -> None:
    """A shadow object says what it would do, in status and explanation, and does not do it."""
    async with running() as world:
        world.deploy("web", 1)
        world.scale_on("web", cron(), mode="shadow")
        await world.until(
            lambda: world.get("ScaledObject", "web").get("status", {}).get("desiredReplicas") == 3
        )
        await asyncio.sleep(1.5)
        assert world.history["web"] == [1]
        assert "shadow" in (world.service.explain_text("default", "web") or "")
        reasons = {reason for reason, _ in world.events("web")}
        assert not reasons & {"SuccessfulRescale", "KEDAScaleTargetActivated"}


async def test_pause_holds_and_keeps_what_is_known() -> None:
    """A paused object is not scaled; paused-replicas goes to its count; both end as they began."""
    async with running() as world:
        world.deploy("web", 0)
        world.scale_on("web", cron())
        await world.until(lambda: world.replicas("web") == 3)
        annotate(world, "web", PAUSED="true")
        await world.until(lambda: world.condition("web", "Paused")[0] == "True")
        want(world, "web", 6)
        await asyncio.sleep(1.2)
        assert world.replicas("web") == 3
        annotate(world, "web", PAUSED=None, PAUSED_REPLICAS="1")
        await world.until(lambda: world.replicas("web") == 1)
        await world.until(
            lambda: world.get("ScaledObject", "web")["status"].get("pausedReplicaCount") == 1
        )
        annotate(world, "web", PAUSED_REPLICAS=None)
        await world.until(lambda: world.replicas("web") == 6)
        await world.until(lambda: world.condition("web", "Paused")[0] == "False")
        assert "pausedReplicaCount" not in world.get("ScaledObject", "web")["status"]


async def test_deleted_object_restores_original_replicas_if_wished() -> None:
    """Only an object with restoreToOriginalReplicaCount touches its target when it goes."""
    async with running() as world:
        for name, wish in (("kept", False), ("restored", True)):
            world.deploy(name, 1)
            world.scale_on(name, cron(), advanced={"restoreToOriginalReplicaCount": wish})
            await world.until(lambda name=name: world.replicas(name) == 3)  # type: ignore[misc]
            world.delete("ScaledObject", name)
        await world.until(lambda: world.replicas("restored") == 1)
        await world.until(lambda: not world.service.objects())
        assert world.replicas("kept") == 3
        assert b'name="restored"' not in world.service.exposition()


async def test_manual_change_is_corrected_at_once() -> None:
    """Somebody else's replicas are noticed by the watch, not by the next poll."""
    async with running() as world:
        world.deploy("web", 0)
        world.scale_on("web", cron(), pollingInterval=3000, maxReplicaCount=3)
        await world.until(lambda: world.replicas("web") == 3)

        def change(value: dict[str, Any]) -> None:
            value["spec"]["replicas"] = 9

        world.edit("Deployment", "web", change, api="apps/v1")
        await world.until(lambda: world.replicas("web") == 3)


async def test_target_may_vanish_and_return() -> None:
    """An object whose target is deleted says so, and scales it again when it is back."""
    async with running() as world:
        world.deploy("web", 0)
        world.scale_on("web", cron())
        await world.until(lambda: world.replicas("web") == 3)
        world.delete("Deployment", "web", api="apps/v1")
        await world.until(lambda: "does not exist" in world.condition("web")[2])
        world.deploy("web", 0)
        await world.until(lambda: world.replicas("web") == 3)
        await world.until(lambda: world.condition("web")[0] == "True")


async def test_restart_forgets_no_cooldown() -> None:
    """A new service takes over activity from the status, so an idle target waits its cooldown."""
    async with EmbeddedCluster() as cluster:
        settings = ControllerSettings(status_seconds=0.0)
        async with running(settings, cluster=cluster) as world:
            world.deploy("web", 0)
            world.scale_on("web", cron(), cooldownPeriod=4)
            await world.until(lambda: world.replicas("web") == 3)
            await world.until(lambda: world.condition("web")[0] == "True")

        def nothing(value: dict[str, Any]) -> None:
            value["spec"]["triggers"] = [cron(start="0 0 31 12 *", end="1 0 31 12 *")]

        world.edit("ScaledObject", "web", nothing)
        async with running(settings, cluster=cluster) as world:
            await world.until(lambda: world.condition("web", "Active")[1] == "ScalerCooldown")
            assert world.replicas("web") == 3
            await world.until(lambda: world.replicas("web") == 0)


@pytest.mark.real("redis-server")
async def test_rotated_secret_is_picked_up() -> None:
    """A password changed in Redis and in the Secret needs no restart and no edit."""
    async with RedisServer(password="first") as server, running() as world:
        secret = {"password": base64.b64encode(b"first").decode()}
        world.create("Secret", "keys", data=secret)
        authentication(world, "auth", **password("keys", "password"))
        world.deploy("worker", 0)
        trigger = redis("auth", address=server.address, listLength="10", enableTLS="false")
        world.scale_on("worker", trigger)
        await world.until(lambda: world.condition("worker")[0] == "True")
        server._password = "second"
        await asyncio.to_thread(server.restart)
        await world.until(lambda: world.condition("worker")[0] != "True")
        assert "first" not in world.condition("worker")[2]

        def rotate(value: dict[str, Any]) -> None:
            value["data"] = {"password": base64.b64encode(b"second").decode()}

        world.edit("Secret", "keys", rotate, api="v1")
        await world.until(lambda: world.condition("worker")[0] == "True", 20)


async def test_cpu_trigger_uses_pods_and_their_metrics() -> None:
    """Utilization comes from metrics.k8s.io and the pods' requests."""
    fresh_pods_count = HpaSettings(
        cpu_initialization_period_seconds=0, initial_readiness_delay_seconds=0
    )
    settings = ControllerSettings(resource_metrics_seconds=1.0, hpa=fresh_pods_count)
    async with running(settings) as world:
        world.cluster.add_pool("shop", 2, cpu="8", memory="16Gi")
        world.cluster.metrics.usage = lambda _: Usage(cpu_milli=180, memory_bytes=1 << 20)
        world.deploy("web", 2, resources={"requests": {"cpu": "100m"}})
        world.scale_on(
            "web",
            {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}},
            minReplicaCount=1,
            maxReplicaCount=6,
        )
        await world.until(lambda: world.replicas("web") == 6, 30)
        shown = world.service.explain("default", "web")
        assert shown is not None
        assert shown["readings"][0]["pods"] >= 2


async def test_missing_crds_are_named_and_waited_for() -> None:
    """Without the CRDs the service says which are missing, and starts when they appear."""
    async with EmbeddedCluster() as cluster:
        ours = [r for r in scaling_resources() if r.group == "flyball.dev"]
        for resource in ours:
            cluster.registry.catalogue.remove(resource.group, resource.plural)
        client = KubeClient.for_url(cluster.url)
        service = Service(client, ScalerRegistry(), settings=QUICK)
        world = World(cluster, service)
        task = asyncio.ensure_future(service.run())
        try:
            await world.until(
                lambda: any(
                    reason.startswith("scaledobjects.flyball.dev: its CustomResourceDefinition")
                    for reason in service.unready_reasons()
                )
            )
            for resource in ours:
                cluster.registry.serve(resource)
            await world.until(lambda: not service.unready_reasons(), 30)
            world.deploy("web", 0)
            world.scale_on("web", cron())
            await world.until(lambda: world.replicas("web") == 3, 30)
        finally:
            service.stop()
            await task
            await client.close()


async def test_own_endpoints_show_the_service() -> None:
    """Probes, metrics, objects and explanations are served, and nothing can be changed."""
    async with running() as world:
        world.deploy("web", 0)
        world.scale_on("web", cron())
        await world.until(lambda: world.replicas("web") == 3)
        async with (
            listening(world.service, "127.0.0.1", 0) as port,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
        ):

            async def get(path: str, **headers: str) -> tuple[int, str]:
                async with session.get(path, headers=headers) as response:
                    return response.status, await response.text()

            assert (await get("/livez"))[0] == 200
            assert await get("/readyz") == (200, "ready\n")
            status, text = await get("/metrics")
            assert status == 200
            assert 'flyball_desired_replicas{name="web",namespace="default"} 3.0' in text
            async with session.get("/api/v1/objects") as response:
                listed = await response.json()
            assert [item["name"] for item in listed["items"]] == ["web"]
            async with session.get("/api/v1/objects/default/web/explain") as response:
                shown = await response.json()
            assert shown["decision"]["desiredReplicas"] == 3
            status, text = await get("/api/v1/objects/default/web/explain?format=text")
            assert (status, "derivation" in text) == (200, True)
            assert (await get("/api/v1/objects/default/none/explain"))[0] == 404
            async with session.post("/api/v1/objects", json={}) as response:
                assert response.status == 405


async def test_unreachable_api_server_is_unready_not_fatal() -> None:
    """The service waits for an API server that does not answer, and stops when told to."""
    client = KubeClient.for_url("http://127.0.0.1:1")
    service = Service(client, ScalerRegistry(), settings=QUICK)
    task = asyncio.ensure_future(service.run())
    await asyncio.sleep(0.5)
    reasons = service.unready_reasons()
    assert any("scaledobjects.flyball.dev" in reason for reason in reasons)
    service.stop()
    await task
    assert service.unready_reasons() == ["the service is stopping"]
    await client.close()
