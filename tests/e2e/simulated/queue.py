"""Requests that queue before the pods there really are."""

from __future__ import annotations

import math
from bisect import bisect_right
from heapq import heappop, heappush, heapreplace

from simulations.plant.parameters import Waiting
from tests.e2e.simulated.cases import Requests


class Queue:
    """First come, first served: a pod works on so many requests at a time.

    Requests arrive whatever becomes of those before them. A pod that is taken away ends what it
    works on and begins nothing more. Times are seconds after the start, and never go back.

    Args:
        requests: That will arrive.
        concurrency: Requests a pod works on at a time.
        waiting: SLO and timeout.

    Attributes:
        late: Requests that waited longer than the SLO, those that left after the timeout included.
    """

    def __init__(self, requests: Requests, *, concurrency: int, waiting: Waiting) -> None:
        self._arrive, self._durations = requests
        self._concurrency = concurrency
        self._slo = waiting.slo_seconds
        self._timeout = waiting.timeout_seconds
        self._next = 0
        self._free: list[tuple[float, str]] = []
        self._pods: set[str] = set()
        self.late = 0

    def add(self, pod: str, at: float) -> None:
        """Let a pod serve from now on."""
        self.advance(at)
        self._pods.add(pod)
        for _ in range(self._concurrency):
            heappush(self._free, (at, pod))

    def remove(self, pod: str, at: float) -> None:
        """Let a pod begin nothing more; one that does not serve is none of ours."""
        if pod in self._pods:
            self.advance(at)
            self._pods.remove(pod)

    def arrived(self, since: float, until: float) -> int:
        """Return how many requests arrive after ``since`` and up to ``until``."""
        return bisect_right(self._arrive, until) - bisect_right(self._arrive, since)

    def length(self, at: float) -> int:
        """Return how many requests wait."""
        self.advance(at)
        return bisect_right(self._arrive, at) - self._next

    def advance(self, until: float) -> None:
        """Let requests begin, or leave, up to an instant."""
        arrive, durations, free = self._arrive, self._durations, self._free
        while self._next < len(arrive):
            arrived_at = arrive[self._next]
            while free and free[0][1] not in self._pods:
                heappop(free)
            begins_at = max(arrived_at, free[0][0]) if free else math.inf
            leaves_at = arrived_at + self._timeout
            if min(begins_at, leaves_at) > until:
                return
            if begins_at <= leaves_at:
                heapreplace(free, (begins_at + durations[self._next], free[0][1]))
            self.late += min(begins_at, leaves_at) - arrived_at > self._slo
            self._next += 1
