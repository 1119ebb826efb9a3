"""Stabilization windows begin with what was read, whatever else an object is looked at for."""

from __future__ import annotations

from typing import Any

from tests.integration.test_restart import SETTINGS, Stage, stage
from tests.integration.world import World, running

SPEC = {
    "pollingInterval": 3600,
    "minReplicaCount": 1,
    "advanced": {
        "horizontalPodAutoscalerConfig": {
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}
        }
    },
}


async def read(made: Stage, world: World, seconds: float, depth: int) -> int:
    """Let time pass and the source be read; returns the replicas after that."""
    made.source.depth = depth
    made.clock.advance(seconds)
    world.service._collector.ask("default/worker")
    await made.decided(world)
    return world.replicas("worker")


async def look(made: Stage, world: World, seconds: float) -> int:
    """Let time pass and something about the target change; returns the replicas after that."""

    def change(value: dict[str, Any]) -> None:
        value["metadata"]["annotations"] = {"changed": str(made.clock.now())}

    def is_done() -> bool:
        latest = world.service._reconciler.tracked["default/worker"].journal.latest
        return bool(latest and latest.decision.at == now and not latest.decision.is_rescale)

    made.clock.advance(seconds)
    now = made.clock.now()
    world.edit("Deployment", "worker", change, api="apps/v1")
    await world.until(is_done)
    return world.replicas("worker")


async def test_looking_again_at_old_readings_lengthens_no_window() -> None:
    """Five are asked for once; a look at their pods later does not count as asking again."""
    async with (
        stage(SPEC) as made,
        running(SETTINGS, clock=made.clock, cluster=made.cluster) as world,
    ):
        await made.decided(world)
        assert await read(made, world, 15, 50) == 5
        assert await look(made, world, 30) == 5
        assert await read(made, world, 20, 20) == 5
        assert await look(made, world, 9) == 5
        assert await look(made, world, 2) == 2


async def test_the_same_value_read_again_lengthens_the_window() -> None:
    """Five are asked for twice, half a minute apart: the window begins with the second time."""
    async with (
        stage(SPEC) as made,
        running(SETTINGS, clock=made.clock, cluster=made.cluster) as world,
    ):
        await made.decided(world)
        assert await read(made, world, 15, 50) == 5
        assert await read(made, world, 30, 50) == 5
        assert await read(made, world, 20, 20) == 5
        assert await look(made, world, 11) == 5
        assert await look(made, world, 30) == 2
