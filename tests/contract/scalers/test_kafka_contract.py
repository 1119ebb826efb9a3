"""The kafka trigger passes the scaler contract, and asks as little as it can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest

from autoscaler.errors import MetricError, MetricMalformed, MetricRejected, MetricUnavailable
from autoscaler.runtime.clock import ManualClock
from autoscaler.sdk.http import DEFAULT_TIMEOUT_SECONDS, HttpClient
from autoscaler.sdk.scaler import Answer, SourceContext, TriggerContext
from autoscaler.sdk.testing import IMPATIENT_SECONDS, ScalerContract, Trouble, World
from scalers.kafka import GroupOffsets, KafkaConfig, KafkaScaler, KafkaSource, Partition
from tests.doubles.kafka import Contents, ScriptedKafka

GROUP_AUTHORIZATION_FAILED = 30
TOPIC_AUTHORIZATION_FAILED = 29
COORDINATOR_LOADING = 14
NOT_LEADER = 6


class TestKafkaScaler(ScalerContract):
    scaler_type = KafkaScaler
    values: ClassVar[Sequence[str]] = ("0", "7")
    metadata: ClassVar[Mapping[str, str]] = {
        "bootstrapServers": "127.0.0.1:9",
        "consumerGroup": "billing",
        "topic": "orders",
    }
    troubles: ClassVar[Mapping[Trouble, type[MetricError]]] = {
        Trouble.REFUSED: MetricUnavailable,
        Trouble.SILENT: MetricUnavailable,
        Trouble.BROKEN_OFF: MetricUnavailable,
        Trouble.GARBAGE: MetricUnavailable,
        Trouble.EMPTY: MetricMalformed,
        Trouble.TOO_LARGE: MetricMalformed,
        Trouble.UNAUTHORIZED: MetricRejected,
        Trouble.FORBIDDEN: MetricRejected,
        Trouble.NOT_FOUND: MetricRejected,
        Trouble.SERVER_ERROR: MetricUnavailable,
        Trouble.UNAVAILABLE: MetricUnavailable,
    }

    @asynccontextmanager
    async def playing(self, trouble: Trouble | None, value: str) -> AsyncIterator[World]:
        end = 2**62 if trouble is Trouble.TOO_LARGE else 10 + int(value)
        contents = Contents(
            ends={} if trouble is Trouble.NOT_FOUND else {"orders": {0: end}},
            committed={"billing": {"orders": {0: 10}}},
            forgotten=frozenset({0} if trouble is Trouble.EMPTY else ()),
            group_error={
                Trouble.UNAUTHORIZED: GROUP_AUTHORIZATION_FAILED,
                Trouble.UNAVAILABLE: COORDINATOR_LOADING,
            }.get(trouble, 0)
            if trouble
            else 0,
            topic_error=TOPIC_AUTHORIZATION_FAILED if trouble is Trouble.FORBIDDEN else 0,
            end_error=NOT_LEADER if trouble is Trouble.SERVER_ERROR else 0,
        )
        # Only where nothing comes is it worth being impatient; a busy machine may take its time.
        patience = (
            IMPATIENT_SECONDS
            if trouble in (Trouble.SILENT, Trouble.GARBAGE)
            else DEFAULT_TIMEOUT_SECONDS
        )
        scripted = ScriptedKafka(
            contents,
            silent=trouble is Trouble.SILENT,
            breaks_off=trouble is Trouble.BROKEN_OFF,
            garbage=trouble is Trouble.GARBAGE,
        )
        async with scripted as broker, HttpClient(timeout_seconds=patience) as http:
            if trouble is Trouble.REFUSED:
                await broker.stop()
            # Without a limit by partitions the value is the lag itself.
            given = {"bootstrapServers": broker.address, "allowIdleConsumers": "true"}
            yield World(given, SourceContext(http=http, clock=ManualClock(self.at)))


async def ask(broker: ScriptedKafka, *queries: GroupOffsets) -> Mapping[Hashable, Answer]:
    """Return the answers of one fetch of a fresh source."""
    async with HttpClient() as http:
        source = source_of(broker, http)
        try:
            return await source.fetch(queries, 0.0)
        finally:
            await source.close()


def source_of(broker: ScriptedKafka, http: HttpClient) -> KafkaSource:
    """Return a source of the broker."""
    context = TriggerContext()
    given = {"bootstrapServers": broker.address, "consumerGroup": "any"}
    scaler = KafkaScaler.create(KafkaConfig.parse(given, {}, {}, context), context)
    return scaler.open_source(SourceContext(http=http, clock=ManualClock()))


async def test_many_triggers_cost_one_request_of_each_kind_per_group_and_broker() -> None:
    """Forty topics of four groups: one description, four commits, one round of end offsets."""
    topics = {f"topic-{number}": {0: 5, 1: 5} for number in range(40)}
    queries = [GroupOffsets(f"group-{number % 4}", f"topic-{number}") for number in range(40)]
    async with ScriptedKafka(Contents(ends=topics)) as broker:
        answers = await ask(broker, *queries)
    assert [len(answers[query]) for query in queries] == [2] * 40
    assert broker.requests["OffsetFetch"] == 4
    assert broker.requests["Offset"] == 1
    assert broker.requests["Metadata"] == 2, "one of them finds the brokers"


async def test_one_unknown_topic_fails_alone() -> None:
    """The other topics of the same fetch are answered."""
    good, bad = GroupOffsets("billing", "orders"), GroupOffsets("billing", "imagined")
    async with ScriptedKafka(Contents(ends={"orders": {0: 5}})) as broker:
        answers = await ask(broker, good, bad)
    assert answers[good] == (Partition(topic="orders", id=0, committed=-1, end=5),)
    assert isinstance(answers[bad], MetricRejected)


async def test_a_partition_without_leader_is_an_error_of_that_partition() -> None:
    """The others keep their offsets, so a trigger limited to them goes on."""
    query = GroupOffsets("billing", "orders")
    contents = Contents(ends={"orders": {0: 5, 1: 6}}, leaderless=frozenset({1}))
    async with ScriptedKafka(contents) as broker:
        healthy, headless = (await ask(broker, query))[query]
    assert (healthy.end, healthy.error) == (5, None)
    assert isinstance(headless.error, MetricUnavailable)


async def test_the_same_source_survives_a_broker_restart() -> None:
    """Down: an error; up again: an answer, from the object that failed before."""
    query = GroupOffsets("billing", "orders")
    async with ScriptedKafka(Contents(ends={"orders": {0: 5}})) as broker, HttpClient() as http:
        source = source_of(broker, http)
        assert (await source.fetch([query], 0.0))[query][0].end == 5
        await broker.stop()
        with pytest.raises(MetricUnavailable):
            await source.fetch([query], 1.0)
        broker.contents = Contents(ends={"orders": {0: 9}})
        await broker.start()
        assert (await source.fetch([query], 2.0))[query][0].end == 9
        await source.close()


async def test_a_broken_connection_is_replaced_within_the_read() -> None:
    """A broker that restarted between polls costs no reading."""
    query = GroupOffsets("billing", "orders")
    async with ScriptedKafka(Contents(ends={"orders": {0: 5}})) as broker, HttpClient() as http:
        source = source_of(broker, http)
        await source.fetch([query], 0.0)
        await broker.stop()
        await broker.start()
        assert (await source.fetch([query], 1.0))[query][0].end == 5
        await source.close()
