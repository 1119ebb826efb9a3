"""Slots: who is let in, in which order, and what dead sources cannot take from others."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from autoscaler.collect.slots import Slots, Ticket
from autoscaler.errors import MetricUnavailable
from tests.doubles.clock import EPOCH
from tests.doubles.scalers import ScriptedSource, StubScaler
from tests.unit.collect.test_poll import Bench

pytestmark = pytest.mark.looptime

DEAD = 60
INTERVAL_SECONDS = 30.0


class Door:
    """Slots, and the names of those that were let in."""

    def __init__(self, count: int) -> None:
        self.slots = Slots(count)
        self.inside: list[str] = []

    def ask(self, name: str, *, hangs: bool = False, failures: int = 0) -> Ticket:
        return self.slots.ask(lambda: self.inside.append(name), hangs=hangs, failures=failures)


async def test_hanging_sources_have_half_of_the_slots_at_most() -> None:
    """However many ask, the rest is free for others; those are limited by the whole only."""
    door = Door(4)
    for name in "abc":
        door.ask(name, hangs=True)
    assert door.inside == ["a", "b"]
    for name in "xyz":
        door.ask(name)
    assert door.inside == ["a", "b", "x", "y"]


async def test_who_asked_first_is_let_in_first() -> None:
    """One that hangs waits no longer than its turn where its share allows."""
    door = Door(2)
    first, second = door.ask("1"), door.ask("2")
    door.ask("3", hangs=True)
    door.ask("4")
    door.ask("5", hangs=True)
    first.give_back()
    assert door.inside[2:] == ["3"]
    second.give_back()
    assert door.inside[2:] == ["3", "4"]


async def test_of_those_that_hang_the_one_that_failed_least_is_first() -> None:
    """A source that missed one deadline does not queue behind all that have been dead for hours."""
    door = Door(2)
    busy = door.ask("busy", hangs=True)
    for number in range(5):
        door.ask(f"dead {number}", hangs=True, failures=3)
    door.ask("hiccup", hangs=True, failures=1)
    busy.give_back()
    assert door.inside == ["busy", "hiccup"]


async def test_a_slot_is_given_back_once_and_a_wish_can_be_withdrawn() -> None:
    """Who goes while waiting is passed over; giving back twice makes no slots."""
    door = Door(1)
    inside, waiting = door.ask("a"), door.ask("b")
    hanging = door.ask("c", hangs=True)
    door.ask("d")
    door.ask("e")
    waiting.give_back()
    hanging.give_back()
    inside.give_back()
    inside.give_back()
    assert door.inside == ["a", "d"]


async def test_a_cancelled_wait_takes_no_slot() -> None:
    """A source that is closed while it waits leaves the slot to the next one."""
    slots = Slots(1)
    busy = slots.ask(lambda: None)

    async def wait() -> None:
        async with slots.slot():
            return

    gone, next_one = asyncio.ensure_future(wait()), asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    gone.cancel()
    busy.give_back()
    async with asyncio.timeout(1):
        await next_one


def crowd(bench: Bench) -> tuple[ScriptedSource, list[ScriptedSource]]:
    """Register ten times as many dead sources as there are slots, and one that answers."""
    good, dead = ScriptedSource(), [ScriptedSource() for _ in range(DEAD)]
    good.values = {"a": 1}
    for number, source in enumerate(dead):
        source.values, source.hang_seconds = {"a": 2}, 1e6
        scaler = StubScaler(source, "a", place=f"dead {number}")
        bench.register(f"ns/d{number}", [scaler], INTERVAL_SECONDS)
    bench.register("ns/good", [StubScaler(good, "a", place="good")], INTERVAL_SECONDS)
    return good, dead


async def test_dead_sources_do_not_keep_a_good_one_from_being_read() -> None:
    """Once each dead source has missed a deadline, the good one is read on time."""
    bench = Bench(deadline_seconds=10.0, concurrent_sources=6)
    async with bench.running():
        good, _ = crowd(bench)
        await asyncio.sleep(DEAD / 6 * 10 + 1)
        good.fetches.clear()
        await asyncio.sleep(600)
        assert len(good.times) == 20
        assert max(b - a for a, b in pairwise(good.times)) < INTERVAL_SECONDS + 0.1


async def test_errors_of_sources_that_wait_to_be_tried_stay_on_schedule() -> None:
    """A fallback counts failed polls; it does not wait until the source has its turn."""
    bench = Bench(deadline_seconds=10.0, concurrent_sources=6)
    async with bench.running():
        crowd(bench)
        await asyncio.sleep(600)
        for number in range(DEAD):
            reading = bench.reading(f"ns/d{number}", "s0-a")
            assert (reading.value, reading.error) == (None, "no answer within 10 s")
            assert reading.sampled_at > EPOCH + 600 - INTERVAL_SECONDS - 10


async def test_a_dead_source_that_is_back_is_noticed_when_its_turn_comes() -> None:
    """None is forgotten: with three tried at a time for ten seconds each, all within one round."""
    bench = Bench(deadline_seconds=10.0, concurrent_sources=6)
    async with bench.running():
        _, dead = crowd(bench)
        await asyncio.sleep(600)
        dead[7].hang_seconds = 0.0
        await asyncio.sleep(DEAD / 3 * 10 + INTERVAL_SECONDS)
        assert bench.reading("ns/d7", "s0-a").value == 2
        for source in dead:
            source.hang_seconds = 0.0
        await asyncio.sleep(DEAD / 3 * 10 + INTERVAL_SECONDS)
        assert all(bench.reading(f"ns/d{number}", "s0-a").value == 2 for number in range(DEAD))


async def test_a_source_that_refuses_at_once_does_not_wait_behind_those_that_hang() -> None:
    """Refusing takes no time, so it is tried as often as alone, and its return seen as soon."""
    bench = Bench(deadline_seconds=10.0, concurrent_sources=6)
    refusing = ScriptedSource()
    refusing.failure = MetricUnavailable("connection refused")
    refusing.values = {"a": 3}
    async with bench.running():
        crowd(bench)
        scaler = StubScaler(refusing, "a", place="refusing")
        bench.register("ns/r", [scaler], INTERVAL_SECONDS)
        await asyncio.sleep(600)
        refusing.failure = None
        await asyncio.sleep(2 * INTERVAL_SECONDS)
        assert bench.reading("ns/r", "s0-a").value == 3


async def test_slots_are_free_again_when_sources_that_hang_are_gone() -> None:
    """Whether they were being read or waited, nothing is held for them."""
    bench = Bench(deadline_seconds=10.0, concurrent_sources=2)
    async with bench.running() as collector:
        crowd(bench)
        await asyncio.sleep(900)
        for number in range(DEAD):
            collector.unregister(f"ns/d{number}")
        await asyncio.sleep(60)
        slow = ScriptedSource()
        slow.values, slow.hang_seconds = {"a": 1}, 1.0
        for number in range(2):
            bench.register(f"ns/s{number}", [StubScaler(slow, "a", place=f"s{number}")], 3000)
        await asyncio.sleep(1.5)
        assert slow.running_max == 2
