"""The end of an object: finalizer, original replicas, and what must not keep it from going."""

from __future__ import annotations

from typing import Any

from autoscaler.controller.lifecycle import FINALIZER
from autoscaler.demo.apierrors import ApiError
from autoscaler.demo.cluster import EmbeddedCluster
from tests.integration.test_bad_input import cron
from tests.integration.world import NAMESPACE, World, running

RESTORE = {"restoreToOriginalReplicaCount": True}
OTHERS = "example.com/somebody-else"


def finalizers(world: World, name: str) -> list[str]:
    """Return an object's finalizers."""
    found: list[str] = world.get("ScaledObject", name)["metadata"].get("finalizers", [])
    return found


def exists(world: World, kind: str, name: str, *, api: str = "flyball.dev/v1alpha1") -> bool:
    """Return whether there is such an object."""
    resource = world.cluster.registry.resource(api, kind)
    return world.cluster.store.get(resource.storage, NAMESPACE, name) is not None


def gone(world: World, name: str) -> bool:
    """Return whether a ScaledObject is gone."""
    return not exists(world, "ScaledObject", name)


def wish(world: World, name: str, *, restore: bool) -> None:
    """Change whether an object wants its original replicas back."""

    def change(value: dict[str, Any]) -> None:
        value["spec"]["advanced"] = {"restoreToOriginalReplicaCount": restore}

    world.edit("ScaledObject", name, change)


async def test_only_an_object_with_something_to_restore_has_a_finalizer() -> None:
    """The finalizer follows the wish; finalizers of others stay where they are."""
    async with running() as world:
        for name in ("plain", "wishful"):
            world.deploy(name, 1)
        world.scale_on("plain", cron())
        world.scale_on("wishful", cron(), advanced=RESTORE, metadata={"finalizers": [OTHERS]})
        await world.until(lambda: world.replicas("wishful") == 3 == world.replicas("plain"))
        assert finalizers(world, "wishful") == [OTHERS, FINALIZER]
        assert finalizers(world, "plain") == []
        assert world.get("ScaledObject", "wishful")["status"]["originalReplicaCount"] == 1
        wish(world, "wishful", restore=False)
        await world.until(lambda: finalizers(world, "wishful") == [OTHERS])
        world.delete("ScaledObject", "plain")
        await world.until(lambda: gone(world, "plain"))


async def test_nothing_is_scaled_before_the_original_count_is_safe() -> None:
    """Where the finalizer cannot be written the target is not touched, and the object says why."""
    async with EmbeddedCluster() as cluster, running(cluster=cluster) as world:
        cluster.faults.deny("patch", "scaledobjects")
        world.deploy("web", 1)
        world.scale_on("web", cron(), advanced=RESTORE)
        await world.until(lambda: world.condition("web")[0] == "False")
        message = world.condition("web")[2]
        assert 'cannot patch resource "scaledobjects"' in message
        assert world.history["web"] == [1]
        cluster.faults.permit("patch", "scaledobjects")
        await world.until(lambda: world.replicas("web") == 3)
        await world.until(lambda: world.condition("web")[0] == "True")
        assert FINALIZER in finalizers(world, "web")


async def test_deletion_while_the_service_was_down_restores_replicas() -> None:
    """A new service finishes what the old one was not there for."""
    async with EmbeddedCluster() as cluster:
        async with running(cluster=cluster) as world:
            world.deploy("web", 1)
            world.scale_on("web", cron(), advanced=RESTORE)
            await world.until(lambda: world.replicas("web") == 3)
        world.delete("ScaledObject", "web")
        assert not gone(world, "web")
        assert world.replicas("web") == 3
        async with running(cluster=cluster) as world:
            await world.until(lambda: gone(world, "web"))
            assert world.replicas("web") == 1


async def test_object_whose_target_is_gone_goes_too() -> None:
    """Neither a missing target nor a kind nobody serves any more keeps an object for ever."""
    async with EmbeddedCluster() as cluster, running(cluster=cluster) as world:
        world.deploy("web", 1)
        world.scale_on("web", cron(), advanced=RESTORE)
        await world.until(lambda: world.replicas("web") == 3)
        world.delete("Deployment", "web", api="apps/v1")
        await world.until(lambda: "does not exist" in world.condition("web")[2])
        world.delete("ScaledObject", "web")
        await world.until(lambda: gone(world, "web"))
        world.scale_on(
            "lost",
            cron(),
            advanced=RESTORE,
            scaleTargetRef={"name": "lost", "kind": "Pump", "apiVersion": "pumps.example/v1"},
            metadata={"finalizers": [FINALIZER]},
        )
        await world.until(lambda: "serves no such kind" in world.condition("lost")[2])
        world.report("ScaledObject", "lost", originalReplicaCount=2)
        world.delete("ScaledObject", "lost")
        await world.until(lambda: gone(world, "lost"))


