"""Targets that others scale: taken over on request, otherwise left alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from autoscaler.controller.adoption import TAKEN_OVER, Adopter
from autoscaler.demo.apierrors import ApiError
from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.kube.autoscalers import AUTOSCALERS
from autoscaler.kube.codec import CustomObject
from tests.integration.test_bad_input import cron
from tests.integration.test_lifecycle import exists
from tests.integration.world import World, running

HPA = AUTOSCALERS.api_version
BEHAVIOR = {
    "scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 600}]},
    "scaleDown": {"stabilizationWindowSeconds": 60},
}
TRANSFER = ("scaledobject.keda.sh/transfer-hpa-ownership", "flyball.dev/transfer-hpa-ownership")


def autoscale(world: World, name: str, target: str = "web", **spec: Any) -> None:
    """Create a HorizontalPodAutoscaler of a Deployment."""
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    world.create(
        "HorizontalPodAutoscaler",
        name,
        api=HPA,
        spec={"scaleTargetRef": ref, "minReplicas": 2, "maxReplicas": 8, **spec},
    )


def has_autoscaler(world: World, name: str) -> bool:
    """Return whether there is such an autoscaler."""
    return exists(world, "HorizontalPodAutoscaler", name, api=HPA)


def named(name: str) -> dict[str, Any]:
    """Return ``advanced`` that names an autoscaler."""
    return {"horizontalPodAutoscalerConfig": {"name": name}}


def status(world: World, name: str) -> dict[str, Any]:
    """Return an object's status."""
    found: dict[str, Any] = world.get("ScaledObject", name).get("status", {})
    return found


def explained(world: World, name: str) -> dict[str, Any]:
    """Return the service's explanation of an object."""
    shown = world.service.explain("default", name)
    assert shown is not None
    return shown


async def test_target_of_an_autoscaler_is_left_alone_until_it_is_gone() -> None:
    """The object names the autoscaler and how to take over; nothing is written to the target."""
    async with running() as world:
        world.deploy("web", 2)
        autoscale(world, "web-hpa")
        world.scale_on("web", cron())
        await world.until(lambda: world.condition("web")[0] == "False")
        message = world.condition("web")[2]
        assert 'HorizontalPodAutoscaler "default/web-hpa" scales the same target' in message
        assert "transfer-hpa-ownership" in message
        assert world.history["web"] == [2]
        world.delete("HorizontalPodAutoscaler", "web-hpa", api=HPA)
        await world.until(lambda: world.replicas("web") == 3)
        await world.until(lambda: world.condition("web")[0] == "True")


async def test_autoscaler_that_appears_later_ends_scaling() -> None:
    """An object that was working stops as soon as somebody else starts."""
    async with running() as world:
        world.deploy("web", 0)
        world.scale_on("web", cron())
        await world.until(lambda: world.replicas("web") == 3)
        autoscale(world, "web-hpa")
        await world.until(lambda: "would fight" in world.condition("web")[2])

        def raised(value: dict[str, Any]) -> None:
            value["spec"]["replicas"] = 7

        world.edit("Deployment", "web", raised, api="apps/v1")
        await asyncio.sleep(1.5)
        assert world.history["web"] == [0, 3, 7]


@pytest.mark.parametrize("annotation", TRANSFER)
async def test_named_autoscaler_is_taken_over_without_a_jump(annotation: str) -> None:
    """Its bounds and behavior go on to hold, it is deleted, and replicas go from where they are."""
    async with running() as world:
        world.deploy("web", 4)
        autoscale(world, "web-hpa", behavior=BEHAVIOR)
        world.scale_on(
            "web",
            cron(desiredReplicas="20"),
            advanced=named("web-hpa"),
            metadata={"annotations": {annotation: "true"}},
        )
        await world.until(lambda: not has_autoscaler(world, "web-hpa"))
        # One pod per ten minutes, as its behavior says; its maximum is 8.
        await world.until(lambda: world.replicas("web") == 5)
        shown = explained(world, "web")
        assert (shown["minReplicas"], shown["maxReplicas"]) == (2, 8)
        await world.until(lambda: status(world, "web").get("hpaName") == "web-hpa")
        await asyncio.sleep(1.2)
        assert world.history["web"] == [4, 5]
        told = [text for reason, text in world.events("web") if reason == "AutoscalerTakenOver"]
        assert told == [
            'took over from HorizontalPodAutoscaler "default/web-hpa" (2 to 8 replicas)'
        ]


