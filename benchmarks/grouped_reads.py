"""Reads per second of 1,000 Redis lists: grouped by source, and one by one.

Baseline, as KEDA reads: every object has a client of its own and sends one EVAL per list. It is
measured both ways an autoscaler may run it, all objects at once and one after the other, and the
faster of the two counts. Clients are connected before the clock starts.

Grouped: the source of the ``redis`` trigger, given all lists at once.

Run: ``python benchmarks/grouped_reads.py`` (needs ``redis-server``).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from pathlib import Path

import redis.asyncio as driver

sys.path.insert(0, str(Path(__file__).parents[1]))

from autoscaler.sdk.redis import COUNT_SCRIPT, Length, RedisEndpoint, RedisSource
from tests.servers import RedisServer, ServerMissing

REQUIRED_RATIO = 20.0


ReadAll = Callable[[], Awaitable[Sequence[int]]]


def _number(answer: object) -> int:
    assert isinstance(answer, int), answer
    return answer


async def fill(port: int, keys: Sequence[str]) -> None:
    """Give every list a length of its own."""
    async with driver.Redis(port=port) as client, client.pipeline(transaction=False) as pipeline:
        for number, key in enumerate(keys):
            pipeline.rpush(key, *range(1 + number % 7))
        await pipeline.execute()


async def rate_of(read_all: ReadAll, lists: int, repeat: int) -> float:
    """Return reads per second, checking every answer."""
    lengths: Sequence[int] = ()
    started = time.perf_counter()
    for _ in range(repeat):
        lengths = await read_all()
    seconds = time.perf_counter() - started
    assert list(lengths) == [1 + number % 7 for number in range(lists)]
    return repeat * lists / seconds


async def measure(port: int, lists: int, rounds: int) -> tuple[float, ...]:
    """Return reads per second: grouped, ungrouped at once, ungrouped one after the other."""
    keys = [f"queue-{number}" for number in range(lists)]
    await fill(port, keys)

    source = RedisSource(RedisEndpoint(address=f"127.0.0.1:{port}"))
    queries: list[Hashable] = [Length(key) for key in keys]

    async def grouped() -> list[int]:
        answers = await source.fetch(queries, 0.0)
        return [_number(answers[query]) for query in queries]

    clients = [driver.Redis(port=port, single_connection_client=True) for _ in keys]

    async def one(number: int) -> int:
        return int(await clients[number].eval(COUNT_SCRIPT, 1, keys[number]))

    async def at_once() -> list[int]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(number)) for number in range(lists)]
        return [task.result() for task in tasks]

    async def one_by_one() -> list[int]:
        return [await one(number) for number in range(lists)]

    ways: tuple[tuple[ReadAll, int], ...] = ((grouped, 10), (at_once, 1), (one_by_one, 1))
    try:
        # Rounds alternate between the ways, so that a busy moment of the machine meets all alike;
        # the first round only warms up.
        rates = [
            [await rate_of(way, lists, repeat) for way, repeat in ways] for _ in range(rounds + 1)
        ]
    finally:
        await source.close()
        for client in clients:
            await client.aclose()
    return tuple(statistics.median(column) for column in zip(*rates[1:], strict=True))


def main() -> int:
    """Print the figures; exit 1 when grouping is not worth it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lists", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    try:
        server = RedisServer(arguments=("--maxclients", "4096"))
    except ServerMissing as missing:
        print(f"skipped: {missing}")
        return 0
    with server:
        rates = asyncio.run(measure(server.port, chosen.lists, chosen.rounds))
    grouped, at_once, one_by_one = rates
    baseline = max(at_once, one_by_one)
    ratio = grouped / baseline
    print(f"{chosen.lists} Redis lists, median of {chosen.rounds} rounds, one process, one core")
    print(f"  one client per object, one after the other   {one_by_one:12,.0f} reads/s")
    print(f"  one client per object, all at once           {at_once:12,.0f} reads/s")
    print(f"  grouped by source                            {grouped:12,.0f} reads/s")
    print(f"  ratio to the faster ungrouped way            {ratio:12.1f}  (>= {REQUIRED_RATIO:g})")
    return 0 if ratio >= REQUIRED_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
