"""The kafka trigger against a real broker."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from autoscaler.errors import MetricError, MetricRejected, MetricUnavailable
from autoscaler.runtime.clock import ManualClock
from autoscaler.sdk.http import HttpClient
from autoscaler.sdk.scaler import Reading, SourceContext, TriggerContext
from scalers.kafka import KafkaConfig, KafkaScaler, KafkaSource
from tests.servers import KafkaServer
from tests.servers.kafka import PASSWORD, USERNAME

pytestmark = [pytest.mark.real("kafka"), pytest.mark.timeout(300)]


class Cluster:
    """What a test does to the broker besides reading lag."""

    def __init__(self, server: KafkaServer) -> None:
        self.server = server

    async def create(self, partitions: int) -> str:
        """Create a topic of a fresh name."""
        topic = f"orders-{uuid.uuid4().hex[:8]}"
        admin = AIOKafkaAdminClient(bootstrap_servers=self.server.address)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(topic, partitions, 1)])
        finally:
            await admin.close()
        return topic

    async def widen(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.server.address)
        await admin.start()
        try:
            await admin.create_partitions({topic: NewPartitions(partitions)})
        finally:
            await admin.close()

    async def produce(self, topic: str, counts: Sequence[int]) -> None:
        """Write so many messages to each partition."""
        async with AIOKafkaProducer(bootstrap_servers=self.server.address) as producer:
            for partition, count in enumerate(counts):
                for _ in range(count):
                    await producer.send_and_wait(topic, b"x", partition=partition)

    async def commit(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Commit offsets for a group."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.server.address, group_id=group, enable_auto_commit=False
        )
        await consumer.start()
        try:
            wanted = {TopicPartition(topic, number): at for number, at in offsets.items()}
            consumer.assign(list(wanted))
            await consumer.commit(wanted)
        finally:
            await consumer.stop()


@pytest.fixture
def cluster(kafka_server: KafkaServer) -> Cluster:
    """The broker with helpers."""
    return Cluster(kafka_server)


@pytest.fixture
async def source(kafka_server: KafkaServer) -> AsyncIterator[KafkaSource]:
    """A source of that broker, closed at the end."""
    context = SourceContext(http=HttpClient(), clock=ManualClock())
    opened = scaler(kafka_server.address, "any", "any").open_source(context)
    yield opened
    await opened.close()


def scaler(address: str, topic: str, group: str = "billing", **given: str) -> KafkaScaler:
    """Return a trigger's scaler."""
    metadata = {"bootstrapServers": address, "consumerGroup": group, **given}
    if topic:
        metadata["topic"] = topic
    context = TriggerContext()
    return KafkaScaler.create(KafkaConfig.parse(metadata, {}, {}, context), context)


async def read_all(
    source: KafkaSource, scalers: Sequence[KafkaScaler]
) -> list[Reading | MetricError]:
    """Return what one poll of these triggers gives, in order."""
    named = [(one, one.metric_specs()[0].name) for one in scalers]
    queries = list(dict.fromkeys(one.query(name) for one, name in named))
    answers = await source.fetch(queries, 0.0)
    results: list[Reading | MetricError] = []
    for one, name in named:
        answer = answers[one.query(name)]
        try:
            if isinstance(answer, MetricError):
                raise answer
            results.append(one.reading(name, answer, 0.0))
        except MetricError as error:
            results.append(error)
    return results


async def read(source: KafkaSource, one: KafkaScaler) -> Reading:
    """Return one trigger's reading, or raise its error."""
    (result,) = await read_all(source, [one])
    if isinstance(result, MetricError):
        raise result
    return result


async def settled(source: KafkaSource, one: KafkaScaler, *, until: float) -> float | None:
    """Return the value once it is ``until``, or the last one.

    A broker needs a moment to lead a new partition or to coordinate a group; in between a read may
    be an error, though never another number than before.
    """
    value = None
    for _ in range(300):
        with contextlib.suppress(MetricUnavailable):
            value = (await read(source, one)).value
        if value == until:
            break
        await asyncio.sleep(0.1)
    return value


async def test_lag_is_end_minus_committed(cluster: Cluster, source: KafkaSource) -> None:
    """Over three partitions, one of them never committed, which counts one message."""
    topic = await cluster.create(3)
    await cluster.produce(topic, (10, 10, 10))
    await cluster.commit("billing", topic, {0: 4, 1: 10})
    address = cluster.server.address
    assert (await read(source, scaler(address, topic))).value == 7.0
    earliest = scaler(address, topic, offsetResetPolicy="earliest")
    assert (await read(source, earliest)).value == 16.0


