"""Per-request discrete-event simulation of one tier, to judge the stepped plant by.

First come, first served over a pool of servers, every request on its own: it starts when the server
that is free earliest is free, and leaves if that is later than its timeout. As the start is known
on arrival, one heap of the instants at which servers become free is all the state there is (the
workload recursion of Kiefer and Wolfowitz, 1955).

Servers that are taken away finish what they have: idle ones go first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulations.errors import SimulationError
from simulations.plant.parameters import Service, ServiceTime, Waiting

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

BATCH: Final = 200_000
"""Requests drawn at a time; bounds the memory of long runs."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to the requests, by the step they arrived in.

    Attributes:
        arrivals: Requests.
        late: Served, but after more than the SLO.
        dropped: Left after the timeout.
        waits: Of every served request that had to wait, seconds, in order of arrival.
    """

    arrivals: Counts
    late: Counts
    dropped: Counts
    waits: Floats

    @property
    def violation_ratio(self) -> float:
        """Share of requests that were late or dropped."""
        return float((self.late.sum() + self.dropped.sum()) / max(1, self.arrivals.sum()))

    def wait_seconds(self, ratio: float) -> float:
        """Return a quantile of the waits of all served requests, those without wait included."""
        served = int(self.arrivals.sum() - self.dropped.sum())
        rank = math.ceil(ratio * served) - (served - len(self.waits))
        return 0.0 if rank <= 0 else float(np.partition(self.waits, rank - 1)[rank - 1])


def referee(
    expected: Floats,
    serving: Sequence[int] | Counts,
    service: Service,
    waiting: Waiting,
    *,
    step_seconds: float,
    seed: int,
) -> Judged:
    """Let every request of a run queue.

    Args:
        expected: Mean arrivals per step; the arrivals are Poisson within it.
        serving: Serving replicas per step.
        service: Concurrency and service times.
        waiting: SLO and timeout.
        step_seconds: Length of a step.
        seed: Of arrivals and service times.

    Raises:
        SimulationError: The steps of load and replicas differ, or nothing ever serves.
    """
    if len(expected) != len(serving):
        raise SimulationError(f"{len(expected)} steps of load, {len(serving)} of replicas")
    random = np.random.default_rng([seed, 0x5246])
    counted = random.poisson(expected)
    free, removals = _servers(serving, service.concurrency, step_seconds)
    if not free:
        raise SimulationError("no replica ever serves")
    queue = _Queue(free, waiting)
    for begin, end in _batches(counted, removals):
        for _ in range(removals.get(begin, 0)):
            queue.remove()
        total = int(counted[begin:end].sum())
        steps = np.repeat(np.arange(begin, end), counted[begin:end])
        arrive = np.sort((steps + random.random(total)) * step_seconds)
        queue.serve(arrive.tolist(), _durations(service, random, total).tolist())
    return Judged(
        arrivals=counted,
        late=_by_step(queue.late_at, len(counted), step_seconds),
        dropped=_by_step(queue.left_at, len(counted), step_seconds),
        waits=np.array(queue.waits),
    )


class _Queue:
    """The instants at which servers are free, and what became of the requests."""

    def __init__(self, free: list[float], waiting: Waiting) -> None:
        heapify(free)
        self._free = free
        self._slo = waiting.slo_seconds
        self._timeout = waiting.timeout_seconds
        self.late_at: list[float] = []
        self.left_at: list[float] = []
        self.waits: list[float] = []

    def remove(self) -> None:
        """Take a server away; the last one stays, as nothing would ever start again."""
        if len(self._free) > 1:
            heappop(self._free)

    def serve(self, arrive: list[float], durations: list[float]) -> None:
        """Let requests queue, in order of arrival."""
        free, slo, timeout = self._free, self._slo, self._timeout
        late, left, waits = self.late_at.append, self.left_at.append, self.waits.append
        for at, duration in zip(arrive, durations, strict=True):
            start = free[0]
            if start <= at:
                heapreplace(free, at + duration)
                continue
            wait = start - at
            if wait > timeout:
                left(at)
                continue
            heapreplace(free, start + duration)
            waits(wait)
            if wait > slo:
                late(at)


def _servers(
    serving: Sequence[int] | Counts, concurrency: int, step_seconds: float
) -> tuple[list[float], dict[int, int]]:
    """Return when each server becomes available, and how many are taken away before a step."""
    free: list[float] = []
    removals: dict[int, int] = {}
    before = 0
    for step, replicas in enumerate(np.asarray(serving).tolist()):
        change = (replicas - before) * concurrency
        free += [step * step_seconds] * max(0, change)
        if change < 0:
            removals[step] = -change
        before = replicas
    return free, removals


def _batches(counted: Counts, removals: dict[int, int]) -> list[tuple[int, int]]:
    """Cut the run where servers are taken away, and so that no batch holds too many requests."""
    requests = np.cumsum(counted)
    by_size = np.searchsorted(requests, np.arange(BATCH, requests[-1], BATCH)) + 1
    edges = sorted({0, *removals, *by_size.tolist(), len(counted)} & set(range(len(counted) + 1)))
    return list(itertools.pairwise(edges))


def _durations(service: Service, random: np.random.Generator, count: int) -> Floats:
    mean = service.mean_seconds
    match service.shape:
        case ServiceTime.EXPONENTIAL:
            return random.exponential(mean, count)
        case ServiceTime.DETERMINISTIC:
            return np.full(count, mean)
        case ServiceTime.LOG_NORMAL:
            variance = math.log1p(service.cv2)
            return random.lognormal(math.log(mean) - variance / 2, math.sqrt(variance), count)


def _by_step(instants: list[float], steps: int, step_seconds: float) -> Counts:
    within = np.minimum((np.array(instants) / step_seconds).astype(np.int64), steps - 1)
    return np.bincount(within, minlength=steps)
