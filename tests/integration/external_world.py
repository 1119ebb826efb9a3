"""The external scaler in process, a client as KEDA's, and a metric source the test controls."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from aiohttp import web

from autoscaler.controller.settings import ControllerSettings
from autoscaler.external.scaler import ExternalScaler
from autoscaler.kube.transport import KubeClient
from autoscaler.runtime.clock import SystemClock
from autoscaler.sdk.externalscaler import (
    GetMetricSpecResponse,
    GetMetricsRequest,
    GetMetricsResponse,
    IsActiveResponse,
    ScaledObjectRef,
    method_path,
)
from autoscaler.settings import ExternalSettings
from autoscaler.telemetry.metrics import Metrics
from tests.e2e.controlplane.certificates import Authority

SETTINGS = ControllerSettings(refresh_seconds=1.0, retry_seconds=0.3)


class NumberSource:
    """Serves numbers over HTTP; None answers with an error."""

    def __init__(self) -> None:
        self.values: dict[str, float | None] = {}
        self.asked: Counter[str] = Counter()
        self.port = 0

    def url(self, name: str) -> str:
        """Return where a number is read."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def trigger(self, name: str, target: str = "5", **more: Any) -> dict[str, Any]:
        """Return a trigger on a number."""
        metadata = {"url": self.url(name), "valueLocation": "value", "targetValue": target}
        return {"type": "metrics-api", "metadata": metadata, **more}

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a read."""
        name = request.match_info["name"]
        self.asked[name] += 1
        value = self.values.get(name)
        if value is None:
            return web.Response(status=503)
        return web.json_response({"value": value})


class Client:
    """Calls as KEDA does."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    async def specs(self, ref: ScaledObjectRef, within: float = 5.0) -> GetMetricSpecResponse:
        """GetMetricSpec."""
        call = self.channel.unary_unary(
            method_path("GetMetricSpec"),
            ScaledObjectRef.SerializeToString,
            GetMetricSpecResponse.FromString,
        )
        return await call(ref, timeout=within)

    async def value(
        self, ref: ScaledObjectRef, metric: str = "flyball", within: float = 5.0
    ) -> float:
        """GetMetrics, read as KEDA reads it: the float field if > 0, else the integer one."""
        call = self.channel.unary_unary(
            method_path("GetMetrics"),
            GetMetricsRequest.SerializeToString,
            GetMetricsResponse.FromString,
        )
        request = GetMetricsRequest(scaledObjectRef=ref, metricName=metric)
        response = await call(request, timeout=within)
        (found,) = response.metricValues
        return found.metricValueFloat if found.metricValueFloat > 0 else found.metricValue

    async def is_active(self, ref: ScaledObjectRef, within: float = 5.0) -> bool:
        """IsActive."""
        call = self.channel.unary_unary(
            method_path("IsActive"),
            ScaledObjectRef.SerializeToString,
            IsActiveResponse.FromString,
        )
        return bool((await call(ref, timeout=within)).result)

    def activity(self, ref: ScaledObjectRef) -> Any:
        """StreamIsActive."""
        return self.channel.unary_stream(
            method_path("StreamIsActive"),
            ScaledObjectRef.SerializeToString,
            IsActiveResponse.FromString,
        )(ref)

    def spec_updates(self, ref: ScaledObjectRef) -> Any:
        """StreamMetricSpec."""
        return self.channel.unary_stream(
            method_path("StreamMetricSpec"),
            ScaledObjectRef.SerializeToString,
            GetMetricSpecResponse.FromString,
        )(ref)

    async def refused(self, ref: ScaledObjectRef) -> tuple[grpc.StatusCode, str]:
        """Return status and reason of a call that must fail."""
        try:
            value = await self.value(ref)
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details() or ""
        raise AssertionError(f"answered {value}")

    async def until(self, ref: ScaledObjectRef, expected: float, seconds: float = 8.0) -> None:
        """Wait until a value is served."""
        give_up_at, seen = time.monotonic() + seconds, None
        while time.monotonic() < give_up_at:
            try:
                seen = await self.value(ref)
            except grpc.aio.AioRpcError as error:
                seen = error.code()
            if seen == expected:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"{seen} instead of {expected}")


