"""The referee against an event-by-event simulation of the same requests on the same replicas."""

from __future__ import annotations

import heapq
from collections import deque

import numpy as np
import pytest

from simulations.engine.referee import draw_requests, referee
from simulations.plant.parameters import Service, ServiceTime, Waiting

STEP = 5.0
SHORT = Service(mean_seconds=0.2, concurrency=4)
LONG = Service(mean_seconds=20.0, concurrency=1)
SHORT_WAITING = Waiting(slo_seconds=0.2, timeout_seconds=10.0)
LONG_WAITING = Waiting(slo_seconds=10.0, timeout_seconds=60.0)

SCHEDULES = {
    "constant": (SHORT, [72] * 60, [4] * 60),
    "more replicas while requests wait": (SHORT, [160] * 60, [4] * 20 + [9] * 40),
    "fewer replicas when idle": (SHORT, [40] * 60, [8] * 20 + [4] * 40),
    "fewer replicas while requests wait": (SHORT, [160] * 12 + [60] * 48, [6] * 12 + [4] * 48),
    "a change at every step": (SHORT, [76] * 120, [5, 3] * 60),
    "none for a while": (SHORT, [1] * 60, [1] * 20 + [0] * 12 + [1] * 28),
    "none at first": (SHORT, [20] * 60, [0] * 4 + [2] * 56),
    "none in the end": (SHORT, [1] * 60, [1] * 20 + [0] * 40),
    "replaced while they drain": (LONG, [0.4] * 240, ([10] * 10 + [6] * 2) * 20),
    "replaced entirely": (LONG, [0.4] * 240, ([10] * 8 + [0] * 2) * 24),
}


class ByEvents:
    """Every arrival, end of service and change of the replicas as an event of its own."""

    def __init__(self, waiting: Waiting) -> None:
        self.waiting = waiting
        self.busy: dict[int, float] = {}
        self.idle: set[int] = set()
        self.queue: deque[tuple[float, float]] = deque()
        self.ends: list[tuple[float, int]] = []
        self.servers = 0
        self.late: list[float] = []
        self.left: list[float] = []
        self.waits: list[float] = []

    def resize(self, change: int) -> None:
        for _ in range(change):
            self.idle.add(self.servers)
            self.servers += 1
        for _ in range(-change):
            if self.idle:
                self.idle.pop()
            else:
                del self.busy[min(self.busy, key=lambda server: self.busy[server])]

    def end(self) -> None:
        at, server = heapq.heappop(self.ends)
        if server in self.busy:
            del self.busy[server]
            self.idle.add(server)
        self.start(at)

    def start(self, now: float) -> None:
        while self.queue and self.idle:
            at, duration = self.queue.popleft()
            if now - at > self.waiting.timeout_seconds:
                self.left.append(at)
                continue
            server = self.idle.pop()
            self.busy[server] = now + duration
            heapq.heappush(self.ends, (now + duration, server))
            if now > at:
                self.waits.append(now - at)
            if now - at > self.waiting.slo_seconds:
                self.late.append(at)

    def run(self, requests, serving, concurrency: int) -> None:
        changes = np.diff(serving, prepend=0) * concurrency
        events = [(step * STEP, int(change), 0.0) for step, change in enumerate(changes)]
        events = sorted(events + [(at, 0, duration) for at, duration in requests])
        for at, change, duration in events:
            while self.ends and self.ends[0][0] <= at:
                self.end()
            if duration:
                self.queue.append((at, duration))
            self.resize(change)
            self.start(at)
        while self.ends:
            self.end()
        self.left += [at for at, _ in self.queue]


@pytest.mark.parametrize("shape", ServiceTime)
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_request_meets_the_same_fate_as_event_by_event(name, shape, monkeypatch):
    """The same requests are late and leave, and wait as long, whatever the replicas do."""
    monkeypatch.setattr("simulations.engine.referee.BATCH", 1000)
    service, per_second, serving = SCHEDULES[name]
    service = Service(
        mean_seconds=service.mean_seconds, concurrency=service.concurrency, shape=shape
    )
    waiting = SHORT_WAITING if service.mean_seconds < 1 else LONG_WAITING
    expected = np.array(per_second) * STEP
    judged = referee(expected, serving, service, waiting, step_seconds=STEP, seed=5)
    by_events = ByEvents(waiting)
    requests = [
        request
        for at, durations, _ in draw_requests(expected, service, step_seconds=STEP, seed=5)
        for request in zip(at.tolist(), durations.tolist(), strict=True)
    ]
    by_events.run(requests, serving, service.concurrency)

    assert len(requests) == judged.arrivals.sum()
    assert (judged.late == of_steps(by_events.late, len(serving))).all()
    assert (judged.dropped == of_steps(by_events.left, len(serving))).all()
    assert np.sort(judged.waits) == pytest.approx(np.sort(by_events.waits), abs=1e-9)


def of_steps(instants: list[float], steps: int):
    """Count instants by step."""
    return np.bincount((np.array(instants) / STEP).astype(np.int64), minlength=steps)


def test_requests_do_not_depend_on_the_replicas():
    """Two schedules with the same seed are judged by the same requests."""
    expected = np.full(100, 300.0)
    few, many = (
        referee(expected, serving, SHORT, SHORT_WAITING, step_seconds=STEP, seed=1)
        for serving in ([3] * 100, [4, 6] * 50)
    )
    assert (few.arrivals == many.arrivals).all()
    assert few.violation_ratio > many.violation_ratio
