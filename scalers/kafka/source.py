"""Offsets of many consumer groups of one Kafka cluster, in as few requests as Kafka allows.

However many triggers ask: one metadata request for all topics, one OffsetFetch request per group,
one ListOffsets request per broker.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from autoscaler.sdk import Answer, MetricError, MetricRejected, MetricUnavailable, SourceContext
from autoscaler.sdk.fetch import fetch_each
from scalers.kafka.client import ConnectionLost, KafkaClient, connect
from scalers.kafka.config import KafkaEndpoint
from scalers.kafka.lag import Partition, TopicPartition

FETCH_TIMEOUTS: Final = 3
"""A fetch takes several requests one after the other, so it gets several requests' time."""

Leaders = Mapping[str, dict[int, int] | MetricError]
Offsets = Mapping[TopicPartition, int | MetricError]


class GroupOffsets(msgspec.Struct, frozen=True):
    """Committed and end offsets of a group; ``topic`` empty = every topic it committed to.

    Answer: a tuple of :class:`Partition`.
    """

    group: str
    topic: str


class KafkaSource:
    """One client of one cluster; a lost connection is replaced by the next fetch."""

    def __init__(self, endpoint: KafkaEndpoint, context: SourceContext) -> None:
        self._endpoint = endpoint
        self._context = context
        self._timeout_seconds = FETCH_TIMEOUTS * context.http.timeout_seconds
        self._client: KafkaClient | None = None

    async def fetch(
        self, queries: Sequence[Hashable], at: float
    ) -> Mapping[Hashable, Answer | MetricError]:
        """Answer :class:`GroupOffsets` queries."""
        del at
        asked = [query for query in queries if isinstance(query, GroupOffsets)]
        assert len(asked) == len(queries), "a query of another source"
        was_open = self._client is not None
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answers = await self._attempt(asked)
                if was_open and _lost(answers):
                    # A connection that broke since the last fetch says nothing about the cluster
                    # as it is now.
                    await self.close()
                    answers = await self._attempt(asked)
        except TimeoutError:
            await self.close()
            servers = ",".join(self._endpoint.bootstrap_servers)
            raise MetricUnavailable(
                f"Kafka {servers:.100}: no answer in {self._timeout_seconds:g} s"
            ) from None
        lost = _lost(answers)
        if lost:
            await self.close()
        if len(lost) == len(answers):
            raise lost[0]
        return answers

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _attempt(
        self, queries: Sequence[GroupOffsets]
    ) -> Mapping[Hashable, Answer | MetricError]:
        """Answer the queries, with :class:`ConnectionLost` for those a dead client left open."""
        try:
            if self._client is None:
                self._client = await connect(self._endpoint, self._context)
            return await _answer(self._client, queries)
        except ConnectionLost as error:
            return dict.fromkeys(queries, error)


def _lost(answers: Mapping[Hashable, Answer | MetricError]) -> list[ConnectionLost]:
    return [answer for answer in answers.values() if isinstance(answer, ConnectionLost)]


async def _answer(
    client: KafkaClient, queries: Sequence[GroupOffsets]
) -> dict[Hashable, Answer | MetricError]:
    topics = await _topics(client, queries)
    named = {
        name for names in topics.values() if not isinstance(names, MetricError) for name in names
    }
    leaders = await client.leaders(named)
    wanted: dict[str, set[TopicPartition]] = defaultdict(set)
    for query in queries:
        wanted[query.group].update(_partitions(topics[query], leaders))
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(
            fetch_each(
                [name for name in wanted if wanted[name]],
                lambda name: client.committed(name, wanted[name]),
            ),
            name="kafka-committed",
        )
        ending = group.create_task(
            _ends(client, leaders, set().union(*wanted.values())), name="kafka-ends"
        )
    committed, ends = reading.result(), ending.result()
    return {
        query: _joined(topics[query], leaders, committed.get(query.group, {}), ends)
        for query in queries
    }


async def _topics(
    client: KafkaClient, queries: Sequence[GroupOffsets]
) -> dict[GroupOffsets, Sequence[str] | MetricError]:
    """Return the topics each query is about."""
    anywhere = [query for query in queries if not query.topic]
    found = await fetch_each(anywhere, lambda query: client.committed(query.group, None))
    topics: dict[GroupOffsets, Sequence[str] | MetricError] = {}
    for query in queries:
        offsets = found.get(query)
        if query.topic:
            topics[query] = (query.topic,)
        elif isinstance(offsets, MetricError):
            topics[query] = offsets
        else:
            topics[query] = sorted({topic for topic, _ in offsets or ()})
            if not offsets:
                topics[query] = MetricRejected(
                    f"Kafka group {query.group} has committed no offset yet; name its topic"
                )
    return topics


async def _ends(
    client: KafkaClient, leaders: Leaders, partitions: Iterable[TopicPartition]
) -> Offsets:
    """Return end offsets, or the error why there is none."""
    led: dict[int, list[TopicPartition]] = defaultdict(list)
    for topic, number in partitions:
        brokers = leaders[topic]
        assert isinstance(brokers, dict)
        led[brokers[number]].append((topic, number))
    found: dict[TopicPartition, int | MetricError] = {}
    leaderless = led.pop(_NO_LEADER, [])
    for topic, number in leaderless:
        found[topic, number] = MetricUnavailable(
            f"Kafka topic {topic} partition {number} has no leader"
        )
    told = await fetch_each(list(led), lambda leader: client.ends(leader, led[leader]))
    for leader, offsets in told.items():
        if isinstance(offsets, MetricError):
            assert isinstance(leader, int)
            found |= dict.fromkeys(led[leader], offsets)
        else:
            found |= offsets
    return found


def _partitions(topics: Sequence[str] | MetricError, leaders: Leaders) -> list[TopicPartition]:
    """Return all partitions of topics, none for topics that could not be described."""
    if isinstance(topics, MetricError):
        return []
    return [
        (name, number)
        for name in topics
        if isinstance(brokers := leaders[name], dict)
        for number in sorted(brokers)
    ]


def _joined(
    topics: Sequence[str] | MetricError,
    leaders: Leaders,
    committed: Offsets | MetricError,
    ends: Offsets,
) -> tuple[Partition, ...] | MetricError:
    """Return one query's partitions, or the error that leaves it without an answer."""
    if isinstance(topics, MetricError):
        return topics
    for name in topics:
        if isinstance(error := leaders[name], MetricError):
            return error
    if isinstance(committed, MetricError):
        return committed
    partitions = tuple(
        _partition(key, committed.get(key), ends.get(key)) for key in _partitions(topics, leaders)
    )
    return next((p.error for p in partitions if isinstance(p.error, ConnectionLost)), partitions)


def _partition(
    key: TopicPartition, committed: int | MetricError | None, end: int | MetricError | None
) -> Partition:
    errors = (one for one in (committed, end) if isinstance(one, MetricError))
    return Partition(
        topic=key[0],
        id=key[1],
        committed=committed if isinstance(committed, int) else None,
        end=end if isinstance(end, int) else None,
        error=next(errors, None),
    )


_NO_LEADER: Final = -1
