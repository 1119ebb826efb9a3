"""What stands between the service and a real API server, and fails as told: TLS in and out."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Final, Protocol
from weakref import WeakSet

import aiohttp
from aiohttp import web
from yarl import URL

LOOPBACK: Final = "127.0.0.1"
KEPT_HEADERS: Final = frozenset({"authorization", "content-type", "accept", "user-agent"})
SHUTDOWN_SECONDS: Final = 0.1


class Fault(Protocol):
    """What is wrong while it is set on a proxy."""

    async def meet(self, request: web.BaseRequest) -> web.Response | None:
        """Answer in the API server's place, or return None to let the request through.

        Raises:
            ConnectionAbortedError: The connection breaks.
        """
        ...

    async def pass_on(self) -> None:
        """Hold back what a stream that is open has to say, as long as it takes."""
        ...


class Absent:
    """Nobody answers: connections break."""

    async def meet(self, request: web.BaseRequest) -> web.Response | None:
        """Break the connection."""
        raise ConnectionAbortedError(request.path)

    async def pass_on(self) -> None:
        """Break the stream."""
        raise ConnectionAbortedError


class Refusing:
    """Answers errors in turn.

    Args:
        statuses: HTTP statuses with the seconds of their ``Retry-After``; 0 = none.
    """

    def __init__(self, *statuses: tuple[int, int]) -> None:
        self._statuses = statuses
        self._answered = 0

    async def meet(self, request: web.BaseRequest) -> web.Response | None:
        """Answer an error, as an API server or a load balancer before it would."""
        status, seconds = self._statuses[self._answered % len(self._statuses)]
        self._answered += 1
        headers = {"Retry-After": str(seconds)} if seconds else {}
        return web.Response(status=status, text=f"{request.path}: not now", headers=headers)

    async def pass_on(self) -> None:
        """Let streams that are open go on."""


class HungEnd(Enum):
    """What becomes of the connections of an API server that hung."""

    RESUMED = "resumed"
    """It goes on where it was: a process that was stopped, a machine out of memory."""
    BROKEN = "broken"
    """They are reset: the process was killed at last."""


class Hanging:
    """Accepts and never answers; open streams stall."""

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._end = HungEnd.RESUMED

    def end(self, how: HungEnd) -> None:
        """Let go what was held."""
        self._end = how
        self._over.set()

    async def meet(self, request: web.BaseRequest) -> web.Response | None:
        """Hold a request back."""
        await self.pass_on()
        return None

    async def pass_on(self) -> None:
        """Hold back until the end, and then as the end says."""
        await self._over.wait()
        if self._end is HungEnd.BROKEN:
            raise ConnectionAbortedError


class FaultProxy:
    """Forwards requests to an API server until told to do otherwise.

    Args:
        url: Of the API server.
        trust: To talk to it; without a client certificate, so that only tokens count.
        serving: The certificate shown to clients.
    """

    def __init__(self, url: str, *, trust: ssl.SSLContext, serving: ssl.SSLContext) -> None:
        self._url = url
        self._trust = trust
        self._serving = serving
        self._connections: WeakSet[asyncio.Transport] = WeakSet()
        self._fault: Fault | None = None
        self.forwarded: Counter[str] = Counter()
        """Requests that reached the API server: ``list``, ``watch``, and ``other``."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve on a free port and yield the URL."""
        connector = aiohttp.TCPConnector(ssl=self._trust, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            self._session = session
            runner = web.ServerRunner(
                web.Server(self._handle, handler_cancellation=True, access_log=None),
                shutdown_timeout=SHUTDOWN_SECONDS,
            )
            await runner.setup()
            site = web.TCPSite(runner, LOOPBACK, 0, ssl_context=self._serving)
            await site.start()
            try:
                yield f"https://{LOOPBACK}:{runner.addresses[0][1]}"
            finally:
                self.cut()
                await runner.cleanup()

    def set_fault(self, fault: Fault | None) -> None:
        """Begin with a fault, or go on as if nothing had been."""
        self._fault = fault

    def cut(self) -> None:
        """Break every connection there is."""
        for connection in tuple(self._connections):
            connection.abort()
        self._connections.clear()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.transport
        assert connection is not None
        self._connections.add(connection)
        try:
            answer = await self._fault.meet(request) if self._fault else None
            return answer or await self._forward(request)
        except (ConnectionAbortedError, aiohttp.ClientError, OSError):
            connection.abort()
            return web.Response(status=502)

    async def _forward(self, request: web.BaseRequest) -> web.StreamResponse:
        self.forwarded[_kind(request)] += 1
        headers = {k: v for k, v in request.headers.items() if k.lower() in KEPT_HEADERS}
        async with self._session.request(
            request.method,
            URL(self._url + request.raw_path, encoded=True),
            headers=headers,
            data=await request.read(),
            allow_redirects=False,
        ) as upstream:
            answer = web.StreamResponse(status=upstream.status)
            for name in ("Content-Type", "Retry-After"):
                if name in upstream.headers:
                    answer.headers[name] = upstream.headers[name]
            await self._say()
            await answer.prepare(request)
            async for part in upstream.content.iter_any():
                await self._say()
                await answer.write(part)
            await self._say()
            await answer.write_eof()
            return answer

    async def _say(self) -> None:
        if self._fault:
            await self._fault.pass_on()


def _kind(request: web.BaseRequest) -> str:
    query = request.query
    if "watch" in query:
        return "watch"
    # A reflector names a page size or a version; single objects are asked for without.
    return "list" if {"limit", "resourceVersion"} & query.keys() else "other"
