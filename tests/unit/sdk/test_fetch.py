"""Asking many questions: bounded, each with its own outcome, giving up when nobody is there."""

from __future__ import annotations

import asyncio

import pytest

from autoscaler.errors import MetricMalformed, MetricUnavailable
from autoscaler.sdk.fetch import fetch_each
from autoscaler.sdk.http import NoConnection


async def test_each_query_has_its_own_outcome() -> None:
    """One failing query does not spoil the others."""

    async def ask(query: int) -> str:
        if query == 2:
            raise MetricMalformed("two")
        return str(query)

    answers = await fetch_each([1, 2, 3], ask)
    assert answers[1] == "1"
    assert isinstance(answers[2], MetricMalformed)
    assert answers[3] == "3"


@pytest.mark.looptime
async def test_at_most_the_bound_is_in_flight() -> None:
    """Ten queries of a second each, three at a time, take four seconds."""
    flying = most = 0

    async def ask(query: int) -> int:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(1)
        flying -= 1
        return query

    loop = asyncio.get_running_loop()
    started = loop.time()
    assert len(await fetch_each(range(10), ask, concurrency=3)) == 10
    assert most == 3
    assert loop.time() - started == pytest.approx(4)


@pytest.mark.looptime
async def test_a_source_nobody_serves_is_asked_once_per_slot() -> None:
    """After a refused connection the waiting queries fail at once."""
    asked = 0

    async def ask(query: int) -> int:
        nonlocal asked
        asked += 1
        await asyncio.sleep(3)
        raise NoConnection("nobody")

    answers = await fetch_each(range(100), ask, concurrency=4)
    assert asked == 4
    assert len(answers) == 100
    assert all(isinstance(answer, MetricUnavailable) for answer in answers.values())


@pytest.mark.looptime
async def test_cancelling_ends_every_question() -> None:
    """A fetch that is cancelled leaves no question running."""
    ended = 0

    async def ask(query: int) -> int:
        nonlocal ended
        try:
            await asyncio.sleep(60)
        finally:
            ended += 1
        return query

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await fetch_each(range(5), ask, concurrency=5)
    assert ended == 5
