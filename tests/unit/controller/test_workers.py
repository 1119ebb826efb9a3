"""The workers: how long a row of keys may hold the event loop."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from typing import Any

import pytest

from autoscaler.controller.reconcile import NextTurn
from autoscaler.controller.settings import ControllerSettings
from autoscaler.controller.workers import Pace, Workers
from autoscaler.runtime.workqueue import WorkQueue
from autoscaler.telemetry.metrics import Metrics
from tests.doubles.clock import LoopClock

pytestmark = pytest.mark.looptime

WORK_SECONDS = 0.001


async def worked(pace: Pace | None, keys: int) -> list[float]:
    """Return when each of a row of keys was worked on, seconds; each takes a millisecond."""
    began = asyncio.get_running_loop().time()
    times: list[float] = []

    async def reconcile(key: str) -> NextTurn:
        times.append(asyncio.get_running_loop().time() - began)
        await asyncio.sleep(WORK_SECONDS)
        return NextTurn()

    queue: WorkQueue[str] = WorkQueue()
    workers: Any = Workers(
        queue,
        reconcile,
        settings=ControllerSettings(),
        clock=LoopClock(),
        metrics=Metrics(),
        rng=random.Random(1),
        pace=pace,
    )
    for number in range(keys):
        queue.add(f"ns/o{number}")
    task = asyncio.ensure_future(workers.run())
    await asyncio.sleep(1.0)
    assert len(times) == keys
    queue.close()
    await task
    return times


async def test_without_a_pace_keys_follow_one_another() -> None:
    """Nobody rests while there is work."""
    times = await worked(None, 20)
    assert times[-1] == pytest.approx(19 * WORK_SECONDS, abs=0.5 * WORK_SECONDS)


async def test_a_pace_leaves_the_event_loop_to_others() -> None:
    """After at most two milliseconds of work come four of rest."""
    times = await worked(Pace(work_seconds=0.002, rest_seconds=0.004), 20)
    gaps = [later - before for before, later in pairwise(times)]
    rests = [gap for gap in gaps if gap > 0.004]
    assert len(rests) >= 8
    assert times[-1] >= 0.045
