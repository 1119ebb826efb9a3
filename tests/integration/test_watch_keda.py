"""Objects of ``keda.sh``: which of them are acted on, and what becomes of KEDA's autoscaler."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from autoscaler.api.annotations import ADOPT
from autoscaler.controller.lifecycle import FINALIZER
from autoscaler.controller.objects import WatchKeda
from autoscaler.demo.cluster import EmbeddedCluster, scaling_resources
from autoscaler.demo.objects import JsonObject
from tests.integration.test_adoption import autoscale, has_autoscaler
from tests.integration.test_bad_input import cron, password, redis
from tests.integration.test_lifecycle import RESTORE, exists
from tests.integration.world import QUICK, World, running

KEDA = "keda.sh/v1alpha1"
KEDA_FINALIZER = "finalizer.keda.sh"
ANNOTATED = msgspec.structs.replace(QUICK, watch_keda=WatchKeda.ANNOTATED)
ALL = msgspec.structs.replace(QUICK, watch_keda=WatchKeda.ALL)


def keda_object(
    world: World, name: str, *triggers: dict[str, Any], target: str = "", **fields: Any
) -> JsonObject:
    """Create a ScaledObject of KEDA's group and return it."""
    metadata = fields.pop("metadata", {})
    world.create(
        "ScaledObject",
        name,
        api=KEDA,
        metadata={"finalizers": [KEDA_FINALIZER], **metadata},
        spec={
            "scaleTargetRef": {"name": target or name},
            "pollingInterval": 1,
            "triggers": list(triggers or [cron()]),
            **fields,
        },
    )
    return world.get("ScaledObject", name, api=KEDA)


def adopted(value: str = "true") -> dict[str, Any]:
    """Return metadata that hands an object over."""
    return {"annotations": {ADOPT: value}}


def keda_autoscaler(world: World, owner: JsonObject, target: str) -> None:
    """Create the autoscaler KEDA makes for an object."""
    name = f"keda-hpa-{owner['metadata']['name']}"
    autoscale(world, name, target, minReplicas=1, maxReplicas=100)
    reference = {
        "apiVersion": KEDA,
        "kind": "ScaledObject",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }

    def own(value: JsonObject) -> None:
        value["metadata"]["ownerReferences"] = [reference]

    world.edit("HorizontalPodAutoscaler", name, own, api="autoscaling/v2")


def condition(world: World, name: str) -> tuple[str, str]:
    """Return status and message of the Ready condition of KEDA's object."""
    status = world.get("ScaledObject", name, api=KEDA).get("status", {})
    for one in status.get("conditions", ()):
        if one["type"] == "Ready":
            return one["status"], one["message"]
    return "", ""


def annotate(world: World, name: str, value: str | None) -> None:
    """Set or remove the annotation that hands over."""

    def change(found: JsonObject) -> None:
        known = found["metadata"].setdefault("annotations", {})
        known.pop(ADOPT, None)
        if value is not None:
            known[ADOPT] = value

    world.edit("ScaledObject", name, change, api=KEDA)


async def test_objects_of_both_groups_are_scaled_by_one_service() -> None:
    """Annotated objects of KEDA and our own work side by side, also under the same name."""
    async with running(ANNOTATED) as world:
        for name in ("ours", "kedas", "left"):
            world.deploy(name, 0)
        world.scale_on("same", cron(desiredReplicas="5"), target="ours", cooldownPeriod=1)
        keda_object(world, "same", target="kedas", metadata=adopted())
        keda_object(world, "left")
        await world.until(lambda: world.replicas("ours") == 5)
        await world.until(lambda: world.replicas("kedas") >= 1)
        await world.until(lambda: condition(world, "same")[0] == "True")
        shown = {(one["apiVersion"], one["target"]) for one in world.service.objects()}
        assert shown == {
            ("flyball.dev/v1alpha1", 'Deployment "default/ours"'),
            (KEDA, 'Deployment "default/kedas"'),
        }
        # KEDA's defaults: first the minimum, then at most a doubling (or 4) per sync.
        assert world.history["kedas"][:2] == [0, 1]
        assert world.history["left"] == [0]
        assert "status" not in world.get("ScaledObject", "left", api=KEDA)


async def test_without_the_option_objects_of_keda_are_not_even_watched() -> None:
    """The default acts on our own group only, whatever an annotation says."""
    async with running() as world:
        world.deploy("web", 0)
        keda_object(world, "web", metadata=adopted())
        await asyncio.sleep(1)
        assert world.history["web"] == [0]
        asked = {plural for _, plural in world.cluster.api.requests}
        assert "scaledobjects" in asked
        assert world.service.objects() == []


async def test_handing_over_and_back_is_a_matter_of_the_annotation() -> None:
    """It may come and go at any time; taken back, the object is left as KEDA needs it."""
    async with running(ANNOTATED) as world:
        world.deploy("web", 0)
        keda_object(world, "web", advanced=RESTORE)
        await asyncio.sleep(0.5)
        assert world.history["web"] == [0]
        annotate(world, "web", "true")
        await world.until(lambda: world.replicas("web") >= 1)
        meta = world.get("ScaledObject", "web", api=KEDA)["metadata"]
        assert meta["finalizers"] == [KEDA_FINALIZER, FINALIZER]
        annotate(world, "web", None)
        await world.until(lambda: world.service.objects() == [])

        def finalizers() -> list[str]:
            found: list[str] = world.get("ScaledObject", "web", api=KEDA)["metadata"]["finalizers"]
            return found

        await world.until(lambda: finalizers() == [KEDA_FINALIZER])