async def test_words_of_the_object_count_more_than_those_of_the_autoscaler() -> None:
    """Only what the object does not say itself is taken over; a restart changes nothing of that."""
    async with EmbeddedCluster() as cluster:
        async with running(cluster=cluster) as world:
            world.deploy("web", 4)
            autoscale(world, "web-hpa", behavior=BEHAVIOR)
            world.scale_on(
                "web",
                cron(desiredReplicas="20"),
                maxReplicaCount=6,
                advanced={
                    "horizontalPodAutoscalerConfig": {
                        "name": "web-hpa",
                        "behavior": {"scaleUp": {"stabilizationWindowSeconds": 0}},
                    }
                },
                metadata={"annotations": {TRANSFER[0]: "true"}},
            )
            await world.until(lambda: world.replicas("web") == 6)
            assert explained(world, "web")["minReplicas"] == 2
        async with running(cluster=cluster) as world:
            await world.until(lambda: world.service.explain("default", "web") is not None)
            await world.until(lambda: explained(world, "web")["minReplicas"] == 2)
            assert explained(world, "web")["maxReplicas"] == 6


async def test_object_that_cannot_work_takes_nothing_over() -> None:
    """The autoscaler stays until the object, with its words, is fit to replace it."""
    async with running() as world:
        world.deploy("web", 4)
        autoscale(world, "web-hpa")
        world.scale_on(
            "web",
            cron(),
            maxReplicaCount=1,
            advanced=named("web-hpa"),
            metadata={"annotations": {TRANSFER[0]: "true"}},
        )
        await world.until(lambda: world.condition("web")[0] == "False")
        assert "minReplicaCount" in world.condition("web")[2]
        assert (
            '(minReplicaCount: from HorizontalPodAutoscaler "default/web-hpa", which is to be '
            "taken over;"
        ) in world.condition("web")[2]
        assert has_autoscaler(world, "web-hpa")
        assert TAKEN_OVER not in world.get("ScaledObject", "web")["metadata"]["annotations"]

        def repair(value: dict[str, Any]) -> None:
            value["spec"]["maxReplicaCount"] = 5

        world.edit("ScaledObject", "web", repair)
        await world.until(lambda: not has_autoscaler(world, "web-hpa"))
        await world.until(lambda: world.condition("web")[0] == "True")


async def test_object_works_by_itself_when_the_autoscaler_it_could_not_replace_is_gone() -> None:
    """A take-over that failed leaves nothing behind: without the autoscaler its bounds are gone."""
    async with running() as world:
        world.deploy("web", 4)
        autoscale(world, "web-hpa")
        world.scale_on(
            "web",
            cron(desiredReplicas="1"),
            maxReplicaCount=1,
            advanced=named("web-hpa"),
            metadata={"annotations": {TRANSFER[0]: "true"}},
        )
        await world.until(lambda: world.condition("web")[0] == "False")
        world.delete("HorizontalPodAutoscaler", "web-hpa", api=HPA)
        await world.until(lambda: world.condition("web")[0] == "True")
        await world.until(lambda: world.replicas("web") == 1)
        assert explained(world, "web")["minReplicas"] == 0


async def test_words_that_do_not_fit_any_more_are_named_and_may_be_removed() -> None:
    """An edit that contradicts the kept words says so; without the annotation they do not count."""
    async with running() as world:
        world.deploy("web", 2)
        autoscale(world, "web-hpa")
        world.scale_on(
            "web",
            cron(desiredReplicas="1"),
            advanced=named("web-hpa"),
            metadata={"annotations": {TRANSFER[0]: "true"}},
        )
        await world.until(lambda: not has_autoscaler(world, "web-hpa"))
        await world.until(lambda: world.condition("web")[0] == "True")

        def lowered(value: dict[str, Any]) -> None:
            value["spec"]["maxReplicaCount"] = 1

        world.edit("ScaledObject", "web", lowered)
        await world.until(lambda: world.condition("web")[0] == "False")
        assert f"(minReplicaCount: from annotation {TAKEN_OVER}; " in world.condition("web")[2]

        def cleaned(value: dict[str, Any]) -> None:
            del value["metadata"]["annotations"][TAKEN_OVER]

        world.edit("ScaledObject", "web", cleaned)
        await world.until(lambda: world.replicas("web") == 1)
        await world.until(lambda: world.condition("web")[0] == "True")


