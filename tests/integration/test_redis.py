"""A real Redis drives a Deployment through the embedded API server."""

from __future__ import annotations

import asyncio
import random
import statistics
import time

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


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_median_latency_from_write_to_patch(
    redis_server: RedisServer, request: pytest.FixtureRequest
) -> None:
    """At a polling interval of 1 s the median from Redis write to scale write is <= 0.7 s."""
    rng = random.Random(20)
    latencies = []
    async with running() as world:
        world.deploy("worker", 0)
        world.scale_on("worker", jobs_trigger(redis_server), cooldownPeriod=0)
        await world.until(lambda: world.condition("worker")[0] == "True")
        for _ in range(20):
            # At any point of the polling interval, as arrivals are.
            await asyncio.sleep(rng.random())
            wrote_at = time.monotonic()
            redis_server.send("RPUSH", "jobs", *map(str, range(50)))
            await world.until(lambda: world.replicas("worker") == 5)
            latencies.append(world.changed_at["worker"] - wrote_at)
            redis_server.flush()
            await world.until(lambda: world.replicas("worker") == 0)
    median = statistics.median(latencies)
    figures = {"median": round(median, 3), "max": round(max(latencies), 3)}
    request.node.user_properties.append(("latency_seconds", figures))
    assert median <= 0.7, sorted(latencies)
    assert max(latencies) <= 1.5


async def test_killed_server_never_lowers_replicas(redis_server: RedisServer) -> None:
    """While Redis is down replicas hold and Ready says why; restarted, it is read again."""
    async with running() as world:
        world.deploy("worker", 0)
        world.scale_on("worker", jobs_trigger(redis_server), cooldownPeriod=1)
        await asyncio.to_thread(redis_server.send, "RPUSH", "jobs", *map(str, range(50)))
        await world.until(lambda: world.replicas("worker") == 5)
        await asyncio.to_thread(redis_server.kill)
        await world.until(lambda: world.condition("worker")[0] in {"False", "Unknown"})
        status, reason, message = world.condition("worker")
        assert reason in {"TriggerError", "PartialTriggerError"}, (status, reason, message)
        assert "trigger 0 (redis)" in message
        assert redis_server.address in message or "refused" in message.lower()
        await asyncio.sleep(4)
        assert world.history["worker"] == [0, 5]
        await asyncio.to_thread(redis_server.start)
        # It came back empty, which is a value again.
        await world.until(lambda: world.replicas("worker") == 0)
        await world.until(lambda: world.condition("worker")[0] == "True")
