"""Connections to external scalers: one per server and credentials, for polls and streams alike."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Final
from weakref import WeakKeyDictionary

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from autoscaler.sdk import MetricRejected, MetricUnavailable, shorten
from scalers.external.config import Endpoint

OPTIONS: Final = (
    ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 10_000),
    ("grpc.use_local_subchannel_pool", 1),
)
"""``round_robin`` as in KEDA. Reconnecting starts sooner than by gRPC's own times of up to two
minutes, because a poll that fails is already the pause. Pings are rare: servers in Go end a
connection that is pinged more than once in five minutes while nothing else is sent, as on an idle
stream."""

LOOK_SECONDS: Final = 3.0


class _Pooled:
    """A channel and how many use it."""

    def __init__(self) -> None:
        self.users = 0
        self.opening = asyncio.Lock()
        self.channel: grpc.aio.Channel | None = None


_Pool = dict[Endpoint, _Pooled]
_POOLS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = WeakKeyDictionary()


@contextlib.asynccontextmanager
async def channel_to(endpoint: Endpoint) -> AsyncIterator[grpc.aio.Channel]:
    """Lend the channel to a server; it is closed when its last user has left.

    Raises:
        MetricRejected: Certificates or keys cannot be read.
        MetricUnavailable: The certificate of a server that is not to be verified cannot be had.
    """
    pool = _POOLS.setdefault(asyncio.get_running_loop(), {})
    pooled = pool.setdefault(endpoint, _Pooled())
    pooled.users += 1
    try:
        async with pooled.opening:
            if pooled.channel is None:
                pooled.channel = await _open(endpoint)
        yield pooled.channel
    finally:
        pooled.users -= 1
        if not pooled.users:
            if pool.get(endpoint) is pooled:
                del pool[endpoint]
            if pooled.channel is not None:
                await pooled.channel.close()


def retire(endpoint: Endpoint, channel: grpc.aio.Channel) -> None:
    """Lend this channel to nobody any more; who borrows next gets a new one."""
    pool = _POOLS.get(asyncio.get_running_loop(), {})
    if endpoint in pool and pool[endpoint].channel is channel:
        del pool[endpoint]


def open_channels() -> int:
    """Return how many channels the running loop has."""
    return len(_POOLS.get(asyncio.get_running_loop(), {}))


async def _open(endpoint: Endpoint) -> grpc.aio.Channel:
    """Return a channel; nothing is connected before its first call."""
    if endpoint.tls is None:
        return grpc.aio.insecure_channel(endpoint.target, options=OPTIONS)
    tls = endpoint.tls
    # Names a bad certificate or key, which gRPC would only report as a failed connection.
    context = await asyncio.to_thread(tls.context)
    roots, options = tls.ca.encode() or None, list(OPTIONS)
    if not tls.verify:
        shown = await _shown_certificate(endpoint, context)
        roots = shown.public_bytes(serialization.Encoding.PEM)
        options.append(("grpc.ssl_target_name_override", _name_of(shown)))
    credentials = grpc.ssl_channel_credentials(
        root_certificates=roots,
        private_key=tls.key.get_secret_value().encode() if tls.key else None,
        certificate_chain=tls.certificate.encode() or None,
    )
    return grpc.aio.secure_channel(endpoint.target, credentials, options=options)


async def _shown_certificate(endpoint: Endpoint, context: ssl.SSLContext) -> x509.Certificate:
    """Return the certificate a server shows.

    gRPC cannot leave a certificate unverified; trusting exactly the one that is shown now is the
    nearest there is. A channel whose server gets another one fails, and is retired for that.
    """
    assert endpoint.server is not None, "the configuration refuses other targets"
    host, port = endpoint.server
    context.set_alpn_protocols(["h2"])
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        what = shorten(str(error)) or "no answer"
        raise MetricUnavailable(f"external scaler {endpoint.address}: {what}") from error
    try:
        return x509.load_der_x509_certificate(shown)
    except ValueError as error:
        what = f"external scaler {endpoint.address}: its certificate cannot be read"
        raise MetricRejected(what) from error


def _name_of(certificate: x509.Certificate) -> str:
    """Return a name the certificate is for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    names = [str(name) for name in found.get_values_for_type(x509.DNSName)]
    names += [str(address) for address in found.get_values_for_type(x509.IPAddress)]
    return names[0] if names else ""
