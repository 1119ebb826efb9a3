"""Redis for scalers: connection parameters, and a source that reads many keys in one round trip.

Lists and streams of one Redis share one :class:`RedisSource`. All lengths asked at a time are
counted by one script call over all keys, everything else travels in the same pipeline.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from pydantic import SecretStr
from typing_extensions import override

from autoscaler.errors import (
    MetricError,
    MetricMalformed,
    MetricRejected,
    MetricUnavailable,
    shorten,
)
from autoscaler.sdk.addresses import Destination, destination
from autoscaler.sdk.config import AUTH, ENV, METADATA, Param, Problem, TriggerConfig
from autoscaler.sdk.scaler import Answer, TriggerContext
from autoscaler.sdk.tls import TlsSettings

if TYPE_CHECKING:
    from redis.asyncio import Redis

DEFAULT_TIMEOUT_SECONDS: Final = 3.0
CLOSE_SECONDS: Final = 1.0
CONNECTIONS_MAX: Final = 4
KEYS_PER_SCRIPT: Final = 500
"""The server does nothing else while it counts; 500 keys take it well under a millisecond."""

COUNT_SCRIPT: Final = """
local count = {zset='ZCARD', set='SCARD', hash='HLEN'}
local found = {}
for i, key in ipairs(KEYS) do
  local length = redis.pcall('LLEN', key)
  if type(length) ~= 'number' then
    local kind = redis.call('TYPE', key).ok
    if kind == 'list' then return length end
    length = count[kind] and redis.call(count[kind], key) or kind
  end
  found[i] = length
end
if #found == 1 then return found[1] end
return table.concat(found, ',')
"""
"""Number of elements of each key; 0 for a missing key, the type's name where nothing counts.

Several are answered as one text, because reading a thousand small replies costs more time than
everything else together.
"""

_ANYWHERE = (METADATA, ENV, AUTH)


class RedisConnection(TriggerConfig):
    """Parameters that say which Redis, and as whom; shared by all Redis triggers."""

    address: Annotated[
        tuple[str, ...],
        Param("address", "addresses", order=_ANYWHERE, endpoint="host", doc="Server as host:port."),
    ] = ()
    host: Annotated[
        tuple[str, ...],
        Param("host", "hosts", order=_ANYWHERE, doc="Host, together with port."),
    ] = ()
    port: Annotated[
        tuple[str, ...],
        Param("port", "ports", order=_ANYWHERE, doc="Port, together with host."),
    ] = ()
    username: Annotated[
        str, Param("username", order=_ANYWHERE, doc="User in the server's access control list.")
    ] = ""
    password: Annotated[
        SecretStr | None, Param("password", order=_ANYWHERE, doc="Password of the user.")
    ] = None
    database_index: Annotated[int, Param("databaseIndex", doc="Number of the database.")] = 0
    enable_tls: Annotated[bool | None, Param("enableTLS", doc="Connect with TLS.")] = None
    tls: Annotated[
        Literal["enable", "disable"] | None,
        Param("tls", order=(AUTH,), doc="Connect with TLS, said beside the certificates."),
    ] = None
    unsafe_ssl: Annotated[
        bool, Param("unsafeSsl", doc="Accept any server certificate (for tests).")
    ] = False
    ca: Annotated[str, Param("ca", order=(AUTH,), doc="PEM of the authorities to trust.")] = ""
    cert: Annotated[
        str, Param("cert", "Cert", order=(AUTH,), doc="PEM of the client certificate.")
    ] = ""
    key: Annotated[
        SecretStr | None, Param("key", order=(AUTH,), doc="PEM of the certificate's private key.")
    ] = None
    key_password: Annotated[
        SecretStr | None, Param("keyPassword", order=(AUTH,), doc="Password of that key.")
    ] = None

    @override
    def check(self, context: TriggerContext) -> Iterable[Problem]:
        if self.host and self.port and len(self.host) != len(self.port):
            yield "host", f"names {len(self.host)} hosts, but port names {len(self.port)} ports"
        elif not self.addresses or not self.addresses[0]:
            yield "address", "is required as host:port, or give host and port"
        if self.enable_tls is not None and self.tls is not None:
            yield "enableTLS", "and the authentication parameter tls exclude each other"

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return every given server as ``host:port``."""
        pairs = zip(self.host, self.port, strict=False) if len(self.host) == len(self.port) else ()
        return (*self.address, *(_joined(host, port) for host, port in pairs))

    @override
    def destinations(self) -> tuple[Destination, ...]:
        """Return every server; a host alone says nothing, as the port goes on where it ends."""
        return tuple(destination(one, "host") for one in self.addresses)

    def endpoint(self) -> RedisEndpoint:
        """Return what identifies the connection."""
        encrypted = self.tls == "enable" if self.enable_tls is None else self.enable_tls
        tls = TlsSettings.of(
            ca=self.ca,
            certificate=self.cert if self.key is not None else "",
            key=self.key,
            key_password=self.key_password,
            verify=not self.unsafe_ssl,
        )
        return RedisEndpoint(
            address=self.addresses[0],
            database=self.database_index,
            username=self.username,
            password=self.password,
            tls=tls if encrypted else None,
        )