async def test_autoscaler_that_changes_meanwhile_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bounds raised while the first were written down are those that hold after the take-over."""
    async with running() as world:
        world.deploy("web", 4)
        autoscale(world, "web-hpa")
        write_down, seen = Adopter.write_down, []

        def minimum(adopter: Adopter) -> int:
            known = adopter._autoscalers.named("default/web-hpa")
            return known.spec.min_replicas if known else 0

        async def slowly(self: Adopter, key: str, *args: Any) -> CustomObject:
            written = await write_down(self, key, *args)
            if not seen:
                seen.append(key)

                def raised(value: dict[str, Any]) -> None:
                    value["spec"]["minReplicas"] = 6

                world.edit("HorizontalPodAutoscaler", "web-hpa", raised, api=HPA)
                await world.until(lambda: minimum(self) == 6)
            return written

        monkeypatch.setattr(Adopter, "write_down", slowly)
        world.scale_on(
            "web",
            cron(),
            advanced=named("web-hpa"),
            metadata={"annotations": {TRANSFER[0]: "true"}},
        )
        await world.until(lambda: not has_autoscaler(world, "web-hpa"))
        await world.until(lambda: world.replicas("web") == 6)
        assert world.history["web"] == [4, 6]


async def test_only_the_named_autoscaler_is_taken_over() -> None:
    """A name that is missing, wrong, or of another target's autoscaler removes none."""
    async with running() as world:
        for name in ("web", "other"):
            world.deploy(name, 2)
            autoscale(world, f"{name}-hpa", name)
        annotated = {"annotations": {TRANSFER[0]: "true"}}
        world.scale_on("a", cron(), target="web", advanced=named("absent"), metadata=annotated)
        await world.until(lambda: "would fight" in world.condition("a")[2])
        world.delete("ScaledObject", "a")
        world.scale_on("b", cron(), target="web", advanced=named("other-hpa"), metadata=annotated)
        await world.until(lambda: 'scales Deployment "other"' in world.condition("b")[2])
        assert has_autoscaler(world, "web-hpa")
        assert has_autoscaler(world, "other-hpa")
        assert world.history["web"] == [2]


async def test_take_over_goes_on_where_it_was_interrupted() -> None:
    """A refused delete leaves the words written down and the target untouched until it works."""
    async with EmbeddedCluster() as cluster, running(cluster=cluster) as world:
        cluster.faults.deny("delete", "horizontalpodautoscalers")
        world.deploy("web", 4)
        autoscale(world, "web-hpa")
        world.scale_on(
            "web",
            cron(),
            advanced=named("web-hpa"),
            metadata={"annotations": {TRANSFER[0]: "true"}},
        )
        await world.until(lambda: "horizontalpodautoscalers" in world.condition("web")[2])
        assert TAKEN_OVER in world.get("ScaledObject", "web")["metadata"]["annotations"]
        assert world.history["web"] == [4]
        cluster.faults.permit("delete", "horizontalpodautoscalers")
        refused = ApiError(503, "ServiceUnavailable", "not now")
        cluster.faults.fail_next("delete", "horizontalpodautoscalers", refused)
        await world.until(lambda: not has_autoscaler(world, "web-hpa"))
        await world.until(lambda: world.condition("web")[0] == "True")


async def test_shadow_object_watches_beside_an_autoscaler() -> None:
    """To compare with an autoscaler, an object may watch its target; it takes over nothing."""
    async with running() as world:
        world.deploy("web", 2)
        autoscale(world, "web-hpa")
        world.scale_on("first", cron(), target="web", mode="shadow")
        world.scale_on(
            "second",
            cron(desiredReplicas="5"),
            target="web",
            mode="shadow",
            advanced=named("web-hpa"),
            metadata={"annotations": {TRANSFER[0]: "true"}},
        )
        for name in ("first", "second"):
            await world.until(lambda name=name: world.condition(name)[0] == "True")  # type: ignore[misc]
        assert has_autoscaler(world, "web-hpa")
        assert world.history["web"] == [2]


async def test_autoscalers_that_must_not_be_listed_are_a_condition() -> None:
    """Without the right to see autoscalers nothing is scaled, and the right is named."""
    async with EmbeddedCluster() as cluster:
        cluster.faults.deny("list", "horizontalpodautoscalers")
        async with running(cluster=cluster, wait=False) as world:
            world.deploy("web", 1)
            world.scale_on("web", cron())
            await world.until(lambda: world.condition("web")[0] == "False")
            text = 'cannot list resource "horizontalpodautoscalers"'
            assert text in world.condition("web")[2]
            assert any(text in reason for reason in world.service.unready_reasons())
            assert world.history["web"] == [1]
            cluster.faults.permit("list", "horizontalpodautoscalers")
            await world.until(lambda: world.replicas("web") == 3, 40)
