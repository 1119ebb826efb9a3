"""The service's own HTTP endpoints: probes, metrics, JSON API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import structlog
from aiohttp import web

from autoscaler.errors import ConfigError
from autoscaler.telemetry.metrics import CONTENT_TYPE
from autoscaler.web.api import Api, ServiceView

LOOP_LAG_SECONDS_MAX: Final = 5.0
"""A loop that runs timers later than this cannot keep polling intervals: restart it."""
REQUEST_BYTES_MAX: Final = 4096
SHUTDOWN_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)


class Probes:
    """Handlers of ``/livez``, ``/readyz`` and ``/metrics``."""

    def __init__(self, view: ServiceView) -> None:
        self._view = view

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/livez", self.livez),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.metrics),
        ]

    async def livez(self, _: web.Request) -> web.Response:
        """Answer 200 as long as the event loop runs timers in time."""
        lag = self._view.loop_lag_seconds
        status = 200 if lag <= LOOP_LAG_SECONDS_MAX else 503
        return web.Response(status=status, text=f"event loop lag {lag:.3f} s\n")

    async def readyz(self, _: web.Request) -> web.Response:
        """Answer 200 when everything needed has been listed, else name what has not."""
        reasons = self._view.unready_reasons()
        if reasons:
            return web.Response(status=503, text="\n".join(reasons) + "\n")
        return web.Response(text="ready\n")

    async def metrics(self, _: web.Request) -> web.Response:
        """Answer all series in Prometheus text format."""
        return web.Response(body=self._view.exposition(), headers={"Content-Type": CONTENT_TYPE})


def build_app(view: ServiceView) -> web.Application:
    """Return the application over a running service; it only reads."""
    app = web.Application(client_max_size=REQUEST_BYTES_MAX)
    app.add_routes([*Probes(view).routes(), *Api(view).routes()])
    return app


@contextlib.asynccontextmanager
async def listening(view: ServiceView, host: str, port: int) -> AsyncIterator[int]:
    """Serve while the context is open; yields the port.

    Args:
        view: The service to show.
        host: Address to listen on.
        port: 0 = any free one.

    Raises:
        ConfigError: The address cannot be listened on.
    """
    runner = web.AppRunner(
        build_app(view), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, handle_signals=False
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port} ({error.strerror or error}); choose another "
                "address with --listen",
                field="server",
            ) from error
        bound: int = runner.addresses[0][1]
        log.info("listening", host=host, port=bound)
        yield bound
    finally:
        await runner.cleanup()


async def serve(view: ServiceView, host: str, port: int) -> None:
    """Serve until cancelled (a root task of the service); arguments as of :func:`listening`."""
    async with listening(view, host, port):
        await asyncio.Event().wait()
