"""The HTTP client sources share: one pool, bounded answers, failures as metric errors.

::

    refused, reset, unresolved, TLS failure      NoConnection (a MetricUnavailable)
    no complete answer in time, 429, 5xx         MetricUnavailable (with Retry-After)
    any other status that is not expected        MetricRejected
    body too large, undecodable compression      MetricMalformed

A message shows the address without credentials and query, and what the source said, shortened and
with the trigger's secrets blanked.
"""

from __future__ import annotations

import asyncio
import email.utils
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote_plus, urlsplit, urlunsplit

import aiohttp
import msgspec
from yarl import URL

import autoscaler
from autoscaler.errors import (
    MetricError,
    MetricMalformed,
    MetricRejected,
    MetricUnavailable,
    shorten,
)
from autoscaler.sdk.addresses import legal_url
from autoscaler.sdk.auth import ANONYMOUS, Credentials, OAuth
from autoscaler.sdk.oauth import TokenCache
from autoscaler.sdk.tls import TlsSettings
from autoscaler.sdk.tls_contexts import TlsContexts

DEFAULT_TIMEOUT_SECONDS: Final = 3.0
DEFAULT_BODY_LIMIT: Final = 8 * 1024 * 1024
SHOWN_BODY_BYTES: Final = 4096
"""How much of a refusing answer is read to find the source's reason."""
CHUNK_BYTES: Final = 64 * 1024
MAX_REDIRECTS: Final = 10
MAX_RETRY_AFTER_SECONDS: Final = 3600.0
POOL_SIZE: Final = 256

_TOO_MANY_REQUESTS: Final = 429
_UNAUTHORIZED: Final = 401
_SERVER_ERRORS: Final = 500


class NoConnection(MetricUnavailable):
    """Nobody answers at the address; every query of the same source would fail alike."""

    reason = "MetricUnavailable"


class HttpResponse(msgspec.Struct, frozen=True):
    """A complete answer with an expected status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def any_success(status: int) -> bool:
    """Whether a status is 2xx."""
    return 200 <= status < 300  # noqa: PLR2004 - the definition of success


def only_ok(status: int) -> bool:
    """Whether a status is 200 exactly, for sources that answer 202 or 204 without a value."""
    return status == 200  # noqa: PLR2004 - the name says it


class HttpClient:
    """Sends requests for sources; build it inside a running loop's reach, close it at the end.

    Args:
        timeout_seconds: For a whole request unless it brings its own.
        body_limit: Largest answer in bytes, after decompression.
        pool_size: Open connections at most, over all sources.
        follow_redirects: Whether an answer may send a request elsewhere; else it is an error.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        body_limit: int = DEFAULT_BODY_LIMIT,
        pool_size: int = POOL_SIZE,
        follow_redirects: bool = True,
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self._body_limit = body_limit
        self._pool_size = pool_size
        self._follow_redirects = follow_redirects
        self._session: aiohttp.ClientSession | None = None
        self._tls = TlsContexts()
        self._tokens = TokenCache(self._fetch_token)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        credentials: Credentials = ANONYMOUS,
        timeout_seconds: float | None = None,
        accepts: Callable[[int], bool] = any_success,
        explain: Callable[[bytes], str] | None = None,
    ) -> HttpResponse:
        """Send a GET request; see :meth:`request`."""
        return await self.request(
            "GET",
            url,
            headers=headers,
            credentials=credentials,
            timeout_seconds=timeout_seconds,
            accepts=accepts,
            explain=explain,
        )

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        credentials: Credentials = ANONYMOUS,
        timeout_seconds: float | None = None,
        accepts: Callable[[int], bool] = any_success,
        explain: Callable[[bytes], str] | None = None,
    ) -> HttpResponse:
        """Send a request and read the whole answer.

        Args:
            method: HTTP method.
            url: Address with query; sent as written, except that blanks and other characters no
                URL may hold are percent-encoded.
            headers: Added to the client's own; they win over the credentials'.
            body: Request body.
            credentials: Authentication and TLS.
            timeout_seconds: For everything from connecting to the last byte; None = the client's.
            accepts: Which statuses are an answer; others raise.
            explain: Picks the source's reason out of a refusing body; None = the body itself.

        Raises:
            MetricError: As the module's table says.
        """
        timeout = self.timeout_seconds if timeout_seconds is None else timeout_seconds
        target = _with_query(url, credentials)
        where = shown_url(url)
        try:
            async with asyncio.timeout(timeout):
                return await self._attempt(
                    method, target, where, dict(headers or {}), body, credentials, accepts, explain
                )
        except TimeoutError:
            raise MetricUnavailable(f"{where}: no complete answer within {timeout:g} s") from None

    async def token(self, oauth: OAuth, tls: TlsSettings) -> str:
        """Return an access token for protocols other than HTTP, from the same cache.

        Raises:
            MetricError: The token endpoint does not answer, refuses, or answers no token.
        """
        return await self._tokens.token(oauth, tls)

    async def _attempt(  # noqa: PLR0917 - private; every argument comes from one call above
        self,
        method: str,
        target: URL,
        where: str,
        headers: dict[str, str],
        body: bytes | None,
        credentials: Credentials,
        accepts: Callable[[int], bool],
        explain: Callable[[bytes], str] | None,
    ) -> HttpResponse:
        sent = {name: value.get_secret_value() for name, value in credentials.headers}
        if credentials.oauth is not None:
            token = await self._tokens.token(credentials.oauth, credentials.tls)
            sent["Authorization"] = f"Bearer {token}"
        sent |= headers
        context = await self._tls.context(credentials.tls)
        try:
            async with self._open().request(
                method,
                target,
                headers=sent,
                data=body,
                ssl=context,
                allow_redirects=self._follow_redirects,
                max_redirects=MAX_REDIRECTS,
            ) as response:
                if accepts(response.status):
                    content = await _read(response, self._body_limit, where)
                    return HttpResponse(response.status, dict(response.headers), content)
                if response.status == _UNAUTHORIZED and credentials.oauth is not None:
                    self._tokens.forget(credentials.oauth, credentials.tls)
                start = await _read_start(response)
                said = explain(start) if explain else start.decode("utf-8", "replace")
                raise _refusal(response, where, credentials.redact(said))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _translated(error, where, credentials) from error

    async def _fetch_token(
        self, url: str, form: Mapping[str, str], credentials: Credentials
    ) -> bytes:
        answer = await self.request(
            "POST",
            url,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body="&".join(f"{quote_plus(k)}={quote_plus(v)}" for k, v in form.items()).encode(),
            credentials=credentials,
        )
        return answer.body

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._pool_size),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"flyball/{autoscaler.__version__}"},
                # Each request has one deadline of its own, in request().
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            )
        return self._session


