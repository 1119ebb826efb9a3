"""The contract for triggers that read external scalers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Final
from unittest.mock import patch

import grpc
import pytest
from google.protobuf.message import Message
from typing_extensions import override

from autoscaler.errors import MetricError, MetricRejected
from autoscaler.runtime.clock import ManualClock
from autoscaler.sdk.externalscaler import (
    SERVICE,
    GetMetricSpecResponse,
    GetMetricsResponse,
    IsActiveResponse,
    MetricSpec,
    MetricValue,
    ScaledObjectRef,
)
from autoscaler.sdk.http import HttpClient
from autoscaler.sdk.scaler import SourceContext, TriggerContext
from autoscaler.sdk.testing import EXPECTED, IMPATIENT_SECONDS, ScalerContract, Trouble, World
from scalers.external import ExternalPushScaler, ExternalScaler
from scalers.external.config import ExternalConfig

STATUSES: Final = {
    Trouble.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    Trouble.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    Trouble.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Trouble.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Trouble.SERVER_ERROR: grpc.StatusCode.INTERNAL,
    Trouble.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}
NUMBERS: Final = {
    Trouble.NOT_A_NUMBER: MetricValue(metricValueFloat=float("nan")),
    Trouble.INFINITE: MetricValue(metricValueFloat=float("inf")),
    Trouble.TOO_LARGE: MetricValue(metricValueFloat=1e300),
}
BYTES: Final = {Trouble.GARBAGE: b"\xff" * 9, Trouble.HUGE: b"\x0a\x02\x0a\x00" * 2**21}


SETTLE_TURNS: Final = 200


class ScriptedExternalScaler(grpc.GenericRpcHandler):
    """Answers one metric, or is in trouble; refusals repeat what was sent, as careless servers do."""

    def __init__(self, trouble: Trouble | None, value: MetricValue) -> None:
        self._trouble = trouble
        self._answers: dict[str, Message] = {
            "GetMetricSpec": GetMetricSpecResponse(
                metricSpecs=[MetricSpec(metricName="jobs", targetSize=5)]
            ),
            "GetMetrics": GetMetricsResponse(metricValues=[value]),
            "IsActive": IsActiveResponse(result=True),
        }

    @override
    def service(self, handler_call_details: Any) -> Any:
        answer = self._answers[handler_call_details.method.removeprefix(f"/{SERVICE}/")]

        async def respond(request: bytes, context: Any) -> bytes:
            if self._trouble is Trouble.SILENT:
                await asyncio.Event().wait()
            if self._trouble is Trouble.EMPTY:
                return b""
            if self._trouble in STATUSES:
                sent = dict(ScaledObjectRef.FromString(request).scalerMetadata)
                await context.abort(STATUSES[self._trouble], f"refused: {sent}")
            if self._trouble in BYTES:
                return BYTES[self._trouble]
            return answer.SerializeToString()

        return grpc.unary_unary_rpc_method_handler(respond)


@pytest.fixture(scope="module", autouse=True)
def grpc_runs() -> Iterator[None]:
    """Keep gRPC's thread and its wake-up sockets: ending them with the last channel takes a lock."""

    async def call(change: Callable[[], None]) -> None:
        change()

    with asyncio.Runner() as runner:
        runner.run(call(grpc.aio.init_grpc_aio))
        yield
        runner.run(call(grpc.aio.shutdown_grpc_aio))


