"""A Kafka broker that knows four requests, counts them, and can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Self

from aiokafka.protocol.admin import ApiVersionRequest_v0, ApiVersionResponse_v0
from aiokafka.protocol.commit import OffsetFetchRequest_v3, OffsetFetchResponse_v3
from aiokafka.protocol.coordination import FindCoordinatorRequest_v0, FindCoordinatorResponse_v0
from aiokafka.protocol.metadata import MetadataRequest_v4, MetadataResponse_v4
from aiokafka.protocol.offset import OffsetRequest_v1, OffsetResponse_v1

BROKER_ID = 1
UNKNOWN_TOPIC = 3
REQUESTS: dict[int, Any] = {
    request.API_KEY: request
    for request in (
        ApiVersionRequest_v0,
        FindCoordinatorRequest_v0,
        MetadataRequest_v4,
        OffsetFetchRequest_v3,
        OffsetRequest_v1,
    )
}


@dataclass
class Contents:
    """What the broker says.

    Attributes:
        ends: End offsets, by topic and partition.
        committed: Committed offsets, by group, topic and partition.
        leaderless: Partitions without leader.
        group_error: Error code of every OffsetFetch answer.
        topic_error: Error code of every topic's description.
        end_error: Error code of every end offset.
        forgotten: Partitions left out of OffsetFetch answers.
    """

    ends: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    committed: Mapping[str, Mapping[str, Mapping[int, int]]] = field(default_factory=dict)
    leaderless: frozenset[int] = frozenset()
    group_error: int = 0
    topic_error: int = 0
    end_error: int = 0
    forgotten: frozenset[int] = frozenset()


class ScriptedKafka:
    """One broker on a free loopback port.

    Args:
        contents: What it says.
        silent: Read and never answer.
        breaks_off: Close the connection in the middle of each answer.
        garbage: Answer bytes that are no Kafka.
    """

    def __init__(
        self,
        contents: Contents,
        *,
        silent: bool = False,
        breaks_off: bool = False,
        garbage: bool = False,
    ) -> None:
        self.contents = contents
        self._silent = silent
        self._breaks_off = breaks_off
        self._garbage = garbage
        self._clients: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.requests: Counter[str] = Counter()

    @property
    def address(self) -> str:
        """Return ``host:port``."""
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and hang up."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._server.close()
        await self._server.wait_closed()
        # Connection handlers end once they notice that their client is gone.
        for _ in range(5):
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                size = int.from_bytes(await reader.readexactly(4), "big")
                request = BytesIO(await reader.readexactly(size))
                if self._silent:
                    continue
                reply = (
                    b"HTTP/1.1 400 Bad Request\r\n\r\n" if self._garbage else self._reply(request)
                )
                if self._breaks_off:
                    writer.write(reply[: len(reply) // 2])
                    break
                writer.write(reply)
                await writer.drain()
        writer.close()

    def _reply(self, request: BytesIO) -> bytes:
        key = int.from_bytes(request.read(2), "big")
        request.read(2)  # version: there is only one of each
        correlation = request.read(4)
        request.read(int.from_bytes(request.read(2), "big"))  # client id
        kind = REQUESTS[key]
        self.requests[kind.__name__.split("Request")[0]] += 1
        asked = kind.decode(request)
        body = correlation + self._answer(asked).encode()
        return len(body).to_bytes(4, "big") + body

    def _answer(self, asked: Any) -> Any:
        match asked:
            case ApiVersionRequest_v0():
                versions = [(key, r.API_VERSION, r.API_VERSION) for key, r in REQUESTS.items()]
                return ApiVersionResponse_v0(0, versions)
            case FindCoordinatorRequest_v0():
                return FindCoordinatorResponse_v0(0, BROKER_ID, "127.0.0.1", self.port)
            case MetadataRequest_v4():
                return self._metadata(asked)
            case OffsetFetchRequest_v3():
                return self._committed(asked)
            case _:
                return self._ends(asked)

    def _metadata(self, asked: Any) -> MetadataResponse_v4:
        assert asked.topics is not None, "asked to describe every topic"
        assert not asked.topics or not asked.allow_auto_topic_creation
        brokers = [(BROKER_ID, "127.0.0.1", self.port, None)]
        return MetadataResponse_v4(
            0, brokers, "cluster", BROKER_ID, [self._topic(name) for name in asked.topics]
        )

    def _topic(self, name: str) -> tuple[Any, ...]:
        if name not in self.contents.ends or self.contents.topic_error:
            return self.contents.topic_error or UNKNOWN_TOPIC, name, False, []
        leaders = {
            number: -1 if number in self.contents.leaderless else BROKER_ID
            for number in self.contents.ends[name]
        }
        partitions = [
            (0, number, leader, [BROKER_ID], [BROKER_ID]) for number, leader in leaders.items()
        ]
        return 0, name, False, partitions

    def _committed(self, asked: Any) -> OffsetFetchResponse_v3:
        of_group = self.contents.committed.get(asked.consumer_group, {})
        wanted = asked.topics
        if wanted is None:
            wanted = [(topic, list(partitions)) for topic, partitions in of_group.items()]
        topics = [
            (
                topic,
                [
                    (number, of_group.get(topic, {}).get(number, -1), "", 0)
                    for number in numbers
                    if number not in self.contents.forgotten
                ],
            )
            for topic, numbers in wanted
        ]
        return OffsetFetchResponse_v3(0, topics, self.contents.group_error)

    def _ends(self, asked: Any) -> OffsetResponse_v1:
        topics = [
            (
                topic,
                [
                    (number, self.contents.end_error, -1, self.contents.ends[topic][number])
                    for number, _ in partitions
                ],
            )
            for topic, partitions in asked.topics
        ]
        return OffsetResponse_v1(topics)
