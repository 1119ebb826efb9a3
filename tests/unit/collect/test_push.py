"""Push streams: when a broken one is opened again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from autoscaler.collect.push import follow
from autoscaler.sdk.http import HttpClient
from autoscaler.sdk.scaler import SourceContext
from tests.doubles.clock import LoopClock
from tests.doubles.scalers import ScriptedSource, StubPushScaler

pytestmark = pytest.mark.looptime


class Scripted(StubPushScaler):
    """States that there is no work, stays for a while, then breaks or ends in order."""

    def __init__(self, *, stays_seconds: float = 0.0, breaks: bool = True) -> None:
        super().__init__(ScriptedSource(), "a")
        self.opened_at: list[float] = []
        self._stays_seconds = stays_seconds
        self._breaks = breaks

    async def activity(self, context: SourceContext) -> AsyncIterator[bool]:
        """Yield one state."""
        self.opened_at.append(asyncio.get_running_loop().time())
        yield False
        await asyncio.sleep(self._stays_seconds)
        if self._breaks:
            raise ConnectionError("gone")


class NoJitter(random.Random):
    """Draws the upper end."""

    def uniform(self, a: float, b: float) -> float:
        """Return the larger bound."""
        return max(a, b)


async def pauses_of(scaler: Scripted, seconds: float) -> list[float]:
    """Return the times from each opening to the next."""
    async with HttpClient() as http:
        context = SourceContext(http=http, clock=LoopClock())
        task = asyncio.ensure_future(follow(scaler, context, lambda: None, NoJitter()))
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait((task,))
    at = scaler.opened_at
    return [round(b - a, 3) for a, b in pairwise(at)]


async def test_a_stream_that_states_its_activity_and_breaks_is_opened_ever_more_rarely() -> None:
    """Servers state it at once, so that alone says nothing about their health; as in KEDA."""
    assert await pauses_of(Scripted(), 250.0) == [2, 4, 8, 16, 32, 60, 60, 60]


async def test_an_ordered_end_starts_the_pauses_over() -> None:
    """The server is well and may only have moved."""
    assert await pauses_of(Scripted(breaks=False), 9.0) == [2, 2, 2, 2]


async def test_a_stream_that_lasted_starts_the_pauses_over() -> None:
    """One failure a day never waits the longest pause."""
    assert await pauses_of(Scripted(stays_seconds=200.0), 900.0) == [202, 202, 202, 202]