class Serving:
    """A running external scaler."""

    def __init__(self, scaler: ExternalScaler, source: NumberSource, port: int) -> None:
        self.scaler = scaler
        self.source = source
        self.port = port

    @asynccontextmanager
    async def client(
        self, credentials: grpc.ChannelCredentials | None = None
    ) -> AsyncIterator[Client]:
        """Open a connection of its own."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        address = f"127.0.0.1:{self.port}"
        channel = (
            grpc.aio.insecure_channel(address, options=options)
            if credentials is None
            else grpc.aio.secure_channel(address, credentials, options=options)
        )
        async with channel:
            yield Client(channel)


def ref(
    metadata: Mapping[str, str], name: str = "web", namespace: str = "default"
) -> ScaledObjectRef:
    """Return KEDA's reference to an object of a trigger with some metadata."""
    sent = {"scalerAddress": "flyball:6000", **metadata}
    return ScaledObjectRef(name=name, namespace=namespace, scalerMetadata=sent)


@asynccontextmanager
async def serving(
    *,
    cluster_url: str | None = None,
    source: NumberSource | None = None,
    controller: ControllerSettings = SETTINGS,
    **settings: Any,
) -> AsyncIterator[Serving]:
    """Run the external scaler; fails if a part of it ends by itself.

    Args:
        cluster_url: API server; None = there is none.
        source: One that is served already; None = a new one.
        controller: How policies are read and decided on.
        settings: Others of :class:`ExternalSettings`.
    """
    client = KubeClient.for_url(cluster_url) if cluster_url else None
    given = {"host": "127.0.0.1", "port": 0, "drain_seconds": 0.5, **settings}
    chosen = ExternalSettings(**given)
    scaler = ExternalScaler(
        client,
        settings=chosen,
        controller=controller,
        clock=SystemClock(),
        rng=random.Random(1),
        metrics=Metrics(),
    )
    async with number_source() as numbers:
        task = asyncio.ensure_future(scaler.run())
        port = asyncio.ensure_future(scaler.server.port())
        try:
            await asyncio.wait((task, port), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            yield Serving(scaler, source or numbers, port.result())
            assert not task.done(), "the external scaler ended by itself"
        finally:
            port.cancel()
            task.cancel()
            await asyncio.wait((task,))
            if client is not None:
                await client.close()


@asynccontextmanager
async def number_source() -> AsyncIterator[NumberSource]:
    """Serve numbers while the context is open."""
    source = NumberSource()
    app = web.Application()
    app.router.add_get("/{name}", source.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    source.port = runner.addresses[0][1]
    try:
        yield source
    finally:
        await runner.cleanup()


def folder_with(folder: Path, *, is_mutual: bool = True) -> tuple[Authority, Path]:
    """Return an authority and a certificate folder as the server takes one."""
    authority = Authority(folder / "authority", "authority")
    served = folder / "served"
    served.mkdir()
    renew(authority, served, "server")
    if is_mutual:
        (served / "ca.crt").write_bytes(authority.certificate.crt.read_bytes())
    return authority, served


def renew(authority: Authority, served: Path, name: str) -> None:
    """Put a new certificate into a folder, as cert-manager would."""
    issued = authority.issue(name, common_name=name, alternatives=["IP:127.0.0.1"])
    (served / "tls.key").write_bytes(issued.key.read_bytes())
    (served / "tls.crt").write_bytes(issued.crt.read_bytes())


def client_credentials(
    authority: Authority, signer: Authority | None = None
) -> grpc.ChannelCredentials:
    """Return credentials of a client whose certificate some authority signed."""
    client = (signer or authority).issue("client", common_name="keda-operator")
    return grpc.ssl_channel_credentials(
        authority.certificate.crt.read_bytes(), client.key.read_bytes(), client.crt.read_bytes()
    )


async def eventually(holds: Callable[[], bool], seconds: float = 8.0) -> None:
    """Wait until something holds."""
    give_up_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up_at, "it did not happen in time"
        await asyncio.sleep(0.01)
