"""Bytes to the API server and back: one pooled session, limits, and errors in our own words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from autoscaler import __version__
from autoscaler.errors import ConfigError, Forbidden, Invalid, Unreachable
from autoscaler.kube.answers import error_for
from autoscaler.kube.config import Endpoint, PlainEndpoint, find_endpoint
from autoscaler.kube.lines import LineStream, describe
from autoscaler.runtime.throttle import TokenBucket

USER_AGENT: Final = f"flyball/{__version__}"
ERROR_BODY_BYTES: Final = 64 * 1024
"""More of an error's body is not read; a Status object is far smaller."""
UNAUTHORIZED: Final = 401
SUCCESS: Final = range(200, 300)


class TransportLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what the client does and accepts.

    Attributes:
        queries_per_second: Requests in the long run; a watch counts once.
        burst: Requests at once.
        timeout_seconds: For one request, connecting and reading included.
        response_bytes: Longest answer.
        line_bytes: Longest line of a stream.
        connections: For requests in parallel; each stream has one of its own besides.
    """

    queries_per_second: float = 50.0
    burst: int = 100
    timeout_seconds: float = 15.0
    response_bytes: int = 64 * 1024 * 1024
    line_bytes: int = 16 * 1024 * 1024
    connections: int = 100


DEFAULT_LIMITS: Final = TransportLimits()
OnRequest = Callable[[str, int, float], None]
"""``on_request(verb, status, seconds)`` once a request was answered; status 0 = no answer."""


class KubeClient:
    """A connection to one API server; answers are raw bytes, errors are ``KubeError``.

    Nothing is retried here, because only the caller knows whether that is safe; the one exception
    is a request the server rejected unread for an expired login.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        limits: TransportLimits = DEFAULT_LIMITS,
        on_request: OnRequest | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._limits = limits
        self._on_request = on_request
        self._bucket = TokenBucket(limits.queries_per_second, limits.burst)
        self._session: aiohttp.ClientSession | None = None
        # Streams last for minutes: were they bounded too, enough of them would stop all requests.
        self._slots = asyncio.Semaphore(limits.connections)

    @classmethod
    async def connect(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        *,
        in_cluster: bool | None = None,
        limits: TransportLimits = DEFAULT_LIMITS,
        on_request: OnRequest | None = None,
    ) -> Self:
        """Return a client for a kubeconfig file or the cluster the process runs in.

        Nothing is asked of the API server yet.

        Args:
            kubeconfig: Path; None = ``$KUBECONFIG``, then the service account of the pod, then
                ``~/.kube/config``.
            context: Name inside the kubeconfig; None = its current one.
            in_cluster: True = only the service account, False = never it.
            limits: Bounds.
            on_request: Told of every request, for metrics; must be quick.

        Raises:
            ConfigError: No usable configuration, with the places looked at.
        """
        endpoint = await find_endpoint(kubeconfig, context, in_cluster=in_cluster)
        return cls(endpoint, limits=limits, on_request=on_request)

    @classmethod
    def for_url(
        cls,
        url: str,
        *,
        limits: TransportLimits = DEFAULT_LIMITS,
        on_request: OnRequest | None = None,
    ) -> Self:
        """Return a client without credentials, for the embedded API server."""
        return cls(PlainEndpoint(url), limits=limits, on_request=on_request)

    @property
    def server(self) -> str:
        """Base URL."""
        return self._endpoint.server

    @property
    def namespace(self) -> str:
        """Namespace of the context or the pod, ``default`` when none is set."""
        return self._endpoint.namespace

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout_seconds: float | None = None,
    ) -> bytes:
        """Send one request and return the body of its 2xx answer.

        Args:
            method: ``GET``, ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
            path: Absolute, already quoted.
            params: Query parameters, unquoted.
            body: As sent.
            content_type: Of the body; decides how a PATCH is read.
            timeout_seconds: Instead of the client's; waiting for the rate limit does not count.

        Raises:
            KubeError: By status (see ``errors``); ``Unreachable`` also when there is no answer.
        """
        await self._bucket.acquire()
        what = f"{method} {path}"
        headers = {"Content-Type": content_type} if body is not None else {}
        limit_seconds = self._limits.timeout_seconds if timeout_seconds is None else timeout_seconds
        try:
            async with asyncio.timeout(limit_seconds), self._slots:
                response = await self._open(
                    method, path, params, what=what, headers=headers, data=body
                )
                async with response:
                    return await self._read(response, what)
        except TimeoutError as exc:
            raise Unreachable(f"{what}: no answer within {limit_seconds:g} s") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise Unreachable(f"{what}: {describe(exc)}") from exc

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        inactivity_seconds: float = 75.0,
    ) -> AsyncIterator[LineStream]:
        """Open a GET whose answer is lines, and yield those.

        Args:
            path: Absolute, already quoted.
            params: Query parameters, unquoted.
            inactivity_seconds: Silence after which the stream counts as dead.

        Raises:
            KubeError: When opening; while iterating ``Unreachable`` on silence or a broken
                connection, and ``Invalid`` on a line longer than the limit.
        """
        await self._bucket.acquire()
        what = f"GET {path} (watch)"
        try:
            async with asyncio.timeout(self._limits.timeout_seconds):
                response = await self._open("GET", path, params, what=what, headers={}, data=None)
        except TimeoutError as exc:
            raise Unreachable(
                f"{what}: no answer within {self._limits.timeout_seconds:g} s"
            ) from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise Unreachable(f"{what}: {describe(exc)}") from exc
        try:
            yield LineStream(
                response,
                what,
                line_bytes=self._limits.line_bytes,
                inactivity_seconds=inactivity_seconds,
            )
        finally:
            # A stream is left in the middle: its connection cannot serve another request.
            response.close()

    async def close(self) -> None:
        """Close the connections; the client is of no use afterwards."""
        if self._session is not None:
            await self._session.close()

    async def _open(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        *,
        what: str,
        headers: Mapping[str, str],
        data: bytes | None,
    ) -> aiohttp.ClientResponse:
        """Send a request and return its 2xx answer unread; errors are raised."""
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        status = 0
        try:
            response = await self._send(method, path, params, headers=headers, data=data)
            if response.status == UNAUTHORIZED and await self._endpoint.renew(started_at):
                response.release()
                response = await self._send(method, path, params, headers=headers, data=data)
            status = response.status
        except ConfigError as exc:
            raise Forbidden(f"{what}: login failed: {exc}") from exc
        finally:
            if self._on_request is not None:
                self._on_request(method, status, loop.time() - started_at)
        # Redirects are not followed, so they are no success either.
        if status in SUCCESS:
            return response
        async with response:
            body = await _read_at_most(response, ERROR_BODY_BYTES)
        raise error_for(what, status, body or b"", response.headers.get("Retry-After", ""))

    async def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        *,
        headers: Mapping[str, str],
        data: bytes | None,
    ) -> aiohttp.ClientResponse:
        endpoint = self._endpoint
        extra: dict[str, Any] = {}
        if endpoint.tls is not None:
            # Per request instead of per session, because a login may bring a new certificate.
            extra["ssl"] = endpoint.tls
        if endpoint.tls_server_name:
            extra["server_hostname"] = endpoint.tls_server_name
        if endpoint.proxy:
            extra["proxy"] = endpoint.proxy
        url = endpoint.server + path + (f"?{urlencode(params)}" if params else "")
        return await self._open_session().request(
            method,
            # aiohttp would quote again what is quoted already.
            URL(url, encoded=True),
            headers={**headers, **await endpoint.authorization()},
            data=data,
            allow_redirects=False,
            **extra,
        )

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
                # Deadlines are asyncio.timeout's, so that they obey the loop's clock.
                timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None),
                # It would also look for credentials in ~/.netrc, on every request.
                trust_env=False,
                read_bufsize=2**18,
            )
        return self._session

    async def _read(self, response: aiohttp.ClientResponse, what: str) -> bytes:
        body = await _read_at_most(response, self._limits.response_bytes)
        if body is None:
            raise Invalid(
                f"{what}: the answer is longer than {self._limits.response_bytes} bytes",
                status=response.status,
            )
        return body


async def _read_at_most(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """Return the body, or None when it is longer than ``limit``."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
    return b"".join(parts)
