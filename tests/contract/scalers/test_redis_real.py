"""The redis triggers against a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Sequence

import pytest
import redis.asyncio as driver

from autoscaler.errors import MetricError, MetricRejected, MetricUnavailable
from autoscaler.runtime.clock import ManualClock
from autoscaler.sdk.http import HttpClient
from autoscaler.sdk.redis import KEYS_PER_SCRIPT, Length, RedisEndpoint, RedisSource
from autoscaler.sdk.scaler import Reading, Scaler, SourceContext, TriggerContext
from scalers.redis_lists import RedisListConfig, RedisListScaler
from scalers.redis_streams import RedisStreamsConfig, RedisStreamsScaler
from tests.servers import RedisServer

pytestmark = pytest.mark.real("redis-server")


def list_of(
    address: str, key: str = "jobs", auth: dict[str, str] | None = None, **given: str
) -> Scaler:
    """Return a list trigger's scaler."""
    metadata = {"listName": key, "address": address, **given}
    context = TriggerContext()
    return RedisListScaler.create(RedisListConfig.parse(metadata, auth or {}, {}, context), context)


def stream_of(address: str, *, safe: bool = True, **given: str) -> Scaler:
    """Return a stream trigger's scaler."""
    metadata = {"stream": "orders", "address": address, **given}
    context = TriggerContext(safe_defaults=safe)
    return RedisStreamsScaler.create(RedisStreamsConfig.parse(metadata, {}, {}, context), context)


def source_of(scaler: Scaler) -> RedisSource:
    """Return the scaler's source, not yet connected."""
    source = scaler.open_source(SourceContext(http=HttpClient(), clock=ManualClock()))
    assert isinstance(source, RedisSource)
    return source


async def read(source: RedisSource, scaler: Scaler) -> Reading:
    """Return one reading, or raise its error."""
    (spec,) = scaler.metric_specs()
    query = scaler.query(spec.name)
    answer = (await source.fetch([query], 0.0))[query]
    if isinstance(answer, MetricError):
        raise answer
    return scaler.reading(spec.name, answer, 0.0)


async def lengths(source: RedisSource, keys: Sequence[str]) -> list[object]:
    """Return the answers for keys, in order."""
    queries: list[Hashable] = [Length(key) for key in keys]
    answers = await source.fetch(queries, 0.0)
    return [answers[query] for query in queries]


@pytest.fixture
async def client(redis_server: RedisServer) -> AsyncIterator[driver.Redis]:
    """A client to fill the server with."""
    async with driver.Redis(port=redis_server.port) as connected:
        yield connected


async def test_everything_with_a_length_is_counted(
    redis_server: RedisServer, client: driver.Redis
) -> None:
    """Lists, sets, sorted sets and hashes have their number of elements, missing keys none."""
    await client.rpush("list", "a", "b", "c")
    await client.sadd("set", "a", "b")
    await client.zadd("zset", {"a": 1})
    await client.hset("hash", mapping={"a": "1", "b": "2"})
    source = source_of(list_of(redis_server.address))
    found = await lengths(source, ["list", "set", "zset", "hash", "missing"])
    await source.close()
    assert found == [3, 2, 1, 2, 0]


async def test_a_key_without_length_fails_alone(
    redis_server: RedisServer, client: driver.Redis
) -> None:
    """A string among lists is an error that names it; the lists keep their values."""
    await client.rpush("list", "a")
    await client.set("text", "a")
    source = source_of(list_of(redis_server.address))
    good, bad = await lengths(source, ["list", "text"])
    await source.close()
    assert good == 1
    assert isinstance(bad, MetricRejected)
    assert '"text" is a string' in str(bad)


async def test_more_lists_than_one_script_counts(
    redis_server: RedisServer, client: driver.Redis
) -> None:
    """Many lists are split over several scripts and every answer stays with its key."""
    keys = [f"list-{number}" for number in range(KEYS_PER_SCRIPT + 7)]
    async with client.pipeline(transaction=False) as pipeline:
        for number, key in enumerate(keys):
            if number % 5:
                pipeline.rpush(key, *range(number % 5))
        await pipeline.execute()
    source = source_of(list_of(redis_server.address))
    found = await lengths(source, keys)
    await source.close()
    assert found == [number % 5 for number in range(len(keys))]


async def test_a_key_the_user_may_not_read_fails_alone(
    redis_server: RedisServer, client: driver.Redis
) -> None:
    """Redis refuses a script over a forbidden key; the allowed keys are read all the same."""
    await client.rpush("open", "a", "b")
    await client.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~open*", "+@all")
    auth = {"username": "reader", "password": "pw"}
    source = source_of(list_of(redis_server.address, auth=auth))
    allowed, forbidden = await lengths(source, ["open", "secret"])
    await source.close()
    await client.execute_command("ACL", "DELUSER", "reader")
    assert allowed == 2
    assert isinstance(forbidden, MetricRejected)


