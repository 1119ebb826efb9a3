"""The work queue's accounts: orders produced, queued, in flight, processed; none may be lost.

Pure arithmetic; the list itself is in Redis, moved by :mod:`autoscaler.demo.shop`.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

FASTEST_RATIO: Final = 0.7
SLOWEST_RATIO: Final = 1.3
"""Orders take between these shares of the usual time."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts of the work queue."""

    produced: int
    processed: int
    queued: int
    in_flight: int
    returned: int
    """Orders pushed back because their worker was killed before it was done."""

    @property
    def lost(self) -> int:
        """Orders that are nowhere; negative when some were done twice."""
        return self.produced - self.processed - self.queued - self.in_flight


class Worker(msgspec.Struct):
    """One worker pod: the order it works on, and when that will be done."""

    free_at: float
    order: str | None = None
    is_leaving: bool = False


class Crew:
    """The workers and what they hold.

    Times are seconds of the cluster's clock; a step may be longer than an order takes.
    """

    def __init__(self, rng: random.Random, *, service_seconds: float) -> None:
        self.processed = 0
        self.returned = 0
        self._rng = rng
        self._service_seconds = service_seconds
        self._workers: dict[str, Worker] = {}
        self._stranded: deque[str] = deque()

    @property
    def in_flight(self) -> int:
        """Orders taken from the list and not done."""
        held = sum(worker.order is not None for worker in self._workers.values())
        return held + len(self._stranded)

    def holds(self, pod: str) -> bool:
        """Whether a pod is working on an order."""
        worker = self._workers.get(pod)
        return worker is not None and worker.order is not None

    def staff(self, ready: Iterable[str], leaving: Iterable[str], now: float) -> None:
        """Take in who works now; what a vanished worker held has to go back to the list."""
        going = set(leaving)
        present = {**dict.fromkeys(ready), **dict.fromkeys(going & self._workers.keys())}
        for pod in [one for one in self._workers if one not in present]:
            order = self._workers.pop(pod).order
            if order is not None:
                self._stranded.append(order)
        for pod in present:
            worker = self._workers.setdefault(pod, Worker(now))
            worker.is_leaving = pod in going

    def finish(self, now: float) -> None:
        """Complete the orders that are done by ``now``."""
        for worker in self._workers.values():
            if worker.order is not None and worker.free_at <= now:
                worker.order = None
                self.processed += 1

    def wanted(self, now: float) -> int:
        """Return how many orders the workers can begin by ``now``, even if all take long."""
        total = 0
        for worker in self._workers.values():
            if worker.order is None and not worker.is_leaving:
                idle_seconds = max(0.0, now - worker.free_at)
                total += 1 + int(idle_seconds / (self._service_seconds * SLOWEST_RATIO))
        return total

    def begin(self, orders: Sequence[str], now: float) -> None:
        """Hand out at most ``wanted`` orders; the longest idle worker takes the next one."""
        for order in orders:
            idle = [w for w in self._workers.values() if w.order is None and not w.is_leaving]
            worker = min(idle, key=lambda one: one.free_at)
            share = self._rng.uniform(FASTEST_RATIO, SLOWEST_RATIO)
            took_seconds = self._service_seconds * share
            worker.free_at += took_seconds
            if worker.free_at <= now:
                self.processed += 1
            else:
                worker.order = order

    def rest(self, now: float) -> None:
        """Let idle time pass: a worker that found nothing to do begins its next order from now."""
        for worker in self._workers.values():
            if worker.order is None:
                worker.free_at = max(worker.free_at, now)

    def stranded(self) -> list[str]:
        """Return orders that have to go back to the list; they stay in flight until it is said."""
        return list(self._stranded)

    def gave_back(self, count: int) -> None:
        """Say that the first ``count`` stranded orders are in the list again."""
        for _ in range(count):
            self._stranded.popleft()
        self.returned += count

    def utilisation(self) -> Mapping[str, bool]:
        """Return for each worker whether it is busy."""
        return {pod: worker.order is not None for pod, worker in self._workers.items()}