async def test_all_leaves_out_only_what_is_refused_by_annotation() -> None:
    """Where KEDA is gone every object is ours, but for those that say no."""
    async with running(ALL) as world:
        for name in ("web", "kept"):
            world.deploy(name, 0)
        keda_object(world, "kept", metadata=adopted("false"))
        keda_object(world, "web")
        await world.until(lambda: world.replicas("web") >= 1)
        assert world.history["kept"] == [0]


async def test_keda_finalizer_is_never_touched() -> None:
    """On deletion our part is done; KEDA's finalizer stays for KEDA, or its uninstaller."""
    async with running(ALL) as world:
        world.deploy("web", 1)
        keda_object(world, "web", advanced=RESTORE, minReplicaCount=2)
        await world.until(lambda: world.replicas("web") >= 2)
        world.delete("ScaledObject", "web", api=KEDA)
        await world.until(lambda: world.replicas("web") == 1)

        def finalizers() -> list[str]:
            found: list[str] = world.get("ScaledObject", "web", api=KEDA)["metadata"]["finalizers"]
            return found

        await world.until(lambda: finalizers() == [KEDA_FINALIZER])


async def test_autoscaler_of_keda_is_removed_once_and_never_fought() -> None:
    """It goes when its object is taken over; one that comes back means that KEDA still acts."""
    async with running(ANNOTATED) as world:
        world.deploy("web", 2)
        owner = keda_object(world, "web", minReplicaCount=2)
        keda_autoscaler(world, owner, "web")
        await asyncio.sleep(0.3)
        assert has_autoscaler(world, "keda-hpa-web")
        annotate(world, "web", "true")
        await world.until(lambda: not has_autoscaler(world, "keda-hpa-web"))
        await world.until(lambda: condition(world, "web")[0] == "True")
        assert min(world.history["web"]) == 2
        keda_autoscaler(world, owner, "web")
        await world.until(lambda: "KEDA made" in condition(world, "web")[1])
        await asyncio.sleep(1)
        assert has_autoscaler(world, "keda-hpa-web")


async def test_autoscaler_of_keda_stands_in_the_way_of_our_own_objects() -> None:
    """An object of ours on a target KEDA scales waits, and says what for."""
    async with running() as world:
        world.deploy("web", 2)
        keda_autoscaler(world, keda_object(world, "web"), "web")
        world.scale_on("web", cron())
        await world.until(lambda: "keda-hpa-web" in world.condition("web")[2])
        assert world.history["web"] == [2]


async def test_object_left_to_keda_holds_its_target() -> None:
    """One object of each group on one target: what KEDA acts on goes first, even if younger."""
    async with running(ANNOTATED) as world:
        world.deploy("web", 0)
        world.scale_on("first", cron(), target="web", cooldownPeriod=1)
        await world.until(lambda: world.replicas("web") == 3)
        keda_object(world, "second", target="web")
        await world.until(lambda: "which KEDA acts on" in world.condition("first")[2])
        annotate(world, "second", "true")
        await world.until(lambda: world.condition("first")[0] == "True")
        await world.until(lambda: "which is older" in condition(world, "second")[1])


async def test_references_are_looked_up_in_the_group_of_the_object() -> None:
    """A TriggerAuthentication of the other group with the same name is another one."""
    async with running(ALL) as world:
        world.deploy("web", 1)
        world.create(
            "TriggerAuthentication",
            "auth",
            api="flyball.dev/v1alpha1",
            spec=password("absent", "password"),
        )
        keda_object(world, "web", redis("auth"))
        await world.until(lambda: '"default/auth" does not exist' in condition(world, "web")[1])
        world.create("Secret", "keys", data={"password": "eA=="})
        world.create("TriggerAuthentication", "auth", api=KEDA, spec=password("keys", "password"))
        await world.until(lambda: "does not exist" not in condition(world, "web")[1])


async def test_missing_definitions_of_keda_are_named_and_the_rest_works() -> None:
    """Asked to watch KEDA's objects on a cluster without them, our own work all the same."""
    async with EmbeddedCluster() as cluster:
        theirs = [one for one in scaling_resources() if one.group == "keda.sh"]
        for resource in theirs:
            cluster.registry.catalogue.remove(resource.group, resource.plural)
        async with running(ALL, cluster=cluster, wait=False) as world:
            world.deploy("web", 0)
            world.scale_on("web", cron())
            await world.until(lambda: world.replicas("web") == 3)

            def is_named() -> bool:
                return any(
                    reason.startswith("scaledobjects.keda.sh: its CustomResourceDefinition")
                    for reason in world.service.unready_reasons()
                )

            await world.until(is_named)
            for resource in theirs:
                cluster.registry.serve(resource)
            world.deploy("theirs", 0)
            keda_object(world, "theirs")
            await world.until(lambda: world.replicas("theirs") >= 1, 40)
            assert exists(world, "ScaledObject", "theirs", api=KEDA)
