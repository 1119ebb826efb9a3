"""A real Prometheus, scraping a real exporter, drives a Deployment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from tests.integration.world import running
from tests.servers import PrometheusServer

pytestmark = pytest.mark.real("prometheus")


class Exporter:
    """One gauge over HTTP."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.depth = Gauge("shop_queue_depth", "Orders waiting.", registry=self.registry)
        self.address = ""

    async def expose(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self.registry), content_type="text/plain")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Exporter]:
        app = web.Application()
        app.router.add_get("/metrics", self.expose)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.address = f"127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()


@pytest.mark.timeout(120)
async def test_prometheus_drives_replicas_and_survives_a_kill(
    prometheus_server: PrometheusServer,
) -> None:
    """A query scales from zero and back; killing and restarting Prometheus lowers nothing."""
    trigger = {
        "type": "prometheus",
        "metadata": {
            "serverAddress": prometheus_server.url,
            "query": "sum(shop_queue_depth)",
            "threshold": "10",
        },
    }
    async with Exporter().running() as exporter, running() as world:
        exporter.depth.set(0)
        prometheus_server.scrape([exporter.address])
        world.deploy("worker", 0)
        world.scale_on("worker", trigger, cooldownPeriod=1)
        await world.until(lambda: world.condition("worker")[0] == "True", 20)
        exporter.depth.set(42)
        await world.until(lambda: world.replicas("worker") == 5, 20)
        await asyncio.to_thread(prometheus_server.kill)
        await world.until(lambda: world.condition("worker")[0] != "True", 20)
        assert "trigger 0 (prometheus)" in world.condition("worker")[2]
        await asyncio.sleep(3)
        assert world.history["worker"] == [0, 5]
        await asyncio.to_thread(prometheus_server.start)
        await world.until(lambda: world.condition("worker")[0] == "True", 20)
        assert world.history["worker"] == [0, 5]
        exporter.depth.set(0)
        await world.until(lambda: world.replicas("worker") == 0, 20)
        assert world.history["worker"] == [0, 5, 0]