class TestExternalScaler(ScalerContract):
    """The trigger ``external`` with everything a trigger can give it."""

    scaler_type = ExternalScaler
    metadata: ClassVar[Mapping[str, str]] = {"scalerAddress": "127.0.0.1:9"}
    env: ClassVar[Mapping[str, str]] = {"TOKEN": "a-token-from-the-environment"}
    # One message is there as a whole or not at all.
    troubles: ClassVar[Mapping[Trouble, type[MetricError]]] = {
        trouble: error for trouble, error in EXPECTED.items() if trouble is not Trouble.BROKEN_OFF
    }

    @override
    @asynccontextmanager
    async def playing(self, trouble: Trouble | None, value: str) -> AsyncIterator[World]:
        """Serve the value, as an integer if it is one, on a free loopback port."""
        number = NUMBERS.get(trouble) if trouble else None
        if number is None:
            is_whole = float(value).is_integer()
            number = MetricValue(
                metricValue=int(float(value)), metricValueFloat=0.0 if is_whole else float(value)
            )
        tasks = len(asyncio.all_tasks())
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((ScriptedExternalScaler(trouble, number),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        if trouble is Trouble.REFUSED:
            await server.stop(None)
        try:
            async with HttpClient(timeout_seconds=IMPATIENT_SECONDS) as http:
                metadata = {"scalerAddress": f"127.0.0.1:{port}"}
                yield World(metadata, SourceContext(http=http, clock=ManualClock(self.at)))
        finally:
            await server.stop(None)
            # The server, which is in this process too, goes on ending its calls for a moment.
            for _ in range(SETTLE_TURNS):
                if len(asyncio.all_tasks()) <= tasks:
                    break
                await asyncio.sleep(0.01)

    def test_what_came_from_the_environment_is_in_no_text(self) -> None:
        """Not in the configuration, not in the query, not in what a server says it was sent."""
        secret = self.env["TOKEN"]
        metadata = {**self.metadata, "tokenFromEnv": "TOKEN"}
        config = self._parse(metadata)
        query = self._build(metadata=metadata).query("s0-external")
        assert secret not in f"{config!r} {config} {query!r} {query}"
        with patch.object(type(self), "metadata", metadata):
            for trouble in STATUSES:
                said = str(self._read(trouble, "7"))
                assert secret not in said
                assert "'tokenFromEnv': '***'" in said

    @override
    def test_described_defaults_are_the_defaults(self) -> None:
        """Writing every default out changes nothing but what the server is told."""
        given = {"enableTLS": "false", "unsafeSsl": "false"} | dict(self.metadata)
        assert self._parse(given).endpoint() == self._parse(self.metadata).endpoint()


class TestExternalPushScaler(TestExternalScaler):
    """The trigger ``external-push`` reads in the same way."""

    scaler_type = ExternalPushScaler


class TestSecureExternalScaler(ScalerContract):
    """Who may read is part of the source; nothing is asked here."""

    scaler_type = ExternalScaler
    metadata: ClassVar[Mapping[str, str]] = {"scalerAddress": "example:9090", "enableTLS": "true"}
    auth: ClassVar[Mapping[str, str]] = {
        "caCert": "an authority",
        "tlsClientCert": "a certificate",
        "tlsClientKey": "the-key-of-the-certificate",
    }
    other_auth: ClassVar[Mapping[str, str]] = {"tlsClientKey": "another-key"}
    troubles: ClassVar[Mapping[Trouble, type[MetricError]]] = {
        Trouble.UNAUTHORIZED: MetricRejected,
    }
    values: ClassVar[tuple[str, ...]] = ()
    can_be_negative = False

    @override
    @asynccontextmanager
    async def playing(self, trouble: Trouble | None, value: str) -> AsyncIterator[World]:
        """Connect nowhere: the certificates cannot be read."""
        async with HttpClient() as http:
            yield World({}, SourceContext(http=http, clock=ManualClock(self.at)))

    @override
    def test_described_defaults_are_the_defaults(self) -> None:
        """Covered without TLS."""

    @override
    def test_the_loop_is_never_blocked(self) -> None:
        """Covered where there is an answer."""


def test_tls_is_used_as_keda_decides() -> None:
    """Any of three parameters asks for it; ``unsafeSsl`` alone does not."""
    for metadata, auth, is_secure in (
        ({}, {}, False),
        ({"unsafeSsl": "true"}, {}, False),
        ({"enableTLS": "true"}, {}, True),
        ({}, {"caCert": "pem"}, True),
        ({}, {"tlsClientCert": "pem"}, True),
    ):
        config = ExternalConfig.parse(
            {"scalerAddress": "example:9090", **metadata}, auth, {}, TriggerContext()
        )
        assert (config.endpoint().tls is not None) is is_secure
