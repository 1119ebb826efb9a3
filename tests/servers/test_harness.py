"""The harness itself: servers answer, crash on demand and come back on the same port."""

from __future__ import annotations

import asyncio

import pytest

from tests.servers import KafkaServer, PrometheusServer, RedisServer


@pytest.mark.real("redis-server")
def test_redis_returns_on_its_port_after_a_crash(redis_server: RedisServer) -> None:
    """A killed Redis refuses connections and answers again, empty, on the same port."""
    redis_server.send("SET", "key", "value")
    redis_server.kill()
    with pytest.raises(OSError, match="refused"):
        redis_server.send("PING")
    redis_server.restart()
    assert redis_server.send("PING") == b"+PONG\r\n"
    assert redis_server.send("EXISTS", "key") == b":0\r\n"


@pytest.mark.real("prometheus")
def test_prometheus_answers_queries(prometheus_server: PrometheusServer) -> None:
    """A running Prometheus evaluates an expression."""
    (sample,) = prometheus_server.query("vector(42)")
    assert sample["value"][1] == "42"


@pytest.mark.real("kafka")
@pytest.mark.timeout(300)
async def test_kafka_keeps_topics_over_a_crash(kafka_server: KafkaServer) -> None:
    """A killed broker comes back on the same port with the topics it had."""
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_server.address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("harness", 3, 1)])
    finally:
        await admin.close()
    await asyncio.to_thread(kafka_server.restart)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_server.address)
    await admin.start()
    try:
        (topic,) = await admin.describe_topics(["harness"])
        assert len(topic["partitions"]) == 3
    finally:
        await admin.close()
