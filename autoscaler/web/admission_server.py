"""The webhook's TLS server, which always has a current certificate."""

from __future__ import annotations

import asyncio
import ssl
from random import Random
from typing import Final

import msgspec
import structlog
from aiohttp import web

from autoscaler.errors import AutoscalerError, ConfigError
from autoscaler.runtime.backoff import Backoff
from autoscaler.telemetry.metrics import Metrics
from autoscaler.web.admission import Admission
from autoscaler.web.certificate_sources import CertificateSource, Serving

SHUTDOWN_SECONDS: Final = 1.0
KEEPALIVE_SECONDS: Final = 120.0
"""Longer than the API server keeps an idle connection, so that it is the one to close."""

log = structlog.get_logger(__name__)


class CertificateTimes(msgspec.Struct, frozen=True, kw_only=True):
    """How often to look after the certificate, seconds.

    Attributes:
        check_seconds: Between two looks.
        untrusted_seconds: The same while the API server does not accept it.
        settle_seconds: From telling the API server about a new authority to serving with it; its
            own replicas have to hear of it first.
    """

    check_seconds: float = 60.0
    untrusted_seconds: float = 5.0
    settle_seconds: float = 15.0


class WebhookServer:
    """Serves AdmissionReviews.

    Args:
        admission: Answers reviews.
        source: The certificate.
        metrics: Where its expiry is shown.
        rng: For jitter.
        host: Address to listen on.
        port: 0 = any free one.
        times: How often to look after the certificate.
    """

    def __init__(
        self,
        admission: Admission,
        source: CertificateSource,
        *,
        metrics: Metrics,
        rng: Random,
        host: str,
        port: int,
        times: CertificateTimes | None = None,
    ) -> None:
        self._admission = admission
        self._source = source
        self._metrics = metrics
        self._rng = rng
        self._address = (host, port)
        self._times = times or CertificateTimes()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._bound_port = 0
        self._is_listening = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled (a root task of the service).

        Raises:
            ConfigError: The address cannot be listened on.
        """
        serving = await self._first_certificate()
        runner = web.AppRunner(
            self._admission.app(),
            access_log=None,
            shutdown_timeout=SHUTDOWN_SECONDS,
            keepalive_timeout=KEEPALIVE_SECONDS,
            handle_signals=False,
        )
        await runner.setup()
        try:
            await self._listen(runner)
            await self._follow(serving)
        finally:
            await runner.cleanup()

    async def port(self) -> int:
        """Wait until the server listens; returns its port."""
        await self._is_listening.wait()
        return self._bound_port

    async def _listen(self, runner: web.AppRunner) -> None:
        host, port = self._address
        try:
            await web.TCPSite(runner, host, port, ssl_context=self._context).start()
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port} ({error.strerror or error}); choose another "
                "address with --webhook-listen",
                field="webhook",
            ) from error
        self._bound_port = runner.addresses[0][1]
        self._is_listening.set()
        log.info("webhook_listening", host=host, port=self._bound_port)

    async def _first_certificate(self) -> Serving:
        """Return the first certificate there is; without one there is nothing to listen with."""
        backoff = Backoff(self._rng)
        while True:
            try:
                serving = await self._source.current()
                await self._load(serving)
            except AutoscalerError as error:
                delay = backoff.next_delay(asyncio.get_running_loop().time())
                log.warning("webhook_has_no_certificate", error=str(error), retry_seconds=delay)
                await asyncio.sleep(delay)
            else:
                return serving

    async def _follow(self, serving: Serving) -> None:
        """Take over each new certificate, for ever."""
        times = self._times
        is_trusted = serving.is_trusted
        while True:
            await asyncio.sleep(times.check_seconds if is_trusted else times.untrusted_seconds)
            try:
                found = await self._source.current()
                is_trusted = found.is_trusted
                # Serving with what is not trusted yet would be worse than with the old one.
                if found.is_same(serving) or not found.is_trusted:
                    continue
                await asyncio.sleep(times.settle_seconds)
                await self._load(found)
            except AutoscalerError as error:
                log.warning("webhook_certificate_not_renewed", error=str(error))
            else:
                serving = found
                log.info("webhook_certificate_taken_over")

    async def _load(self, serving: Serving) -> None:
        await asyncio.to_thread(serving.load_into, self._context)
        self._metrics.webhook_certificate_expiry.set(serving.expires_at)