def _joined(host: str, port: str) -> str:
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


class RedisEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One database of one Redis, and as whom it is read.

    Attributes:
        address: ``host:port``.
        tls: None = not encrypted.
    """

    address: str
    database: int = 0
    username: str = ""
    password: SecretStr | None = None
    tls: TlsSettings | None = None


class Length(msgspec.Struct, frozen=True):
    """How many elements does this list, set, sorted set or hash have? Answer: int >= 0."""

    key: str


class Commands(msgspec.Struct, frozen=True):
    """Some commands, each a tuple of words.

    Answer: one entry per command, the raw reply (int, bytes, list, None) or a :class:`Refusal`.
    """

    commands: tuple[tuple[str, ...], ...]


class Refusal(msgspec.Struct, frozen=True):
    """The error with which Redis answered one command."""

    text: str


class RedisSource:
    """One connection pool to one Redis database.

    Args:
        endpoint: Which database.
        timeout_seconds: For a whole fetch.
    """

    def __init__(
        self, endpoint: RedisEndpoint, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> None:
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._client: Redis | None = None

    async def fetch(
        self, queries: Sequence[Hashable], at: float
    ) -> Mapping[Hashable, Answer | MetricError]:
        """Answer :class:`Length` and :class:`Commands` queries in one round trip."""
        del at
        import redis.exceptions as refused

        where = f"Redis {self._endpoint.address}"
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._answer(queries)
        except (refused.AuthenticationError, refused.NoPermissionError) as error:
            problem: MetricError = MetricRejected(f"{where}: {shorten(str(error))}")
        except (refused.ConnectionError, refused.TimeoutError, OSError) as error:
            text = shorten(str(error)) or f"no answer in {self._timeout_seconds:g} s"
            problem = MetricUnavailable(f"{where}: {text}")
        except refused.InvalidResponse as error:
            problem = MetricMalformed(f"{where}: {shorten(str(error))}")
        except refused.RedisError as error:
            problem = MetricRejected(f"{where}: {shorten(str(error))}")
        await self._forget_connections()
        raise problem

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await client.aclose(close_connection_pool=True)

    async def _answer(self, queries: Sequence[Hashable]) -> dict[Hashable, Answer | MetricError]:
        lengths = [q for q in queries if isinstance(q, Length)]
        batches = [q for q in queries if isinstance(q, Commands)]
        assert len(lengths) + len(batches) == len(queries), "a query of another source"
        chunks = [lengths[i : i + KEYS_PER_SCRIPT] for i in range(0, len(lengths), KEYS_PER_SCRIPT)]
        counting = [_count(chunk) for chunk in chunks]
        others = [command for batch in batches for command in batch.commands]
        replies = iter(await self._send([*counting, *others]))

        answers: dict[Hashable, Answer | MetricError] = {}
        refused: list[Length] = []
        for chunk in chunks:
            reply = next(replies)
            if isinstance(reply, Refusal) and len(chunk) > 1:
                # One key that the user may not read refuses the whole script: ask one by one.
                refused.extend(chunk)
            else:
                answers.update(_lengths(chunk, _split(reply) if len(chunk) > 1 else [reply]))
        for batch in batches:
            answers[batch] = tuple(islice(replies, len(batch.commands)))
        if refused:
            answers.update(_lengths(refused, await self._send([_count([q]) for q in refused])))
        return answers

    async def _send(self, commands: Sequence[tuple[str | int, ...]]) -> list[Any]:
        from redis.exceptions import ResponseError

        client = self._client or await self._connect()
        async with client.pipeline(transaction=False) as pipeline:
            for words in commands:
                pipeline.execute_command(*words)
            replies = await pipeline.execute(raise_on_error=False)
        return [Refusal(str(r)) if isinstance(r, ResponseError) else r for r in replies]

    async def _connect(self) -> Redis:
        try:
            from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ImportError:
            raise MetricRejected("Redis triggers need: pip install flyball[redis]") from None

        host, _, port = self._endpoint.address.rpartition(":")
        if not host or not port.isdecimal():
            raise MetricRejected(f'Redis address "{self._endpoint.address}" is not host:port')
        password = self._endpoint.password
        settings: dict[str, Any] = {
            "host": host.strip("[]"),
            "port": int(port),
            "db": self._endpoint.database,
            "username": self._endpoint.username or None,
            "password": password.get_secret_value() if password else None,
            "protocol": 2,
            "driver_info": None,
            # A connection that died while idle is replaced once, at once; the collector decides
            # about anything beyond that.
            "retry": Retry(NoBackoff(), 1),
            "socket_timeout": self._timeout_seconds,
            "socket_connect_timeout": self._timeout_seconds,
            "max_connections": CONNECTIONS_MAX,
            "connection_class": Connection,
        }
        if self._endpoint.tls is not None:
            context = await asyncio.to_thread(self._endpoint.tls.context)

            class TlsConnection(SSLConnection):
                """Connects with the context of the trigger's parameters."""

                def __init__(self, **given: Any) -> None:
                    super().__init__(**given)
                    self.ssl_context.context = context

            settings["connection_class"] = TlsConnection
        self._client = Redis.from_pool(ConnectionPool(**settings))
        # Replies as the protocol has them; what they mean is the asking scaler's business.
        self._client.response_callbacks.clear()
        return self._client

    async def _forget_connections(self) -> None:
        """Drop connections whose next reply might belong to an earlier command."""
        if self._client is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._client.connection_pool.disconnect()


