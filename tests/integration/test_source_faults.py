"""Sources that misbehave: replicas hold, the condition says which trigger and why, recovery is free."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tests.integration.world import World, running

HUGE_BYTES = 64 * 1024 * 1024

FAULTS: dict[str, str] = {
    "timeout": "",
    "closed": "",
    "unauthorized": "401",
    "forbidden": "403",
    "not-found": "404",
    "server-error": "500",
    "unavailable": "503",
    "too-many": "429",
    "garbage": "",
    "nan": "",
    "infinite": "",
    "text": "",
    "null": "",
    "empty": "",
    "huge": "",
}
STATUSES = {
    "unauthorized": 401,
    "forbidden": 403,
    "not-found": 404,
    "server-error": 500,
    "unavailable": 503,
    "too-many": 429,
}
BODIES = {
    "garbage": b"<html>\xff\xfe",
    "nan": b'{"depth": NaN}',
    "infinite": b'{"depth": 1e999}',
    "text": b'{"depth": "many"}',
    "null": b'{"depth": null}',
    "empty": b"",
}


class Misbehaving:
    """Serves ``{"depth": value}`` per fault name until told to misbehave."""

    def __init__(self) -> None:
        self.is_broken = False
        self.depth = 40
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if not self.is_broken or name == "good":
            return web.json_response({"depth": self.depth})
        if name == "timeout":
            await asyncio.sleep(3600)
        if name == "closed":
            assert request.transport is not None
            request.transport.close()
        if name == "huge":
            return await self.flood(request)
        if name in STATUSES:
            return web.Response(status=STATUSES[name], text="no")
        return web.Response(body=BODIES.get(name, b""), content_type="application/json")

    async def flood(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        sent = 0
        try:
            while sent < HUGE_BYTES:
                await response.write(b" " * 65536)
                sent += 65536
        except ConnectionError:
            pass
        return response

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Misbehaving]:
        app = web.Application()
        app.router.add_get("/{name}", self.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()


def metrics_api(url: str) -> dict[str, Any]:
    """Return a trigger of ten per replica."""
    return {
        "type": "metrics-api",
        "metadata": {"url": url, "valueLocation": "depth", "targetValue": "10"},
    }


def is_ready(world: World, name: str) -> bool:
    """Whether a ScaledObject is Ready."""
    return world.condition(name)[0] == "True"


@pytest.mark.timeout(120)
async def test_every_fault_holds_replicas_and_names_the_trigger() -> None:
    """No fault of a source lowers replicas; each is told with its trigger; all recover."""
    async with Misbehaving().running() as source, running() as world:
        names = [*FAULTS, "good"]
        for name in names:
            world.deploy(name, 0)
            world.scale_on(
                name,
                metrics_api(f"{source.url}/{name}"),
                # Nothing but the errors keeps these replicas up.
                cooldownPeriod=0,
                advanced={
                    "horizontalPodAutoscalerConfig": {
                        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}
                    }
                },
            )
        for name in names:
            await world.until(lambda name=name: world.replicas(name) == 4)  # type: ignore[misc]
            await world.until(lambda name=name: is_ready(world, name))  # type: ignore[misc]
        source.is_broken = True
        for name, part in FAULTS.items():
            await world.until(lambda name=name: not is_ready(world, name), 20)  # type: ignore[misc]
            _, reason, message = world.condition(name)
            assert reason in {"TriggerError", "PartialTriggerError"}, (name, reason)
            assert "trigger 0 (metrics-api)" in message, (name, message)
            assert part in message, (name, message)
            assert len(message) < 1000, name
        await asyncio.sleep(3)
        for name in FAULTS:
            assert world.history[name] == [0, 4], name
        assert is_ready(world, "good")
        source.depth = 20
        await world.until(lambda: world.replicas("good") == 2)
        source.is_broken = False
        for name in FAULTS:
            await world.until(lambda name=name: world.replicas(name) == 2, 20)  # type: ignore[misc]
            await world.until(lambda name=name: is_ready(world, name))  # type: ignore[misc]


async def test_refused_connection_is_an_error_reading() -> None:
    """A port nobody listens on holds replicas, too."""
    async with running() as world:
        world.deploy("web", 4)
        world.scale_on("web", metrics_api("http://127.0.0.1:1/x"), cooldownPeriod=0)
        await world.until(lambda: world.condition("web")[0] == "False")
        assert "trigger 0 (metrics-api)" in world.condition("web")[2]
        await asyncio.sleep(2)
        assert world.history["web"] == [4]
