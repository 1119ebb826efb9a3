"""Where both sides read: numbers over HTTP, or an error, as the series of each case says."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web

from tests.e2e.keda.cases import Values


class Read(NamedTuple):
    """One answer, and when it was given (epoch seconds)."""

    at: float
    name: str
    trigger: int
    value: float | None


class Source:
    """Answers ``/NAME/INDEX`` with the value of a trigger.

    Attributes:
        values: By name of the case; whoever drives the series sets them.
        reads: All answers in order.
    """

    def __init__(self) -> None:
        self.values: dict[str, Values] = {}
        self.reads: list[Read] = []
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen on a free loopback port."""
        app = web.Application()
        app.router.add_get("/{name}/{index}", self._answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        name, index = request.match_info["name"], int(request.match_info["index"])
        value = self.values[name][index]
        self.reads.append(Read(time.time(), name, index, value))
        if value is None:
            return web.json_response({"error": "the source is away"}, status=500)
        return web.json_response({"value": value})
