"""The gRPC server: KEDA's contract, health and reflection on one port."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import grpc
import structlog
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_health.v1.health import aio as health
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server

from autoscaler.errors import ConfigError
from autoscaler.external.admission import ARRIVALS, OTHER_CALLS, OTHER_STREAMS, OtherServices
from autoscaler.external.certificates import CertificateFolder
from autoscaler.external.methods import Methods
from autoscaler.sdk.externalscaler import SERVICE
from autoscaler.settings import ExternalSettings

MESSAGE_SLACK: Final = 16_384
"""What a request holds beside its metadata."""

STATUS_ROOM: Final = 64
"""Calls beyond the limits that are still told so; more are cut off by the transport."""

KEEPALIVE_MS: Final = 30_000
KEEPALIVE_TIMEOUT_MS: Final = 10_000
PING_INTERVAL_MS: Final = 10_000

log = structlog.get_logger(__name__)


class ExternalScalerServer:
    """Serves :class:`Methods` until cancelled.

    Args:
        methods: What to serve.
        settings: Where and how.
        certificates: For TLS; None = plain text.
    """

    def __init__(
        self, methods: Methods, settings: ExternalSettings, certificates: CertificateFolder | None
    ) -> None:
        self._methods = methods
        self._settings = settings
        self._certificates = certificates
        self._bound_port = 0
        self._is_listening = asyncio.Event()

    async def port(self) -> int:
        """Wait until the server listens; returns its port."""
        await self._is_listening.wait()
        return self._bound_port

    async def run(self) -> None:
        """Serve until cancelled; then calls under way may finish, and streams end.

        Raises:
            ConfigError: The address cannot be listened on.
        """
        server = self._build()
        statuses = health.HealthServicer()
        others: Any = OtherServices(self._methods.arrivals)
        add_HealthServicer_to_server(statuses, others)
        listed = (SERVICE, HEALTH, reflection.SERVICE_NAME)
        add_reflection: Any = add_ServerReflectionServicer_to_server
        add_reflection(reflection.aio.ReflectionServicer(listed), others)
        server.add_generic_rpc_handlers((others,))
        self._bound_port = self._bind(server)
        await server.start()
        for name in ("", SERVICE):
            await statuses.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._is_listening.set()
        address = f"{_bracketed(self._settings.host)}:{self._bound_port}"
        log.info("external_scaler_listening", address=address, tls=self._certificates is not None)
        try:
            if self._certificates is not None:
                await self._certificates.follow()
            await asyncio.Event().wait()
        finally:
            await statuses.enter_graceful_shutdown()
            self._methods.drain()
            await server.stop(self._settings.drain_seconds)

    def _build(self) -> grpc.aio.Server:
        settings = self._settings
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", settings.metadata_bytes + MESSAGE_SLACK),
                ("grpc.keepalive_time_ms", KEEPALIVE_MS),
                ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL_MS),
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=(
                settings.concurrent_calls
                + settings.streams
                + ARRIVALS
                + OTHER_CALLS
                + OTHER_STREAMS
                + STATUS_ROOM
            ),
        )
        server.add_generic_rpc_handlers((self._methods.handler(),))
        return server

    def _bind(self, server: grpc.aio.Server) -> int:
        settings = self._settings
        address = f"{_bracketed(settings.host)}:{settings.port}"
        try:
            if self._certificates is None:
                return server.add_insecure_port(address)
            return server.add_secure_port(address, self._certificates.credentials())
        except RuntimeError as error:
            raise ConfigError(
                f"cannot listen on {address}; choose another address (external.host, "
                "external.port)",
                field="external",
            ) from error


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