async def test_many_triggers_are_answered_together(cluster: Cluster, source: KafkaSource) -> None:
    """Several groups and topics, one of them unknown, in one fetch: each has its own result."""
    one, two = await cluster.create(2), await cluster.create(1)
    await cluster.produce(one, (5, 5))
    await cluster.produce(two, (3,))
    await cluster.commit("billing", one, {0: 0, 1: 0})
    await cluster.commit("mail", two, {0: 1})
    address = cluster.server.address
    results = await read_all(
        source,
        [
            scaler(address, one),
            scaler(address, two, "mail"),
            scaler(address, two, "nobody"),
            scaler(address, "no-such-topic"),
        ],
    )
    assert [getattr(result, "value", None) for result in results] == [10.0, 2.0, 1.0, None]
    assert isinstance(results[3], MetricRejected)
    assert "no-such-topic" in str(results[3])


async def test_without_topic_all_committed_ones_count(
    cluster: Cluster, source: KafkaSource
) -> None:
    """The group's topics are found from its commits; a group without any is told to name one."""
    group = f"group-{uuid.uuid4().hex[:8]}"
    one, two = await cluster.create(1), await cluster.create(1)
    await cluster.produce(one, (4,))
    await cluster.produce(two, (6,))
    everything = scaler(cluster.server.address, "", group)
    with pytest.raises(MetricRejected, match="name its topic"):
        await read(source, everything)
    await cluster.commit(group, one, {0: 1})
    await cluster.commit(group, two, {0: 1})
    assert (await read(source, everything)).value == 8.0


async def test_new_partitions_are_seen_by_the_next_poll(
    cluster: Cluster, source: KafkaSource
) -> None:
    """Nothing about a topic is remembered between polls."""
    topic = await cluster.create(1)
    await cluster.produce(topic, (50,))
    await cluster.commit("billing", topic, {0: 0})
    one = scaler(cluster.server.address, topic, lagThreshold="10")
    assert (await read(source, one)).value == 10.0
    await cluster.widen(topic, 3)
    assert (await settled(source, one, until=30.0)) == 30.0


async def test_asking_does_not_create_topics(cluster: Cluster, source: KafkaSource) -> None:
    """A topic that does not exist still does not exist after a read."""
    for _ in range(2):
        with pytest.raises(MetricRejected, match="UNKNOWN_TOPIC"):
            await read(source, scaler(cluster.server.address, "imagined"))


async def test_a_crash_is_an_error_and_a_restart_heals(
    cluster: Cluster, source: KafkaSource
) -> None:
    """The same source fails within its deadline while the broker is down and recovers after."""
    topic = await cluster.create(2)
    await cluster.produce(topic, (5, 5))
    await cluster.commit("billing", topic, {0: 2, 1: 2})
    one = scaler(cluster.server.address, topic)
    assert (await read(source, one)).value == 6.0
    await asyncio.to_thread(cluster.server.kill)
    async with asyncio.timeout(10):
        with pytest.raises(MetricUnavailable, match="no broker answers"):
            await read(source, one)
    await asyncio.to_thread(cluster.server.restart)
    assert (await settled(source, one, until=6.0)) == 6.0


def unsigned_token() -> str:
    """Return a token the broker's development validator accepts."""
    now = int(time.time())

    def encoded(part: Mapping[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")

    claims = {"sub": "reader", "iat": now - 5, "exp": now + 600}
    return f"{encoded({'alg': 'none'})}.{encoded(claims)}."


@pytest.fixture
async def token_endpoint() -> AsyncIterator[str]:
    """An OAuth endpoint that gives unsigned tokens for the right client secret."""

    async def give(request: web.Request) -> web.Response:
        login = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {login}":
            return web.Response(status=401)
        return web.json_response({"access_token": unsigned_token(), "expires_in": 600})

    app = web.Application()
    app.router.add_post("/token", give)
    async with TestServer(app) as server:
        yield str(server.make_url("/token"))


@pytest.mark.parametrize("mechanism", ["plaintext", "scram_sha256", "scram_sha512", "oauthbearer"])
async def test_login(cluster: Cluster, token_endpoint: str, mechanism: str) -> None:
    """Each SASL mechanism lets the right password in and keeps a wrong one out."""
    topic = await cluster.create(1)
    await cluster.produce(topic, (3,))
    await cluster.commit("billing", topic, {0: 1})
    context = TriggerContext()
    metadata = {
        "bootstrapServers": cluster.server.login_address,
        "consumerGroup": "billing",
        "topic": topic,
    }
    results = []
    async with HttpClient() as http:
        for password in (PASSWORD, "wrong-password"):
            auth = {
                "sasl": mechanism,
                "username": USERNAME,
                "password": password,
                "oauthTokenEndpointUri": token_endpoint,
            }
            one = KafkaScaler.create(KafkaConfig.parse(metadata, auth, {}, context), context)
            opened = one.open_source(SourceContext(http=http, clock=ManualClock()))
            try:
                results.append(await read(opened, one))
            except MetricError as error:
                results.append(error)
            finally:
                await opened.close()
    good, bad = results
    assert isinstance(good, Reading), good
    assert good.value == 2.0
    assert isinstance(bad, MetricError)
    assert "wrong-password" not in str(bad)
