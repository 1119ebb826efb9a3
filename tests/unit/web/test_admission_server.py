"""The webhook's TLS server with certificates that come, change and fail."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import aiohttp
import pytest

from autoscaler.errors import ConfigError, Unreachable
from autoscaler.telemetry.metrics import Metrics
from autoscaler.web.admission import Admission
from autoscaler.web.admission_review import AdmissionRequest
from autoscaler.web.admission_rules import Verdict
from autoscaler.web.admission_server import CertificateTimes, WebhookServer
from autoscaler.web.certificate_sources import Serving
from autoscaler.web.certificates import Issued, issue

QUICK = CertificateTimes(check_seconds=0.01, untrusted_seconds=0.01, settle_seconds=0.0)
PATIENCE_SECONDS = 10.0


class Accepting:
    """Finds nothing wrong."""

    async def review(self, request: AdmissionRequest, *, is_large: bool = False) -> Verdict:
        return Verdict()


class Scripted:
    """A source with one certificate, or an error."""

    def __init__(self, now: Serving | Exception) -> None:
        self.now = now
        self.looked_at = asyncio.Event()

    async def current(self) -> Serving:
        self.looked_at.set()
        if isinstance(self.now, Exception):
            raise self.now
        return self.now

    async def looked_at_again(self) -> None:
        """Wait until the present answer has been seen and acted on."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            # The second look from now on may have begun before the answer changed.
            for _ in range(3):
                self.looked_at.clear()
                await self.looked_at.wait()


def made(*, is_trusted: bool = True) -> tuple[Issued, Serving]:
    """Return a new certificate for loopback."""
    issued = issue(["127.0.0.1"], time.time())
    serving = Serving(
        certificate_pem=issued.certificate_pem,
        key_pem=issued.key_pem,
        expires_at=5e9,
        is_trusted=is_trusted,
    )
    return issued, serving


@asynccontextmanager
async def served(source: Scripted, port: int = 0) -> AsyncIterator[WebhookServer]:
    """Run a server."""
    server = WebhookServer(
        Admission(Accepting(), Metrics()),
        source,
        metrics=Metrics(),
        rng=Random(1),
        host="127.0.0.1",
        port=port,
        times=QUICK,
    )
    task = asyncio.ensure_future(server.run())
    try:
        yield server
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def is_served_with(server: WebhookServer, issued: Issued) -> bool:
    """Return whether a new connection finds a certificate of this authority."""
    context = ssl.create_default_context(cadata=issued.authority_pem.decode())
    url = f"https://127.0.0.1:{await server.port()}/healthz"
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(url, ssl=context) as response:
                return response.status == 200
        except aiohttp.ClientConnectorCertificateError:
            return False


async def test_reviews_are_served_over_tls() -> None:
    """A client that trusts the authority is answered; one that speaks plain HTTP is not."""
    issued, serving = made()
    async with served(Scripted(serving)) as server:
        assert await is_served_with(server, issued)
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://127.0.0.1:{await server.port()}/healthz")


async def test_a_new_certificate_is_taken_over_without_a_restart() -> None:
    """New connections get the new one; a connection that is open goes on."""
    old, first = made()
    new, second = made()
    source = Scripted(first)
    async with served(source) as server:
        context = ssl.create_default_context(cadata=old.authority_pem.decode())
        url = f"https://127.0.0.1:{await server.port()}/healthz"
        async with aiohttp.ClientSession() as session:
            assert (await session.get(url, ssl=context)).status == 200
            source.now = second
            await source.looked_at_again()
            assert await is_served_with(server, new)
            assert not await is_served_with(server, old)
            assert (await session.get(url, ssl=context)).status == 200


async def test_a_certificate_that_is_not_trusted_yet_waits() -> None:
    """The old one goes on until the API server accepts the new one."""
    old, first = made()
    new, second = made(is_trusted=False)
    source = Scripted(first)
    async with served(source) as server:
        await server.port()
        source.now = second
        await source.looked_at_again()
        assert await is_served_with(server, old)
        source.now = Serving(
            certificate_pem=second.certificate_pem, key_pem=second.key_pem, is_trusted=True
        )
        await source.looked_at_again()
        assert await is_served_with(server, new)


@pytest.mark.parametrize(
    "trouble",
    [
        Unreachable("GET /api/v1: no answer"),
        ConfigError("tls.crt: No such file"),
        Serving(certificate_pem=b"half a file", key_pem=b""),
    ],
    ids=["unreachable", "missing", "garbage"],
)
async def test_trouble_with_renewal_keeps_the_old_certificate(
    trouble: Exception | Serving,
) -> None:
    """A source that fails or gives garbage costs nothing while the old certificate lasts."""
    old, first = made()
    source = Scripted(first)
    async with served(source) as server:
        await server.port()
        source.now = trouble
        await source.looked_at_again()
        assert await is_served_with(server, old)
        new, source.now = made()
        await source.looked_at_again()
        assert await is_served_with(server, new)


async def test_without_a_certificate_nothing_is_listened_on_until_there_is_one() -> None:
    """An API server that is away at the start is waited for."""
    source = Scripted(Unreachable("GET /api/v1: no answer"))
    async with served(source) as server:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await source.looked_at.wait()
        issued, source.now = made()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await is_served_with(server, issued)


async def test_an_address_that_is_taken_is_a_clear_error() -> None:
    """The message says how to choose another."""
    _, serving = made()
    async with served(Scripted(serving)) as first:
        port = await first.port()
        second = WebhookServer(
            Admission(Accepting(), Metrics()),
            Scripted(serving),
            metrics=Metrics(),
            rng=Random(1),
            host="127.0.0.1",
            port=port,
        )
        with pytest.raises(ConfigError, match=rf"cannot listen on 127.0.0.1:{port}.*--webhook-l"):
            await second.run()


async def test_the_expiry_is_shown() -> None:
    """The gauge is the served certificate's, for an alert."""
    _, serving = made()
    metrics = Metrics()
    server = WebhookServer(
        Admission(Accepting(), metrics),
        Scripted(serving),
        metrics=metrics,
        rng=Random(1),
        host="127.0.0.1",
        port=0,
    )
    task = asyncio.ensure_future(server.run())
    await server.port()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert b"flyball_webhook_certificate_expiry_timestamp_seconds 5e+09" in metrics.expose()
