"""Token bucket and back-off per key."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from autoscaler.runtime.throttle import ErrorThrottle, TokenBucket

pytestmark = pytest.mark.looptime


async def test_a_burst_passes_at_once_and_the_rest_at_the_rate(looptime: Any) -> None:
    """Five calls with a burst of three and two per second take one second."""
    bucket = TokenBucket(rate_per_second=2.0, burst=3)
    waited = [await bucket.acquire() for _ in range(5)]
    assert waited == [0.0, 0.0, 0.0, 0.5, 0.5]
    assert looptime == 1.0


async def test_waiting_callers_are_served_in_order(looptime: Any) -> None:
    """Nobody overtakes a caller who waits."""
    bucket = TokenBucket(rate_per_second=1.0, burst=1)
    served: list[tuple[int, float]] = []

    async def call(number: int) -> None:
        await bucket.acquire()
        served.append((number, asyncio.get_running_loop().time()))

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(call(number))
    assert served == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]


async def test_a_cancelled_caller_gives_its_token_back(looptime: Any) -> None:
    """A caller who gives up does not slow down those after it."""
    bucket = TokenBucket(rate_per_second=1.0, burst=1)
    await bucket.acquire()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.25):
            await bucket.acquire()
    await bucket.acquire()
    assert looptime == 1.0


async def test_tokens_do_not_pile_up_beyond_the_burst(looptime: Any) -> None:
    """An idle hour does not allow more than the burst."""
    bucket = TokenBucket(rate_per_second=10.0, burst=2)
    await bucket.acquire()
    await asyncio.sleep(3600)
    assert [bucket.try_acquire() for _ in range(3)] == [True, True, False]


async def test_trying_never_takes_what_others_wait_for(looptime: Any) -> None:
    """A caller that does not wait is refused while somebody waits."""
    bucket = TokenBucket(rate_per_second=1.0, burst=1)
    await bucket.acquire()
    async with asyncio.TaskGroup() as group:
        group.create_task(bucket.acquire())
        await asyncio.sleep(0.5)
        assert not bucket.try_acquire()


def test_a_failing_key_waits_ever_longer_and_alone() -> None:
    """One key's failures raise its own delays and nobody else's."""
    throttle: ErrorThrottle[str] = ErrorThrottle(Random(1), base_seconds=1.0, cap_seconds=60.0)
    bad = [throttle.failed("shop/web", at=float(i)) for i in range(8)]
    assert max(bad) > 4.0
    assert throttle.failures("shop/web") == 8
    assert throttle.failed("shop/api", at=8.0) <= 1.0


def test_a_success_ends_the_row() -> None:
    """After a success the next failure counts as a first one."""
    throttle: ErrorThrottle[str] = ErrorThrottle(Random(1), base_seconds=1.0)
    for i in range(8):
        throttle.failed("shop/web", at=float(i))
    throttle.succeeded("shop/web")
    assert throttle.failures("shop/web") == 0
    assert throttle.failed("shop/web", at=9.0) <= 1.0


def test_only_so_many_failing_keys_are_remembered() -> None:
    """The key that failed longest ago is forgotten first."""
    throttle: ErrorThrottle[int] = ErrorThrottle(Random(1), limit=3)
    for key in (1, 2, 3, 1, 4):
        throttle.failed(key, at=0.0)
    assert len(throttle) == 3
    assert throttle.failures(2) == 0
    assert throttle.failures(1) == 2


def test_a_slow_key_does_not_escape_its_row() -> None:
    """A key that fails once an hour is still failing in a row."""
    throttle: ErrorThrottle[str] = ErrorThrottle(Random(1))
    for hour in range(5):
        throttle.failed("shop/web", at=hour * 3600.0)
    assert throttle.failures("shop/web") == 5
