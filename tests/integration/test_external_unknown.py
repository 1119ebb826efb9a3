"""What is not known is never told as a count: not read yet, or nobody knows what there is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.external import deciding
from tests.integration.external_world import ref, serving
from tests.integration.test_external_scaler import deployment, inline, keda_object


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """Accept connections and never answer; yields the port."""
    opened: list[asyncio.StreamWriter] = []

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in opened:
            writer.close()
        await server.wait_closed()


async def test_a_source_that_has_not_answered_yet_is_no_zero(monkeypatch):
    """However long the first read takes, nothing is told before there is something to tell."""
    monkeypatch.setattr(deciding, "FIRST_READ_SECONDS", 0.3)
    async with silent_server() as port, serving(wait_seconds=2.0) as world, world.client() as keda:
        trigger = world.source.trigger("jobs")
        trigger["metadata"]["url"] = f"http://127.0.0.1:{port}/jobs"
        code, why = await keda.refused(ref(inline(trigger)))
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "s0-metric-api-value: metric s0-metric-api-value has not been read yet" in why


@pytest.mark.parametrize("known", [0, 5])
async def test_without_a_known_count_one_failing_source_is_enough(known):
    """After a start nobody knows what there is; what one source says may be far too little."""
    async with serving() as world, world.client() as keda:
        world.source.values |= {"a": known, "b": None}
        web = ref(inline(world.source.trigger("a"), world.source.trigger("b")))
        code, why = await keda.refused(web)
        assert code is grpc.StatusCode.UNAVAILABLE
        assert why.startswith("what the target has is not known, and not every metric could be")
        assert "status 503" in why
        assert "is not known" in world.scaler.view.explain_text("default", "web")
        world.source.values["b"] = 20
        await keda.until(web, 4)
        world.source.values |= {"a": 30, "b": None}
        await keda.until(web, 6)


@pytest.mark.parametrize(
    "behavior", ["currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"]
)
async def test_a_fallback_on_the_present_count_needs_to_know_it(behavior):
    """KEDA's own fallback knows better; once something was read, ours does."""
    async with serving() as world, world.client() as keda:
        fallback = {"failureThreshold": 1, "replicas": 6, "behavior": behavior}
        web = ref(inline(world.source.trigger("jobs"), fallback=fallback))
        for _ in range(2):
            code, _ = await keda.refused(web)
            assert code is grpc.StatusCode.UNAVAILABLE
            await asyncio.sleep(1.2)
        assert f"fallback.behavior {behavior} goes by it" in (await keda.refused(web))[1]
        world.source.values["jobs"] = 30
        await keda.until(web, 6)
        world.source.values["jobs"] = None
        await asyncio.sleep(3)
        await keda.until(web, 6)


async def test_a_target_without_a_pod_selector_is_taken_with_what_it_has(monkeypatch):
    """A selector says nothing about the count."""
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url) as world,
        world.client() as keda,
    ):
        cluster.create(deployment(20))
        cluster.create(keda_object("web"))
        world.source.values["jobs"] = 0
        targets = world.scaler.policies._cluster.targets
        view = targets.view

        async def without_selector(target):
            return replace(await view(target), selector="")

        monkeypatch.setattr(targets, "view", without_selector)
        web = ref(inline(world.source.trigger("jobs"), cooldownPeriod=300))
        assert await keda.value(web) == 20
        assert await keda.is_active(web) is True


async def test_an_object_of_kedas_that_cannot_be_seen_leaves_the_count_unknown():
    """It is warned of, and a failing source is an error instead of a zero."""
    with capture_logs() as logs:
        async with (
            EmbeddedCluster() as cluster,
            serving(cluster_url=cluster.url) as world,
            world.client() as keda,
        ):
            cluster.create(deployment(20))
            world.source.values |= {"a": 0, "b": None}
            web = ref(inline(world.source.trigger("a"), world.source.trigger("b")))
            code, why = await keda.refused(web)
            assert code is grpc.StatusCode.UNAVAILABLE
            assert why.startswith("what the target has is not known")
    (warning,) = [one for one in logs if one["event"] == "keda_object_not_seen"]
    assert (warning["log_level"], warning["object"]) == ("warning", "default/web")


async def test_a_count_that_comes_in_sight_is_taken_up():
    """It is looked for again as long as nothing could be told; then nothing is lowered."""
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url) as world,
        world.client() as keda,
    ):
        cluster.create(deployment(20))
        world.source.values |= {"a": 5, "b": None}
        web = ref(inline(world.source.trigger("a"), world.source.trigger("b")))
        assert (await keda.refused(web))[0] is grpc.StatusCode.UNAVAILABLE
        cluster.create(keda_object("web"))
        await keda.until(web, 20)
        assert await keda.is_active(web) is True
