"""A real Kafka broker drives a Deployment by consumer group lag."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.integration.world import running
from tests.servers import KafkaServer

pytestmark = pytest.mark.real("kafka")

TOPIC = "orders-of-the-service-test"
GROUP = "workers-of-the-service-test"
PARTITIONS = 5


async def create_topic(server: KafkaServer) -> None:
    """Create the topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=server.address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
    finally:
        await admin.close()


async def produce(server: KafkaServer, count: int) -> None:
    """Write messages, spread over the partitions."""
    producer = AIOKafkaProducer(bootstrap_servers=server.address)
    await producer.start()
    try:
        for number in range(count):
            await producer.send_and_wait(TOPIC, b"order", partition=number % PARTITIONS)
    finally:
        await producer.stop()


async def commit_everything(server: KafkaServer, count: int) -> None:
    """Commit the end of all partitions, ``count`` messages in sum, as a worker that is done would.

    Right after a crash a broker may know less of its log than it has written.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=server.address, group_id=GROUP, enable_auto_commit=False
    )
    partitions = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        while sum(ends.values()) < count:
            await asyncio.sleep(0.1)
            ends = await consumer.end_offsets(partitions)
        await consumer.commit(ends)
    finally:
        await consumer.stop()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_lag_drives_replicas_and_survives_a_kill(kafka_server: KafkaServer) -> None:
    """Lag scales from zero and back; killing and restarting the broker lowers nothing."""
    trigger = {
        "type": "kafka",
        "metadata": {
            "bootstrapServers": kafka_server.address,
            "consumerGroup": GROUP,
            "topic": TOPIC,
            "lagThreshold": "10",
        },
    }
    await create_topic(kafka_server)
    await commit_everything(kafka_server, 0)
    async with running() as world:
        world.deploy("worker", 0)
        world.scale_on("worker", trigger, cooldownPeriod=1)
        await world.until(lambda: world.condition("worker")[0] == "True", 20)
        await produce(kafka_server, 45)
        await world.until(lambda: world.replicas("worker") == 5, 20)
        await asyncio.to_thread(kafka_server.kill)
        await world.until(lambda: world.condition("worker")[0] != "True", 30)
        assert "trigger 0 (kafka)" in world.condition("worker")[2]
        await asyncio.sleep(3)
        assert world.history["worker"] == [0, 5]
        await asyncio.to_thread(kafka_server.start)
        await world.until(lambda: world.condition("worker")[0] == "True", 60)
        assert world.history["worker"] == [0, 5]
        await commit_everything(kafka_server, 45)
        await world.until(lambda: world.replicas("worker") == 0, 30)
        assert world.history["worker"] == [0, 5, 0]