def shown_url(url: str) -> str:
    """Return an address for messages: no user, no password, no query."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the address"
    return shorten(urlunsplit((parts.scheme, host + port, parts.path, "", "")), 200)


def is_http_url(url: str) -> bool:
    """Whether a text is an absolute http or https address."""
    try:
        parts = urlsplit(url)
        return parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _with_query(url: str, credentials: Credentials) -> URL:
    """Return the address as it goes on the wire, with the credentials' query parameters."""
    legal = legal_url(url)
    for name, value in credentials.query:
        mark = "&" if "?" in legal else "?"
        legal += f"{mark}{quote_plus(name)}={quote_plus(value.get_secret_value())}"
    try:
        return URL(legal, encoded=True)
    except ValueError:
        raise MetricRejected(f'"{shown_url(url)}" is no http or https address') from None


async def _read(response: aiohttp.ClientResponse, limit: int, where: str) -> bytes:
    chunks, size = [], 0
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        size += len(chunk)
        if size > limit:
            raise MetricMalformed(f"{where}: the answer is larger than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def _read_start(response: aiohttp.ClientResponse) -> bytes:
    start = b""
    try:
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            start += chunk
            if len(start) >= SHOWN_BODY_BYTES:
                break
    except aiohttp.ClientError:
        # The status alone says enough; the body was only wanted for the message.
        return start[:SHOWN_BODY_BYTES]
    return start[:SHOWN_BODY_BYTES]


def _refusal(response: aiohttp.ClientResponse, where: str, said: str) -> MetricError:
    status = response.status
    reason = f": {shorten(said)}" if said.strip() else ""
    message = f"{where}: status {status}{reason}"
    if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERRORS:
        return MetricUnavailable(message, retry_after_seconds=_retry_after(response.headers))
    return MetricRejected(message)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the server's wish in seconds; a date is taken relative to the server's own."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isdecimal():
        seconds = float(text[:9])
    else:
        try:
            then = email.utils.parsedate_to_datetime(text)
            now = email.utils.parsedate_to_datetime(headers.get("Date", ""))
            seconds = (then - now).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS)


def _translated(error: Exception, where: str, credentials: Credentials) -> MetricError:
    """Return our error for one of aiohttp's; texts that repeat the request are left out."""
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return MetricRejected(f'"{where}" is no http or https address')
    if isinstance(error, aiohttp.ClientConnectorError):
        return NoConnection(f"{where}: cannot connect: {shorten(str(error.os_error))}")
    if isinstance(error, aiohttp.ClientError | OSError):
        return _translated_answer(error, where, credentials)
    # A header or address the client refuses to send.
    return MetricRejected(f"{where}: the request cannot be sent ({type(error).__name__})")


def _translated_answer(error: Exception, where: str, credentials: Credentials) -> MetricError:
    if isinstance(error, aiohttp.TooManyRedirects):
        return MetricRejected(f"{where}: more than {MAX_REDIRECTS} redirects")
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return MetricUnavailable(f"{where}: the connection broke off during the answer")
    if isinstance(error, aiohttp.ClientResponseError):
        return MetricMalformed(f"{where}: the answer is no valid HTTP")
    return MetricUnavailable(f"{where}: {credentials.redact(shorten(str(error)))}")