def _count(chunk: Sequence[Length]) -> tuple[str | int, ...]:
    return ("EVAL", COUNT_SCRIPT, len(chunk), *(query.key for query in chunk))


def _split(reply: object) -> list[object]:
    """Return the single answers in the text that stands for several."""
    if not isinstance(reply, bytes):
        return [reply]
    return [int(part) if part.isdigit() else part for part in reply.split(b",")]


def _lengths(
    asked: Sequence[Length], replies: Sequence[Any]
) -> Iterable[tuple[Length, int | MetricError]]:
    """Pair each query with the count or the error its reply stands for."""
    if len(replies) != len(asked):
        error = MetricMalformed(f"Redis counted {len(replies)} keys instead of {len(asked)}")
        return [(query, error) for query in asked]
    return [(query, _length(query, reply)) for query, reply in zip(asked, replies, strict=True)]


def _length(query: Length, reply: object) -> int | MetricError:
    match reply:
        case int():
            return reply
        case Refusal(text):
            return MetricRejected(f'Redis key "{query.key}": {shorten(text)}')
        case bytes():
            kind = shorten(reply.decode(errors="replace"))
            return MetricRejected(
                f'Redis key "{query.key}" is a {kind}; list, set, zset and hash have a length'
            )
        case _:
            return MetricMalformed(f'Redis key "{query.key}": no number in {reply!r:.80}')
