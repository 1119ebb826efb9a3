"""What nobody asks for any more leaves nothing behind, and takes nobody else along."""

from __future__ import annotations

import asyncio

import grpc

from autoscaler.demo.cluster import EmbeddedCluster
from tests.integration.external_world import Serving, eventually, ref, serving
from tests.integration.test_external_scaler import deployment, inline, scaled_object
from tests.integration.test_references import coded


async def test_a_named_policy_is_forgotten_with_all_that_was_built_for_it():
    """Scalers and watches of references end with those who asked; asked again it is back."""
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url, forget_seconds=0.8) as world,
        world.client() as keda,
    ):
        world.source.values["jobs"] = 42
        create_with_login(cluster, world)
        named = {"scaledObject": "default/jobs"}
        await keda.until(ref(named), 9)
        await keda.until(ref(named, name="other"), 9)
        policies = world.scaler.policies
        triggers, references = policies._binder._triggers, policies._cluster._references
        assert (len(triggers._built), len(references._wanted)) == (2, 2)
        await eventually(lambda: len(policies) == 0)
        assert (triggers._built, references._wanted) == ({}, {})
        await keda.until(ref(named), 9)


async def test_a_named_policy_that_cannot_work_makes_room():
    """It gives its place to one that can, whoever asks first."""
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url, objects=1) as world,
        world.client() as keda,
    ):
        cluster.create(deployment(0))
        cluster.create(scaled_object("bad", {"type": "nonsense", "metadata": {}}))
        code, _ = await keda.refused(ref({"scaledObject": "default/bad"}))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        world.source.values["jobs"] = 42
        assert await keda.value(ref(inline(world.source.trigger("jobs")))) == 9


async def test_an_object_made_anew_leaves_nothing_of_the_old_one():
    """What was built under the old uid goes when the name stands for another object."""
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url) as world,
        world.client() as keda,
    ):
        world.source.values["jobs"] = 42
        cluster.create(deployment(0))
        cluster.create(scaled_object("jobs", world.source.trigger("jobs")))
        named = ref({"scaledObject": "default/jobs"})
        await keda.until(named, 9)
        resource = cluster.registry.resource("flyball.dev/v1alpha1", "ScaledObject")
        cluster.registry.delete(resource, "default", "jobs")
        cluster.create(scaled_object("jobs", world.source.trigger("jobs"), maxReplicaCount=4))
        await keda.until(named, 4)
        assert len(world.scaler.policies._binder._triggers._built) == 1


async def test_one_policy_that_does_not_go_in_order_stops_nothing(monkeypatch):
    """The others are forgotten and served as ever; what else belonged to it is released."""
    async with serving(forget_seconds=0.6) as world, world.client() as keda:
        world.source.values["jobs"] = 42
        policies = world.scaler.policies
        unregister = policies._collector.unregister
        failed: list[str] = []

        def breaks_once(key: str) -> None:
            if not failed:
                failed.append(key)
                raise RuntimeError("out of order")
            unregister(key)

        policy = inline(world.source.trigger("jobs"))
        await keda.until(ref(policy), 9)
        await keda.until(ref(policy, name="other"), 9)
        monkeypatch.setattr(policies._collector, "unregister", breaks_once)
        await eventually(lambda: len(policies) == 0)
        assert failed
        assert policies._binder._triggers._built == {}
        await asyncio.sleep(0.2)
        await keda.until(ref(policy), 9)


def create_with_login(cluster: EmbeddedCluster, world: Serving) -> None:
    """Create a ScaledObject ``jobs`` whose trigger logs in, and all that it refers to."""
    cluster.create(deployment(0))
    cluster.create(secret())
    cluster.create(authentication())
    trigger = world.source.trigger("jobs", authenticationRef={"name": "login"})
    trigger["metadata"]["authMode"] = "basic"
    cluster.create(scaled_object("jobs", trigger))


def secret() -> dict[str, object]:
    """Return credentials."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "login", "namespace": "default"},
        "data": coded(password="hidden", user="jo"),
    }


def authentication() -> dict[str, object]:
    """Return an authentication of ours that names them."""
    keys = {"username": "user", "password": "password"}
    return {
        "apiVersion": "flyball.dev/v1alpha1",
        "kind": "TriggerAuthentication",
        "metadata": {"name": "login", "namespace": "default"},
        "spec": {
            "secretTargetRef": [
                {"parameter": parameter, "name": "login", "key": key}
                for parameter, key in keys.items()
            ]
        },
    }
