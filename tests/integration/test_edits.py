"""An edited object is decided on as it is now, with nothing that was known about what it was."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.integration.external_world import number_source
from tests.integration.test_bad_input import cron
from tests.integration.world import World, running

LONG_SECONDS = 3600


def metadata(world: World, name: str, index: int = 0, **changes: str) -> None:
    """Edit the parameters of a trigger."""

    def change(value: dict[str, Any]) -> None:
        value["spec"]["triggers"][index]["metadata"].update(changes)

    world.edit("ScaledObject", name, change)


async def test_new_parameters_of_the_same_question_count_at_once() -> None:
    """All schedules ask the clock the same; a new count does not wait for the next poll."""
    async with running() as world:
        world.deploy("a", 1)
        world.scale_on("a", cron(), pollingInterval=LONG_SECONDS)
        await world.until(lambda: world.replicas("a") == 3)
        metadata(world, "a", desiredReplicas="8")
        await world.until(lambda: world.replicas("a") == 8, 3)


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
