"""What the ``kafka`` scaler needs of aiokafka: three requests, and its errors translated.

The driver's admin client would ask for one thing at a time and hides some errors, so requests are
sent as such. Only the topics asked for are ever described, and never created by asking.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from autoscaler.sdk import MetricError, MetricRejected, MetricUnavailable, SourceContext, shorten
from autoscaler.sdk.auth import OAuth
from autoscaler.sdk.tls import TlsSettings
from scalers.kafka.config import KafkaEndpoint
from scalers.kafka.lag import TopicPartition

CLOSE_SECONDS: Final = 2.0
METADATA_AGE_SECONDS: Final = 24 * 3600
"""The driver's own refresh asks for every topic of the cluster, so it is put off for good."""

_LATEST: Final = -1
_NO_REPLICA: Final = -1
_READ_UNCOMMITTED: Final = 0
_GROUP_COORDINATOR: Final = 0
_MECHANISMS: Final = {
    "plaintext": "PLAIN",
    "scram_sha256": "SCRAM-SHA-256",
    "scram_sha512": "SCRAM-SHA-512",
    "oauthbearer": "OAUTHBEARER",
}


class ConnectionLost(MetricUnavailable):
    """A broker cannot be reached or went away; the client is of no use any more."""


class KafkaClient:
    """A connected client of one cluster; see :func:`connect`.

    Args:
        driver: Bootstrapped client of aiokafka.
        where: Names the cluster in messages.
        timeout_seconds: For one request.
    """

    def __init__(self, driver: Any, where: str, timeout_seconds: float) -> None:
        self._driver = driver
        self._where = where
        self._timeout_seconds = timeout_seconds
        self._coordinators: dict[str, int] = {}

    async def close(self) -> None:
        """Close the connections."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._driver.close()

    async def leaders(self, topics: Iterable[str]) -> dict[str, dict[int, int] | MetricError]:
        """Return, by topic, which broker leads each partition.

        Raises:
            MetricError: The cluster does not answer.
        """
        from aiokafka.protocol.metadata import MetadataRequest

        names = sorted(topics)
        if not names:
            return {}
        request = MetadataRequest(names, allow_auto_topic_creation=False)
        told = await self._send(self._driver.get_random_node(), request)
        self._driver.cluster.update_metadata(told)
        found: dict[str, dict[int, int] | MetricError] = {}
        for code, name, *_, partitions in told.topics:
            if code:
                found[name] = self._refusal(code, f"topic {name}")
            else:
                found[name] = {number: leader for _, number, leader, *_ in partitions}
        for name in names:
            missing = MetricUnavailable(f"{self._where}: topic {name} was not described")
            found.setdefault(name, missing)
        return found

    async def committed(
        self, group: str, partitions: Iterable[TopicPartition] | None
    ) -> dict[TopicPartition, int | MetricError]:
        """Return a group's committed offsets, ``NEVER_COMMITTED`` where it has none.

        Args:
            group: Consumer group.
            partitions: None = all that the group ever committed to.

        Raises:
            MetricError: The group's coordinator does not answer or refuses.
        """
        from aiokafka.protocol.commit import OffsetFetchRequest

        wanted = None if partitions is None else _by_topic(partitions)
        coordinator = await self._coordinator(group)
        told = await self._send(coordinator, OffsetFetchRequest(group, wanted))
        if code := getattr(told, "error_code", 0):
            self._coordinators.pop(group, None)
            raise self._refusal(code, f"group {group}")
        found: dict[TopicPartition, int | MetricError] = {}
        for topic, offsets in told.topics:
            for number, offset, _, code in offsets:
                where = f"group {group}, topic {topic} partition {number}"
                found[topic, number] = self._refusal(code, where) if code else offset
        return found

    async def ends(
        self, leader: int, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, int | MetricError]:
        """Return the offsets of the next messages of partitions that ``leader`` leads.

        Raises:
            MetricError: The broker does not answer.
        """
        from aiokafka.protocol.offset import OffsetRequest

        asked = [
            (topic, [(number, _LATEST) for number in numbers])
            for topic, numbers in _by_topic(partitions)
        ]
        told = await self._send(leader, OffsetRequest(_NO_REPLICA, _READ_UNCOMMITTED, asked))
        found: dict[TopicPartition, int | MetricError] = {}
        for topic, offsets in told.topics:
            for number, code, *rest in offsets:
                # Version 0 has a list of offsets, later ones a timestamp and an offset.
                offset = rest[0][0] if told.API_VERSION == 0 else rest[1]
                where = f"topic {topic} partition {number}"
                found[topic, number] = self._refusal(code, where) if code else offset
        return found

    async def _coordinator(self, group: str) -> int:
        from aiokafka.protocol.coordination import FindCoordinatorRequest

        known = self._coordinators.get(group)
        if known is None:
            request = FindCoordinatorRequest(group, _GROUP_COORDINATOR)
            told = await self._send(self._driver.get_random_node(), request)
            if told.error_code:
                raise self._refusal(told.error_code, f"group {group}")
            known = self._coordinators[group] = told.coordinator_id
        return known

    async def _send(self, node: int | None, request: Any) -> Any:
        from aiokafka.errors import KafkaError

        if node is None:
            raise ConnectionLost(f"{self._where}: the cluster has no broker")
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._driver.send(node, request)
        except (KafkaError, OSError, ValueError) as error:
            text = shorten(str(error)) or type(error).__name__
            raise ConnectionLost(f"{self._where}: {text}") from error
        except NotImplementedError as error:
            raise MetricRejected(f"{self._where}: {shorten(str(error))}") from error

    def _refusal(self, code: int, subject: str) -> MetricError:
        """Return the error a broker's code stands for."""
        from aiokafka.errors import UnknownTopicOrPartitionError, for_code

        kind = for_code(code)
        text = f"{self._where}: {subject}: {kind.message}"
        # The driver retries an unknown topic in case it is just being created; ours exists or not.
        if kind.retriable and kind is not UnknownTopicOrPartitionError:
            return MetricUnavailable(text)
        return MetricRejected(text)


