"""The queue before the real pods serves as the simulation's referee does."""

from __future__ import annotations

import numpy as np

from simulations.engine.referee import draw_requests, referee
from simulations.plant.parameters import Waiting
from tests.e2e.simulated.cases import SERVICE, WAITING, Requests
from tests.e2e.simulated.queue import Queue

STEP_SECONDS = 1.0
EARLY = 0.5
"""Somebody looks between two steps."""


def test_late_requests_are_those_of_the_referee() -> None:
    """The same requests on pods that become more: as many late or gone, whoever looks meanwhile."""
    pods = np.repeat([4, 6, 7, 12], 60)
    expected = np.repeat([70.0, 150.0, 150.0, 180.0], 60)
    waiting = Waiting(slo_seconds=WAITING.slo_seconds, timeout_seconds=3.0)
    judged = referee(expected, pods, SERVICE, waiting, step_seconds=STEP_SECONDS, seed=5)
    drawn = list(draw_requests(expected, SERVICE, step_seconds=STEP_SECONDS, seed=5))
    arrive, durations = (np.concatenate([part[index] for part in drawn]) for index in (0, 1))
    requests = Requests(arrive.tolist(), durations.tolist())
    queue = Queue(requests, concurrency=SERVICE.concurrency, waiting=waiting)
    for step, change in enumerate(np.diff(pods, prepend=0).tolist()):
        for number in range(change):
            queue.add(f"{step}-{number}", step * STEP_SECONDS)
        queue.length((step + EARLY) * STEP_SECONDS)
    queue.advance(float("inf"))
    assert judged.late.sum() > 0
    assert judged.dropped.sum() > 0
    assert queue.late == judged.late.sum() + judged.dropped.sum()


def test_a_pod_taken_away_ends_its_work_and_begins_nothing() -> None:
    """Of two pods one goes while both work: what waits, waits for the other."""
    requests = Requests([0.0, 0.0, 0.5, 0.6], [1.0, 3.0, 1.0, 1.0])
    queue = Queue(requests, concurrency=1, waiting=Waiting(slo_seconds=1.5))
    queue.add("a", 0.0)
    queue.add("b", 0.0)
    queue.remove("a", 0.7)
    assert queue.length(2.9) == 2
    assert queue.length(3.1) == 1
    assert queue.arrived(0.0, 0.5) == 1
    queue.advance(float("inf"))
    assert queue.late == 2


def test_without_pods_requests_wait_until_they_leave() -> None:
    """Nothing serves: they wait for the timeout, and are late."""
    queue = Queue(Requests([1.0, 2.0], [1.0, 1.0]), concurrency=1, waiting=WAITING)
    assert queue.length(10.0) == 2
    assert queue.length(1.5 + WAITING.timeout_seconds) == 1
    queue.add("a", 31.9)
    assert (queue.length(31.9), queue.late) == (0, 2)
