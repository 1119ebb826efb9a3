"""Per-request discrete-event simulation of one tier, to judge the stepped plant by.

First come, first served over a pool of servers, every request on its own: it starts when the server
that is free earliest is free, and leaves if that is later than its timeout. While the servers stay
the same, the start is known on arrival, and one heap of the instants at which servers become free
is all the state there is (the workload recursion of Kiefer and Wolfowitz, 1955). Requests that
would start after the next change of the servers wait for it before that is decided.

Servers that are taken away finish what they serve, and start nothing more: idle ones go first, then
those that are free soonest.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush, heapreplace
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
    if not np.any(serving):
        raise SimulationError("no replica ever serves")
    changes = _changes(serving, service.concurrency, step_seconds)
    instants = np.array([*(at for at, _ in changes), math.inf])
    queue, change = _Queue(waiting), 0
    counted = np.zeros(len(expected), dtype=np.int64)
    for arrive, durations, steps in draw_requests(
        expected, service, step_seconds=step_seconds, seed=seed
    ):
        counted += np.bincount(steps, minlength=len(counted))
        edges = np.searchsorted(arrive, instants[change:]).tolist()
        at, taken = arrive.tolist(), durations.tolist()
        begin = 0
        for edge in edges:
            queue.serve(at[begin:edge], taken[begin:edge], until=float(instants[change]))
            begin = edge
            if edge == len(at):
                break
            queue.change(*changes[change])
            change += 1
    for instant, servers in changes[change:]:
        queue.serve([], [], until=instant)
        queue.change(instant, servers)
    queue.serve([], [], until=math.inf)
    return Judged(
        arrivals=counted,
        late=_by_step(queue.late_at, len(counted), step_seconds),
        dropped=_by_step(queue.left_at, len(counted), step_seconds),
        waits=np.array(queue.waits),
    )


def draw_requests(
    expected: Floats, service: Service, *, step_seconds: float, seed: int
) -> Iterator[tuple[Floats, Floats, Counts]]:
    """Yield arrival instants, service times and steps of arrival, many requests at a time.

    They do not depend on the replicas: runs with the same seed have the same requests.
    """
    random = np.random.default_rng([seed, 0x5246])
    counted = random.poisson(expected)
    requests = np.cumsum(counted)
    by_size = np.searchsorted(requests, np.arange(BATCH, requests[-1], BATCH)) + 1
    edges = sorted({0, *by_size.tolist(), len(counted)})
    for begin, end in itertools.pairwise(edges):
        steps = np.repeat(np.arange(begin, end), counted[begin:end])
        arrive = np.sort((steps + random.random(len(steps))) * step_seconds)
        yield arrive, _durations(service, random, len(steps)), steps


class _Queue:
    """The instants at which servers are free, and what became of the requests."""

    def __init__(self, waiting: Waiting) -> None:
        self._free: list[float] = []
        self._undecided: list[tuple[float, float]] = []
        self._slo = waiting.slo_seconds
        self._timeout = waiting.timeout_seconds
        self.late_at: list[float] = []
        self.left_at: list[float] = []
        self.waits: list[float] = []

    def change(self, at: float, servers: int) -> None:
        """Add servers that are free from now on, or take away as many."""
        for _ in range(servers):
            heappush(self._free, at)
        for _ in range(-servers):
            heappop(self._free)

    def serve(self, arrive: list[float], durations: list[float], *, until: float) -> None:
        """Let requests queue, in order of arrival.

        Args:
            arrive: Instants, after those of earlier calls and before ``until``.
            durations: Service times.
            until: Next change of the servers; infinite if there is none.
        """
        free, slo, timeout = self._free, self._slo, self._timeout
        late, left, waits = self.late_at.append, self.left_at.append, self.waits.append
        requests: Iterator[tuple[float, float]] = zip(arrive, durations, strict=True)
        if self._undecided:
            requests = itertools.chain(self._undecided, requests)
            self._undecided = []
        if not free and until == math.inf:
            self.left_at += (at for at, _ in requests)
            return
        if not free:
            self._undecided = list(requests)
            return
        for at, duration in requests:
            start = free[0]
            if start <= at:
                heapreplace(free, at + duration)
                continue
            if start > until:
                self._undecided = [(at, duration), *requests]
                break
            wait = start - at
            if wait > timeout:
                left(at)
                continue
            heapreplace(free, start + duration)
            waits(wait)
            if wait > slo:
                late(at)


def _changes(
    serving: Sequence[int] | Counts, concurrency: int, step_seconds: float
) -> list[tuple[float, int]]:
    """Return when servers are added (or taken away, if negative), and how many."""
    change = np.diff(np.asarray(serving, dtype=np.int64), prepend=0) * concurrency
    return [(step * step_seconds, int(change[step])) for step in np.flatnonzero(change).tolist()]


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