async def connect(endpoint: KafkaEndpoint, context: SourceContext) -> KafkaClient:
    """Connect to a cluster.

    Raises:
        MetricError: No broker answers, or the driver is not installed.
    """
    try:
        from aiokafka import AIOKafkaClient
        from aiokafka.errors import KafkaError
    except ImportError:
        raise MetricRejected("kafka triggers need: pip install flyball[kafka]") from None

    timeout_seconds = context.http.timeout_seconds
    where = f"Kafka {shorten(','.join(endpoint.bootstrap_servers), 100)}"
    settings: dict[str, Any] = {
        "bootstrap_servers": list(endpoint.bootstrap_servers),
        "client_id": "flyball",
        "metadata_max_age_ms": METADATA_AGE_SECONDS * 1000,
        "request_timeout_ms": int(timeout_seconds * 1000),
        "security_protocol": _protocol(endpoint),
    }
    if endpoint.tls is not None:
        settings["ssl_context"] = await asyncio.to_thread(endpoint.tls.context)
    if endpoint.mechanism != "none":
        password = endpoint.password.get_secret_value() if endpoint.password else ""
        settings["sasl_mechanism"] = _MECHANISMS[endpoint.mechanism]
        settings["sasl_plain_username"] = endpoint.username
        settings["sasl_plain_password"] = password
    if endpoint.mechanism == "oauthbearer":
        settings["sasl_oauth_token_provider"] = _token_provider(endpoint, context)
    driver = AIOKafkaClient(**settings)
    try:
        async with asyncio.timeout(timeout_seconds):
            await driver.bootstrap()
    except (KafkaError, OSError, ValueError) as error:
        await KafkaClient(driver, where, timeout_seconds).close()
        # The driver keeps the reason to itself (and its log).
        hint = "" if _protocol(endpoint) == "PLAINTEXT" else "; TLS and login may also be refused"
        raise ConnectionLost(f"{where}: no broker answers{hint}") from error
    return KafkaClient(driver, where, timeout_seconds)


def _protocol(endpoint: KafkaEndpoint) -> str:
    transport = "PLAINTEXT" if endpoint.tls is None else "SSL"
    return transport if endpoint.mechanism == "none" else f"SASL_{transport}"


def _token_provider(endpoint: KafkaEndpoint, context: SourceContext) -> Any:
    """Return the driver's source of OAuth tokens, fed by the shared HTTP client's cache."""
    from aiokafka.abc import AbstractTokenProvider

    assert endpoint.password is not None
    grant = OAuth(
        token_url=endpoint.token_url,
        client_id=endpoint.username,
        client_secret=endpoint.password,
        scopes=endpoint.scopes,
    )

    class TokenProvider(AbstractTokenProvider):  # type: ignore[misc]  # the driver is untyped
        """Fetches a token by client credentials."""

        async def token(self) -> str:
            return await context.http.token(grant, endpoint.tls or TlsSettings())

        def extensions(self) -> Mapping[str, str]:
            return dict(endpoint.extensions)

    return TokenProvider()


def _by_topic(partitions: Iterable[TopicPartition]) -> list[tuple[str, list[int]]]:
    topics: dict[str, list[int]] = defaultdict(list)
    for topic, number in sorted(partitions):
        topics[topic].append(number)
    return list(topics.items())
