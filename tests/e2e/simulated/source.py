"""Where the object reads what its service is doing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from simulations.workload.load import Load
from tests.e2e.simulated.cases import WINDOW_SECONDS
from tests.e2e.simulated.queue import Queue


class Served:
    """A load on its way through a service, by the clock.

    It begins when its metrics are read after :meth:`arm`, so that the first poll of the simulation
    and of the service fall together; before that it is as if load had just begun.

    Args:
        load: What arrives.
        queue: Before the pods.

    Attributes:
        begun: Set when the load begins.
        begin_at: When that was, monotonic clock.
        polls: When metrics were read since then.
    """

    def __init__(self, load: Load, queue: Queue) -> None:
        self.queue = queue
        self.begun = asyncio.Event()
        self.begin_at = 0.0
        self.polls: list[float] = []
        self._first_rate = float(load.expected[0]) / load.step_seconds
        self._is_armed = False

    def arm(self) -> None:
        """Begin at the next read."""
        self._is_armed = True

    def seconds(self) -> float:
        """Return how long the load has lasted; 0 before it begins."""
        return time.monotonic() - self.begin_at if self.begun.is_set() else 0.0

    def read(self) -> dict[str, float]:
        """Return the signals as they are now."""
        now = time.monotonic()
        if self._is_armed and not self.begun.is_set():
            self.begin_at = now
            self.begun.set()
        if self.begun.is_set():
            self.polls.append(now)
        at = self.seconds()
        window = min(at, WINDOW_SECONDS)
        rate = self._first_rate
        if len(self.polls) > 1:
            rate = self.queue.arrived(at - window, at) / window
        return {"rate": rate, "queue": float(self.queue.length(at))}


@asynccontextmanager
async def serving(services: Mapping[str, Served]) -> AsyncIterator[str]:
    """Answer ``/NAME`` with the signals of a service; yields the address."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(services[request.match_info["name"]].read())

    app = web.Application()
    app.router.add_get("/{name}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