async def test_a_wrong_password_is_a_refusal(redis_server: RedisServer) -> None:
    """The error says so and holds no password."""
    scaler = list_of(redis_server.address, auth={"username": "nobody", "password": "hush"})
    source = source_of(scaler)
    with pytest.raises(MetricRejected, match=r"WRONGPASS|invalid username") as caught:
        await read(source, scaler)
    await source.close()
    assert "hush" not in str(caught.value)


async def test_the_database_index_selects_the_database(
    redis_server: RedisServer, client: driver.Redis
) -> None:
    """A list in database 3 is seen by the trigger that names it, one beyond the last is refused."""
    await client.execute_command("SELECT", 3)
    async with driver.Redis(port=redis_server.port, db=3) as third:
        await third.rpush("jobs", "a")
    for index, expected in (("3", 1.0), ("0", 0.0)):
        scaler = list_of(redis_server.address, databaseIndex=index)
        source = source_of(scaler)
        assert (await read(source, scaler)).value == expected
        await source.close()
    scaler = list_of(redis_server.address, databaseIndex="99")
    source = source_of(scaler)
    with pytest.raises(MetricRejected, match="index"):
        await read(source, scaler)
    await source.close()


async def test_a_crash_is_an_error_and_a_restart_heals(redis_server: RedisServer) -> None:
    """The same source fails within its deadline while Redis is down and works once it is back."""
    scaler = list_of(redis_server.address)
    source = source_of(scaler)
    redis_server.send("RPUSH", "jobs", "a", "b")
    assert (await read(source, scaler)).value == 2.0
    await asyncio.to_thread(redis_server.kill)
    async with asyncio.timeout(5):
        with pytest.raises(MetricUnavailable, match="Connect call failed"):
            await read(source, scaler)
    await asyncio.to_thread(redis_server.restart)
    redis_server.send("RPUSH", "jobs", "a")
    assert (await read(source, scaler)).value == 1.0
    await source.close()


async def test_a_restart_between_polls_goes_unnoticed(redis_server: RedisServer) -> None:
    """A connection that died while idle is replaced within the read."""
    scaler = list_of(redis_server.address)
    source = source_of(scaler)
    assert (await read(source, scaler)).value == 0.0
    await asyncio.to_thread(redis_server.restart)
    redis_server.send("RPUSH", "jobs", "a")
    assert (await read(source, scaler)).value == 1.0
    await source.close()


async def test_a_server_that_accepts_and_says_nothing_times_out() -> None:
    """A hanging server is an error within the deadline, not a hanging poll."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        scaler = list_of(f"127.0.0.1:{port}")
        endpoint = scaler.source_key()
        assert isinstance(endpoint, RedisEndpoint)
        source = RedisSource(endpoint, timeout_seconds=0.2)
        async with asyncio.timeout(2):
            with pytest.raises(MetricUnavailable):
                await read(source, scaler)
        await source.close()


async def test_stream_counts_follow_the_group(
    redis_server: RedisServer, client: driver.Redis
) -> None:
    """Length, pending and lag of one stream as entries are added, read and acknowledged."""
    where = redis_server.address
    length = stream_of(where)
    waiting = stream_of(where, consumerGroup="workers")
    lag = stream_of(where, consumerGroup="workers", lagCount="5")
    adopted = stream_of(where, safe=False, consumerGroup="workers", lagCount="5")
    source = source_of(length)

    async def values() -> list[float | None]:
        readings = [await read(source, one) for one in (length, waiting, lag, adopted)]
        return [reading.value for reading in readings]

    assert await values() == [0.0, 0.0, 0.0, 0.0]
    for number in range(6):
        await client.xadd("orders", {"number": number})
    assert await values() == [6.0, 0.0, 6.0, 6.0]
    assert (await read(source, waiting)).active is True
    await client.xgroup_create("orders", "workers", id="0")
    taken = await client.xreadgroup("workers", "one", {"orders": ">"}, count=4)
    assert await values() == [6.0, 4.0, 2.0, 2.0]
    ((_, entries),) = taken
    await client.xack("orders", "workers", *[entry for entry, _ in entries])
    await client.xreadgroup("workers", "one", {"orders": ">"}, count=10)
    assert await values() == [6.0, 2.0, 0.0, 0.0]
    await source.close()


async def test_a_lag_the_server_lost_is_counted(
    redis_server: RedisServer, client: driver.Redis
) -> None:
    """After a deletion Redis cannot tell the lag; the unread entries still are what counts."""
    for number in range(8):
        await client.xadd("orders", {"number": number}, id=f"{number + 1}-0")
    await client.xgroup_create("orders", "workers", id="0")
    await client.xreadgroup("workers", "one", {"orders": ">"}, count=3)
    await client.xdel("orders", "6-0")
    (known,) = await client.xinfo_groups("orders")
    assert known["lag"] is None
    scaler = stream_of(redis_server.address, consumerGroup="workers", lagCount="5")
    source = source_of(scaler)
    assert (await read(source, scaler)).value == 4.0
    await source.close()
