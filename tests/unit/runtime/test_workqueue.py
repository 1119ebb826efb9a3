"""The queue of keys."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from autoscaler.runtime.workqueue import QueueClosed, WorkQueue

pytestmark = pytest.mark.looptime


async def test_a_key_added_twice_comes_once() -> None:
    """A storm of events about one object costs one reconcile."""
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "a", "a"):
        queue.add(key)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert queue.depth == 0


async def test_a_key_in_flight_is_not_given_to_a_second_worker() -> None:
    """Added again while a worker has it, a key returns only when that worker is done."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await queue.get()
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert queue.depth == 0


async def test_a_delayed_key_comes_exactly_when_due(looptime: Any) -> None:
    """A key delayed by seven seconds comes after seven seconds."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 7.0)
    assert queue.delayed == 1
    assert await queue.get() == "a"
    assert looptime == 7.0


@pytest.mark.parametrize("wishes", [(9.0, 4.0), (4.0, 9.0)])
async def test_the_earliest_wish_wins(looptime: Any, wishes: tuple[float, float]) -> None:
    """Of two delays for one key the shorter counts, and the key comes once."""
    queue: WorkQueue[str] = WorkQueue()
    for seconds in wishes:
        queue.add_after("a", seconds)
    assert await queue.get() == "a"
    assert looptime == 4.0
    queue.done("a")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60):
            await queue.get()


async def test_adding_now_overrules_a_delay(looptime: Any) -> None:
    """An event brings a waiting key forward, and its old delay is void."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 30.0)
    queue.add("a")
    assert await queue.get() == "a"
    assert looptime == 0
    assert queue.delayed == 0


async def test_a_worker_may_delay_the_key_it_holds(looptime: Any) -> None:
    """The usual "look again in ten seconds" of a reconcile works before ``done``."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    key = await queue.get()
    queue.add_after(key, 10.0)
    await asyncio.sleep(3.0)
    queue.done(key)
    assert await queue.get() == "a"
    assert looptime == 10.0


async def test_a_delay_that_ends_while_the_key_is_in_flight_waits_for_done(looptime: Any) -> None:
    """A key due during its own reconcile comes right after it."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    key = await queue.get()
    queue.add_after(key, 2.0)
    await asyncio.sleep(5.0)
    assert queue.depth == 1
    queue.done(key)
    assert await queue.get() == "a"
    assert looptime == 5.0


async def test_no_delay_means_now() -> None:
    """Zero and negative delays make a key ready at once."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 0.0)
    queue.add_after("b", -1.0)
    assert queue.depth == 2


async def test_a_forgotten_key_does_not_come() -> None:
    """The key of a deleted object is dropped, waiting or delayed or added in flight."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add("ready")
    queue.add_after("delayed", 1.0)
    queue.add("held")
    for key in ("ready", "delayed"):
        queue.forget(key)
    assert await queue.get() == "held"
    queue.add("held")
    queue.forget("held")
    queue.done("held")
    await asyncio.sleep(5)
    assert (queue.depth, queue.delayed, queue.in_flight) == (0, 0, 0)


async def test_closing_sends_workers_home_and_drops_keys() -> None:
    """After closing, waiting and later workers are told so, and nothing is handed out."""
    queue: WorkQueue[str] = WorkQueue()
    ended: list[str] = []

    async def worker(name: str) -> None:
        try:
            await queue.get()
        except QueueClosed:
            ended.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(worker("one"))
        group.create_task(worker("two"))
        await asyncio.sleep(0)
        queue.add_after("a", 1.0)
        queue.close()
    assert ended == ["one", "two"]
    queue.add("b")
    queue.add_after("c", 1.0)
    with pytest.raises(QueueClosed):
        await queue.get()


async def test_draining_waits_for_keys_in_flight_only(looptime: Any) -> None:
    """A closed queue is drained when the last worker is done."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("b")
    await queue.get()
    queue.close()
    asyncio.get_running_loop().call_later(4.0, queue.done, "a")
    await queue.drained()
    assert looptime == 4.0


async def test_a_full_queue_says_so() -> None:
    """Beyond the limit an error is raised instead of a key being lost; known keys still pass."""
    queue: WorkQueue[int] = WorkQueue(limit=2)
    queue.add(1)
    queue.add_after(2, 5.0)
    with pytest.raises(asyncio.QueueFull, match="limit of 2"):
        queue.add(3)
    with pytest.raises(asyncio.QueueFull):
        queue.add_after(3, 5.0)
    queue.add(1)
    queue.add(2)
    assert queue.depth == 2


async def test_a_cancelled_worker_does_not_swallow_a_wake_up() -> None:
    """A key that became ready while a worker was cancelled goes to the next one."""
    queue: WorkQueue[str] = WorkQueue()
    got: list[str] = []

    async def worker() -> None:
        got.append(await queue.get())

    async with asyncio.TaskGroup() as group:
        first = group.create_task(worker())
        group.create_task(worker())
        await asyncio.sleep(0)
        queue.add("a")
        first.cancel()
    assert got == ["a"]


async def test_rescheduling_for_ever_takes_no_memory() -> None:
    """Bringing one key forward ten thousand times leaves no trail of old entries."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("anchor", 1.0)
    for i in range(10_000):
        queue.add_after("a", 1_000_000.0 - i)
    assert len(queue._delayed) < 200
    assert queue.delayed == 2


@pytest.mark.parametrize("seed", range(20))
async def test_random_traffic_keeps_the_promises(seed: int) -> None:
    """Whatever is added when: one worker per key, and no key added last is ever lost."""
    rng = Random(seed)
    queue: WorkQueue[int] = WorkQueue()
    held: set[int] = set()
    seen_at: dict[int, float] = {}
    added_at: dict[int, float] = {}
    loop = asyncio.get_running_loop()
    workers_rng = Random(seed + 1000)

    async def worker() -> None:
        while True:
            try:
                key = await queue.get()
            except QueueClosed:
                return
            assert key not in held
            held.add(key)
            seen_at[key] = loop.time()
            await asyncio.sleep(workers_rng.uniform(0.0, 2.0))
            held.remove(key)
            queue.done(key)

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(worker())
        for _ in range(300):
            key = rng.randrange(10)
            delay = rng.choice([0.0, 0.0, rng.uniform(0.0, 5.0)])
            queue.add_after(key, delay)
            added_at[key] = loop.time()
            await asyncio.sleep(rng.uniform(0.0, 0.5))
        await asyncio.sleep(100)
        assert (queue.depth, queue.delayed, queue.in_flight) == (0, 0, 0)
        queue.close()
    assert all(seen_at[key] >= at for key, at in added_at.items())