async def test_successor_keeps_its_replicas() -> None:
    """Where another object scales the target by now, going back would be a fight."""
    async with EmbeddedCluster() as cluster, running(cluster=cluster) as world:
        world.deploy("web", 1)
        world.scale_on("first", cron(), target="web", advanced=RESTORE)
        await world.until(lambda: world.replicas("web") == 3)
        world.scale_on("second", cron(desiredReplicas="9"), target="web")
        await world.until(lambda: world.condition("second")[0] == "False")
        world.delete("ScaledObject", "first")
        await world.until(lambda: gone(world, "first"))
        await world.until(lambda: world.replicas("web") == 9)
        assert world.history["web"] == [1, 3, 9]


async def test_denied_restore_is_said_and_tried_again() -> None:
    """An object that cannot be ended for want of a right names it, and goes once it is there."""
    async with EmbeddedCluster() as cluster, running(cluster=cluster) as world:
        world.deploy("web", 1)
        world.scale_on("web", cron(), advanced=RESTORE)
        await world.until(lambda: world.replicas("web") == 3)
        cluster.faults.deny("patch", "deployments/scale")
        world.delete("ScaledObject", "web")
        await world.until(lambda: "deployments/scale" in world.condition("web")[2])
        assert not gone(world, "web")
        cluster.faults.permit("patch", "deployments/scale")
        await world.until(lambda: gone(world, "web"), 20)
        assert world.replicas("web") == 1


async def test_restore_survives_conflicts() -> None:
    """Somebody who writes the object or the target at the same time only delays the end."""
    async with EmbeddedCluster() as cluster, running(cluster=cluster) as world:
        world.deploy("web", 1)
        world.scale_on("web", cron(), advanced=RESTORE)
        await world.until(lambda: world.replicas("web") == 3)
        for resource in ("deployments/scale", "scaledobjects"):
            conflict = ApiError(409, "Conflict", "the object has been modified")
            cluster.faults.fail_next("patch", resource, conflict, times=2)
        world.delete("ScaledObject", "web")
        await world.until(lambda: gone(world, "web"))
        assert world.replicas("web") == 1


async def test_shadow_object_holds_nothing() -> None:
    """An object that only watches has nothing to bring back and nothing to wait for."""
    async with running() as world:
        world.deploy("web", 1)
        world.scale_on("web", cron(), advanced=RESTORE, mode="shadow")
        await world.until(lambda: world.condition("web")[0] == "True")
        assert finalizers(world, "web") == []
        world.delete("ScaledObject", "web")
        await world.until(lambda: gone(world, "web"))
        assert world.history["web"] == [1]


async def test_answer_404_about_the_object_is_not_blamed_on_the_target() -> None:
    """A status that cannot be written yet only delays the start; the target is never called gone."""
    async with EmbeddedCluster() as cluster, running(cluster=cluster) as world:
        world.deploy("web", 1)
        missing = ApiError(404, "NotFound", "the server could not find the requested resource")
        cluster.faults.fail_next("patch", "scaledobjects/status", missing, times=2)
        world.scale_on("web", cron(), advanced=RESTORE)
        await world.until(lambda: world.replicas("web") == 3)
        await world.until(lambda: world.condition("web")[0] == "True")
        await world.until(lambda: told(world, "web", "ScaledObjectReady") == 1)
        assert told(world, "web", "ScaledObjectCheckFailed") == 0


async def test_target_that_goes_while_it_is_scaled_is_named() -> None:
    """A 404 on the write of the replicas says which target is gone, as one on a read does."""
    async with EmbeddedCluster() as cluster, running(cluster=cluster) as world:
        world.deploy("web", 1)
        missing = ApiError(404, "NotFound", 'deployments.apps "web" not found')
        cluster.faults.fail_next("patch", "deployments/scale", missing)
        world.scale_on("web", cron())
        text = 'spec.scaleTargetRef.name: Deployment "default/web" does not exist'
        await world.until(lambda: ("ScaledObjectCheckFailed", text) in world.events("web"))
        await world.until(lambda: world.replicas("web") == 3)


async def test_target_that_came_back_is_told_every_time() -> None:
    """Each time an object works again after it could not there is an event, as KEDA has it."""
    async with running() as world:
        world.deploy("web", 0)
        world.scale_on("web", cron())
        await world.until(lambda: world.replicas("web") == 3)
        for times in (1, 2):
            await world.until(
                lambda times=times: told(world, "web", "ScaledObjectReady") == times  # type: ignore[misc]
            )
            world.delete("Deployment", "web", api="apps/v1")
            await world.until(lambda: world.condition("web")[0] == "False")
            world.deploy("web", 0)
            await world.until(lambda: world.replicas("web") == 3)
            await world.until(lambda: world.condition("web")[0] == "True")
        await world.until(lambda: told(world, "web", "ScaledObjectReady") == 3)


def told(world: World, name: str, reason: str) -> int:
    """Return how often an event of a reason was recorded about a ScaledObject."""
    return sum(
        event.value["count"]
        for event in world.cluster.store.items("events")
        if event.value["involvedObject"]["name"] == name and event.value["reason"] == reason
    )
