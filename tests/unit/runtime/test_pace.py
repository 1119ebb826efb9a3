"""Short pieces of work beside a server's calls."""

from __future__ import annotations

import asyncio

import pytest

from autoscaler.runtime.pace import REST_SECONDS, WAITING_MAX, WORK_SECONDS, Pace

pytestmark = pytest.mark.looptime

PIECE_SECONDS = WORK_SECONDS * 0.6
PIECES = 8


class World:
    """Calls and waiting work."""

    def __init__(self, *, calls_per_look: int = 0, waiting: int = 0) -> None:
        self.calls = 0
        self.calls_per_look = calls_per_look
        self.pace = Pace(self.count, lambda: waiting)

    def count(self) -> int:
        """Return how many calls there have been; more every time."""
        self.calls += self.calls_per_look
        return self.calls

    async def work(self, workers: int = 1) -> float:
        """Let every worker do all pieces; returns how long it took, seconds of loop time."""
        loop = asyncio.get_running_loop()
        # Times are told from a loop that has run for a while.
        await asyncio.sleep(1)
        began = loop.time()

        async def worker() -> None:
            for _ in range(PIECES):
                await self.pace.turn()
                await asyncio.sleep(PIECE_SECONDS)

        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(worker())
        return loop.time() - began


async def test_calls_have_the_loop_for_themselves_most_of_the_time() -> None:
    """After half a millisecond of work comes a rest, seven times as long."""
    took = await World(calls_per_look=1).work()
    rests = (took - PIECES * PIECE_SECONDS) / REST_SECONDS
    assert rests == pytest.approx(PIECES / 2 - 1, abs=0.2)


async def test_nobody_rests_without_calls() -> None:
    """Where nobody calls, everything is decided at once."""
    assert await World().work() == pytest.approx(PIECES * PIECE_SECONDS)


async def test_too_much_work_comes_first() -> None:
    """What is told must not get old, however many call."""
    took = await World(calls_per_look=1, waiting=WAITING_MAX + 1).work()
    assert took == pytest.approx(PIECES * PIECE_SECONDS)


async def test_the_first_piece_after_a_pause_waits_for_nobody() -> None:
    """A single change, as a push, is decided at once even among calls."""
    world = World(calls_per_look=1)
    await world.work()
    await asyncio.sleep(1)
    began = asyncio.get_running_loop().time()
    await world.pace.turn()
    assert asyncio.get_running_loop().time() == pytest.approx(began)


async def test_workers_rest_together() -> None:
    """One that rests holds the others; else the loop would never be free."""
    took = await World(calls_per_look=1).work(workers=4)
    rests = (took - PIECES * PIECE_SECONDS) / REST_SECONDS
    assert rests == pytest.approx(PIECES / 2 - 1, abs=0.2)
