"""What the webhook knows of a cluster, against the embedded API server."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from autoscaler.api.conflicts import Target
from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.resources import custom
from autoscaler.errors import NotFound, Unreachable
from autoscaler.kube.resources import FLYBALL_GROUP, KEDA_GROUP
from autoscaler.kube.transport import KubeClient
from autoscaler.web.admission_cluster import ClusterFacts
from tests.webhook_cases import (
    KEDA,
    Manifest,
    autoscaler,
    limit_range,
    scaled_object,
    workload,
)

SERVED = (
    custom("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    custom("", "v1", "LimitRange", "limitranges"),
)
WORKER = Target("apps", "Deployment", "worker")


class World:
    """A cluster, and what is known of it."""

    def __init__(self, cluster: EmbeddedCluster, facts: ClusterFacts) -> None:
        self.cluster = cluster
        self.facts = facts

    def create(self, manifest: Manifest, namespace: str = "default") -> None:
        body = copy.deepcopy(manifest)
        body["metadata"]["namespace"] = namespace
        self.cluster.create(body)

    def delete(self, manifest: Manifest) -> None:
        resource = self.cluster.registry.resource(manifest["apiVersion"], manifest["kind"])
        self.cluster.registry.delete(resource, "default", manifest["metadata"]["name"])

    def names(self, autoscaler_name: str = "") -> list[str]:
        found = self.facts.claimants("default", WORKER, autoscaler_name)
        return [f"{claimant.group}/{claimant.name}" for claimant in found]

    def autoscalers(self) -> list[str]:
        return [one.name for one in self.facts.autoscalers("default", WORKER)]

    async def until(self, holds: Callable[[], bool]) -> None:
        give_up_at = time.monotonic() + 10
        while not holds():
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0.005)


@asynccontextmanager
async def watching(*groups: str, namespace: str | None = None) -> AsyncIterator[World]:
    """Watch a cluster that serves everything the webhook asks for."""
    async with EmbeddedCluster(workloads=False) as cluster:
        for resource in SERVED:
            cluster.registry.serve(resource)
        client = KubeClient.for_url(cluster.url)
        facts = ClusterFacts(
            client, groups=groups or (FLYBALL_GROUP,), namespace=namespace, rng=random.Random(1)
        )
        world = World(cluster, facts)
        task = asyncio.ensure_future(facts.run())
        try:
            await world.until(lambda: not facts.unsynced())
            yield world
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await client.close()


async def test_claims_follow_the_objects() -> None:
    """Created, changed and deleted objects are found, or not, by target and autoscaler."""
    async with watching() as world:
        world.create(scaled_object("first", target="worker"))
        world.create(scaled_object("second", target="other"))
        world.create(scaled_object("away", target="worker"), namespace="kube-public")
        await world.until(lambda: world.names() == ["flyball.dev/first"])
        assert world.names("keda-hpa-second") == ["flyball.dev/first", "flyball.dev/second"]
        resource = world.cluster.registry.resource("flyball.dev/v1alpha1", "ScaledObject")
        world.cluster.registry.modify(
            resource,
            "default",
            "second",
            lambda value: {
                **value,
                "spec": {**value["spec"], "scaleTargetRef": {"name": "worker"}},
            },
        )
        await world.until(lambda: world.names() == ["flyball.dev/first", "flyball.dev/second"])
        world.delete(scaled_object("first"))
        await world.until(lambda: world.names() == ["flyball.dev/second"])
        world.delete(scaled_object("second"))
        await world.until(lambda: world.names() == [])


async def test_both_groups_are_known_where_both_are_watched() -> None:
    """Objects of keda.sh count beside ours, and only when they are asked for."""
    for groups, expected in (
        ((FLYBALL_GROUP, KEDA_GROUP), ["flyball.dev/worker", "keda.sh/worker"]),
        ((FLYBALL_GROUP,), ["flyball.dev/worker"]),
    ):
        async with watching(*groups) as world:
            world.create(scaled_object(api=KEDA))
            world.create(scaled_object())
            await world.until(lambda world=world, expected=expected: world.names() == expected)


async def test_autoscalers_follow_the_cluster() -> None:
    """They are found by what they scale."""
    async with watching() as world:
        world.create(autoscaler("web"))
        world.create(autoscaler("other", target="other"))
        await world.until(lambda: world.autoscalers() == ["web"])
        world.delete(autoscaler("web"))
        await world.until(lambda: world.autoscalers() == [])


async def test_templates_and_defaults_are_read_when_asked_for() -> None:
    """Deployments and StatefulSets have a template; LimitRanges of the namespace add up."""
    async with watching() as world:
        world.create(workload(resources={"requests": {"cpu": "1"}}))
        world.create(workload(kind="StatefulSet"))
        template = await world.facts.template("default", WORKER)
        assert template is not None
        assert [(c.name, c.resources) for c in template.containers] == [("main", {"cpu"})]
        stateful = await world.facts.template("default", Target("apps", "StatefulSet", "worker"))
        assert stateful is not None
        assert await world.facts.template("default", Target("example.com", "Fleet", "x")) is None
        with pytest.raises(NotFound, match='Deployment "default/absent" does not exist'):
            await world.facts.template("default", Target("apps", "Deployment", "absent"))
        assert await world.facts.container_defaults("default") == frozenset()
        world.create(limit_range(default={"cpu": "1"}, defaultRequest={"memory": "1Gi"}))
        assert await world.facts.container_defaults("default") == {"cpu", "memory"}


async def test_what_cannot_be_listed_is_named() -> None:
    """Without the right to list autoscalers, or without them, that is what is not known."""
    async with EmbeddedCluster(workloads=False) as cluster:
        cluster.registry.catalogue.remove("autoscaling", "horizontalpodautoscalers")
        client = KubeClient.for_url(cluster.url)
        facts = ClusterFacts(client, groups=(FLYBALL_GROUP,), rng=random.Random(1))
        assert facts.unsynced() == ["scaledobjects", "horizontalpodautoscalers"]
        task = asyncio.ensure_future(facts.run())
        world = World(cluster, facts)
        await world.until(lambda: facts.unsynced() == ["horizontalpodautoscalers"])
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await client.close()


async def test_an_answer_of_another_shape_is_an_error() -> None:
    """It is no template without requests."""
    async with watching() as world:
        odd = workload()
        odd["spec"]["template"]["spec"]["containers"] = "none"
        resource = world.cluster.registry.resource("apps/v1", "Deployment")
        world.create(workload())
        item = world.cluster.registry.get(resource, "default", "worker")
        world.cluster.registry.set_spec(resource, item, **odd["spec"])
        with pytest.raises(Unreachable, match="GET /apis/apps/v1"):
            await world.facts.template("default", WORKER)
