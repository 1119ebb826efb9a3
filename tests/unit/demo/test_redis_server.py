"""The demo's Redis, real or embedded."""

from __future__ import annotations

import shutil
import threading

import pytest
from redis.asyncio import Redis

from autoscaler.demo.redis_server import redis_address
from autoscaler.errors import ConfigError


async def play(program: str) -> None:
    """Push, pop and count in one transaction."""
    async with redis_address(program=program) as (host, port):
        client = Redis(host=host, port=port, decode_responses=True)
        try:
            pipe = client.pipeline(transaction=True)
            pipe.rpush("q", "a", "b", "c")
            pipe.lpop("q", 2)
            pipe.llen("q")
            assert await pipe.execute() == [3, ["a", "b"], 1]
        finally:
            await client.aclose()


async def test_embedded_redis_moves_list_items() -> None:
    """Without a redis-server the embedded one does, and its thread ends."""
    await play("")
    assert "embedded redis" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.real("redis-server")
async def test_real_redis_moves_list_items() -> None:
    """A redis-server on PATH is used and ended."""
    found = shutil.which("redis-server")
    assert found is not None
    await play(found)


async def test_program_that_does_not_serve_is_an_error() -> None:
    """A server that never listens is reported, not waited for for ever."""
    with pytest.raises(ConfigError, match="redis-server"):
        await play(shutil.which("true") or "/bin/true")
