"""What is not known is never told as a count: not read yet, or nobody knows what there is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from autoscaler.external import policies
from tests.integration.external_world import ref, serving
from tests.integration.test_external_scaler import inline


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """Accept connections and never answer; yields the port."""
    opened: list[asyncio.StreamWriter] = []

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in opened:
            writer.close()
        await server.wait_closed()


async def test_a_source_that_has_not_answered_yet_is_no_zero(monkeypatch):
    """However long the first read takes, nothing is told before there is something to tell."""
    monkeypatch.setattr(policies, "FIRST_READ_SECONDS", 0.3)
    async with silent_server() as port, serving(wait_seconds=2.0) as world, world.client() as keda:
        trigger = world.source.trigger("jobs")
        trigger["metadata"]["url"] = f"http://127.0.0.1:{port}/jobs"
        code, why = await keda.refused(ref(inline(trigger)))
        assert code is grpc.StatusCode.UNAVAILABLE
        assert why == "s0-metric-api-value: metric s0-metric-api-value has not been read yet"
