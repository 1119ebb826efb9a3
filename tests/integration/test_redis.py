"""A real Redis drives a Deployment through the embedded API server."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.world import running
from tests.servers import RedisServer

pytestmark = pytest.mark.real("redis-server")


def jobs_trigger(server: RedisServer, key: str = "jobs") -> dict[str, object]:
    """Return a trigger of ten items per replica."""
    return {
        "type": "redis",
        "metadata": {"address": server.address, "listName": key, "listLength": "10"},
    }


async def test_list_drives_replicas_from_zero_and_back(redis_server: RedisServer) -> None:
    """50 items mean 5 replicas in one step; an empty list means zero after the cooldown."""
    async with running() as world:
        world.deploy("worker", 0)
        world.scale_on("worker", jobs_trigger(redis_server), cooldownPeriod=1)
        await world.until(lambda: world.condition("worker")[0] == "True")
        assert world.replicas("worker") == 0
        redis_server.send("RPUSH", "jobs", *map(str, range(50)))
        await world.until(lambda: world.replicas("worker") == 5)
        redis_server.flush()
        await world.until(lambda: world.replicas("worker") == 0)
        assert world.history["worker"] == [0, 5, 0]
        await asyncio.sleep(0)
