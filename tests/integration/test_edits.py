"""An edited object is decided on as it is now, with nothing that was known about what it was."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from autoscaler.errors import Unreachable
from autoscaler.kube.transport import KubeClient
from tests.integration.external_world import number_source
from tests.integration.test_bad_input import cron
from tests.integration.world import World, running

LONG_SECONDS = 3600


def metadata(world: World, name: str, index: int = 0, **changes: str) -> None:
    """Edit the parameters of a trigger."""

    def change(value: dict[str, Any]) -> None:
        value["spec"]["triggers"][index]["metadata"].update(changes)

    world.edit("ScaledObject", name, change)


def behavior(**rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``advanced`` section with scaling rules."""
    return {"horizontalPodAutoscalerConfig": {"behavior": rules}}


async def test_new_parameters_of_the_same_question_count_at_once() -> None:
    """All schedules ask the clock the same; a new count does not wait for the next poll."""
    async with running() as world:
        world.deploy("a", 1)
        world.scale_on("a", cron(), pollingInterval=LONG_SECONDS)
        await world.until(lambda: world.replicas("a") == 3)
        metadata(world, "a", desiredReplicas="8")
        await world.until(lambda: world.replicas("a") == 8, 3)


async def test_a_new_target_is_never_scaled_by_what_the_old_trigger_said() -> None:
    """Target and count are edited at once: the new target never sees the old count."""
    async with running() as world:
        world.deploy("a", 1)
        world.deploy("b", 1)
        world.scale_on("a", cron(desiredReplicas="20"), pollingInterval=LONG_SECONDS)
        await world.until(lambda: world.replicas("a") == 20)

        def change(value: dict[str, Any]) -> None:
            value["spec"]["scaleTargetRef"]["name"] = "b"
            value["spec"]["triggers"][0]["metadata"]["desiredReplicas"] = "2"

        world.edit("ScaledObject", "a", change)
        await world.until(lambda: world.replicas("b") == 2)
        await asyncio.sleep(0.5)
        assert world.history["b"][-2:] == [1, 2]
        assert 20 not in world.history["b"]


async def test_a_new_target_did_not_take_the_steps_of_the_old_one() -> None:
    """Four pods a minute, all of them just added to the old target: the new one has its own."""
    rule = {"type": "Pods", "value": 4, "periodSeconds": 60}
    async with running() as world:
        world.deploy("a", 1)
        world.deploy("b", 1)
        world.scale_on(
            "a",
            cron(desiredReplicas="20"),
            pollingInterval=LONG_SECONDS,
            advanced=behavior(scaleUp={"policies": [rule]}),
        )
        await world.until(lambda: world.replicas("a") == 5)
        world.edit(
            "ScaledObject", "a", lambda value: value["spec"]["scaleTargetRef"].update(name="b")
        )
        await world.until(lambda: world.replicas("b") == 5, 5)


async def test_an_edit_elsewhere_costs_no_read() -> None:
    """Triggers that stay keep their readings; the source is not asked for them again."""
    async with number_source() as source, running() as world:
        source.values["jobs"] = 50
        world.deploy("a", 1)
        world.scale_on("a", source.trigger("jobs"), cron(), pollingInterval=LONG_SECONDS)
        await world.until(lambda: world.replicas("a") == 10)
        asked = source.asked["jobs"]
        metadata(world, "a", 1, desiredReplicas="12")
        await world.until(lambda: world.replicas("a") == 12)
        world.edit("ScaledObject", "a", lambda value: value["spec"].update(cooldownPeriod=7))
        await asyncio.sleep(0.5)
        assert source.asked["jobs"] == asked


async def test_an_average_is_about_one_query() -> None:
    """A trigger that asks something else begins its average anew; another one goes on."""
    slow = {"type": "ewma", "halfLifeSeconds": 600}
    async with number_source() as source, running() as world:
        source.values.update(many=200, few=25, other=50)
        world.deploy("a", 1)
        world.scale_on(
            "a",
            source.trigger("many", smoothing=slow),
            source.trigger("other", smoothing=slow),
            minReplicaCount=1,
            advanced=behavior(
                scaleUp={"policies": [{"type": "Pods", "value": 100, "periodSeconds": 15}]},
                scaleDown={"stabilizationWindowSeconds": 0},
            ),
        )
        await world.until(lambda: world.replicas("a") == 40)
        source.values["other"] = 5
        metadata(world, "a", url=source.url("few"))
        await world.until(lambda: world.replicas("a") == 10)
        await asyncio.sleep(1.5)
        assert world.replicas("a") == 10


async def test_an_object_created_again_is_not_told_of_the_old_ones_decision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What could not be written about an object is not written about the next of its name."""
    answered = KubeClient.request
    is_away = True

    async def request(self: KubeClient, method: str, path: str, **how: Any) -> bytes:
        if is_away and path.endswith("/scaledobjects/a/status"):
            raise Unreachable("no answer")
        return await answered(self, method, path, **how)

    monkeypatch.setattr(KubeClient, "request", request)
    async with running() as world:
        world.deploy("a", 1)
        world.scale_on("a", cron())
        await world.until(lambda: world.replicas("a") == 3)
        world.delete("ScaledObject", "a")
        world.scale_on("a", cron())
        uid = world.get("ScaledObject", "a")["metadata"]["uid"]
        tracked = world.service._reconciler.tracked
        await world.until(lambda: tracked["default/a"].item.metadata.uid == uid)
        await world.until(lambda: tracked["default/a"].journal.latest is not None)
        is_away = False
        await world.until(lambda: world.condition("a")[0] == "True")
        status = world.get("ScaledObject", "a")["status"]
        assert status["desiredReplicas"] == 3
        assert "lastDecision" not in status
