"""An API server that answers late or never: it delays what it is asked for and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from msgspec.structs import replace

from autoscaler.demo.cluster import EmbeddedCluster
from tests.integration.external_world import SETTINGS, Serving, eventually, ref, serving
from tests.integration.test_external_forgotten import create_with_login
from tests.integration.test_external_scaler import (
    deployment,
    inline,
    keda_object,
)

QUICK_TO_GIVE_UP = replace(SETTINGS, reconcile_seconds=5.0)


@asynccontextmanager
async def _never_answering(world: Serving, monkeypatch) -> AsyncIterator[None]:
    """Let every request of the server to its cluster hang; watches that are open go on."""
    client = world.scaler.policies._cluster.client

    async def hang(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(client, "request", hang)
        yield


async def test_a_hanging_api_server_delays_no_count_of_policies_that_are_bound(monkeypatch):
    """However many new ones wait for it; those are told to come back."""
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url, wait_seconds=0.5) as world,
        world.client() as keda,
    ):
        cluster.create(keda_object("web"))
        cluster.create(deployment(3))
        world.source.values["jobs"] = 42
        trigger = world.source.trigger("jobs")
        web = ref(inline(trigger))
        await keda.until(web, 9)
        async with _never_answering(world, monkeypatch):
            others = [ref(inline(trigger), name=f"other-{number}") for number in range(40)]
            refusals = await asyncio.gather(*(keda.refused(one) for one in others))
            assert {code for code, _ in refusals} == {grpc.StatusCode.UNAVAILABLE}
            world.source.values["jobs"] = 82
            await keda.until(web, 17, seconds=3)


async def test_references_that_cannot_be_looked_up_again_delay_no_count(monkeypatch):
    """A policy goes on with what was found before, and takes up what changed once it can."""
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url, controller=QUICK_TO_GIVE_UP) as world,
        world.client() as keda,
    ):
        world.source.values["jobs"] = 42
        create_with_login(cluster, world)
        named = ref({"scaledObject": "default/jobs"})
        await keda.until(named, 9)
        (served,) = world.scaler.policies.all()
        async with _never_answering(world, monkeypatch):
            world.scaler.policies._cluster.entries.forget()
            bound_at = served.tracked.bound_at
            await asyncio.sleep(2 * QUICK_TO_GIVE_UP.refresh_seconds)
            assert served.tracked.bound_at == bound_at
            world.source.values["jobs"] = 82
            await keda.until(named, 17, seconds=3.0)
        await eventually(lambda: served.tracked.bound_at > bound_at, seconds=15.0)


async def test_a_policy_forgotten_while_it_is_bound_stays_forgotten(monkeypatch):
    """Nothing is read, watched or kept for it when the API server answers at last."""
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url, forget_seconds=0.4, wait_seconds=0.1) as world,
        world.client() as keda,
    ):
        cluster.create(deployment(20))
        cluster.create(keda_object("web"))
        world.source.values["jobs"] = 100
        policies = world.scaler.policies
        answers, find = asyncio.Event(), policies._cluster.keda_object
        has_answered = asyncio.Event()

        async def late(namespace: str, name: str):
            await answers.wait()
            try:
                return await find(namespace, name)
            finally:
                has_answered.set()

        monkeypatch.setattr(policies._cluster, "keda_object", late)
        await keda.refused(ref(inline(world.source.trigger("jobs"))))
        await eventually(lambda: len(policies) == 0)
        answers.set()
        await has_answered.wait()
        await eventually(lambda: policies._unbound.in_flight == 0)
        assert policies._collector._objects == {}
        assert policies._binder._triggers._built == {}
        await asyncio.sleep(1.2)
        assert world.source.asked["jobs"] == 0


@pytest.mark.parametrize("asked", [1, 5])
async def test_policies_that_do_not_exist_keep_nobody_out(asked):
    """A name nobody has made room for is the first to go, and may be asked for again."""
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url, objects=2) as world,
        world.client() as keda,
    ):
        for number in range(asked):
            code, _ = await keda.refused(ref({"scaledObject": f"default/none-{number}"}))
            assert code is grpc.StatusCode.NOT_FOUND
        world.source.values["jobs"] = 42
        policy = inline(world.source.trigger("jobs"))
        assert await keda.value(ref(policy)) == 9
        assert await keda.value(ref(policy, name="other")) == 9
        code, why = await keda.refused(ref(policy, name="third"))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "its limit of 2 policies" in why
