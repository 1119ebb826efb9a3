"""Where both sides read: numbers over HTTP, or an error, as the series of each case says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from tests.e2e.keda.cases import Values


class Source:
    """Answers ``/NAME/INDEX`` with the value of a trigger.

    Attributes:
        values: By name of the case; whoever drives the series sets them.
    """

    def __init__(self) -> None:
        self.values: dict[str, Values] = {}
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
        value = self.values[request.match_info["name"]][int(request.match_info["index"])]
        if value is None:
            return web.json_response({"error": "the source is away"}, status=500)
        return web.json_response({"value": value})
