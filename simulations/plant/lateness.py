"""Which share of the requests waits longer than the SLO allows.

Two things make requests wait. The stepped plant knows one: a backlog of requests that capacity
could not serve, whose wait follows from the queue by division. The other is chance, which the
expected arrivals of a step do not show; its share is that of a stationary queue with many servers:

- P(wait) is Erlang's C formula;
- the wait of those who wait falls off exponentially, at the rate of a queue with exponential
  service times 2 / (1 + cv2) (Allen and Cunneen 1990; Kingman's heavy-traffic limit);
- with cv2 > 1 short waits end sooner than that, because the next of many servers to become free
  hardly depends on the distribution. The tail is the exponential service's and the heavy-traffic
  one, mixed by the square of the utilisation; this weight was found with the referee;
- near saturation a queue needs longer to become stationary than load stays the same. Utilisation
  counts only up to where the relaxation time of the limiting diffusion, variance / drift^2, is
  :data:`RELAXATION_SECONDS`; what is above shows in the backlog.

``tests/simulation/test_fidelity.py`` holds it against the per-request referee.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulations.plant.parameters import Service, Waiting

Values = NDArray[np.float64]

BINS: Final = 2048
"""Steps of the utilisation in the table."""

RELAXATION_SECONDS: Final = 30.0


class LatenessTable:
    """Late requests of one kind of service, for every number of replicas and load.

    Args:
        service: Concurrency and service times.
        waiting: The SLO.
        step_seconds: Length of a step.
        replicas: Highest count to expect; more are looked up when they appear.
    """

    def __init__(
        self, service: Service, waiting: Waiting, *, step_seconds: float, replicas: int = 128
    ) -> None:
        self._service = service
        self._slo = waiting.slo_seconds
        self._step = step_seconds
        self._per_replica = service.requests_per_second
        self._tails = np.zeros((0, BINS))
        self._flat = np.zeros(0)
        self._offsets = np.zeros(0, dtype=np.int64)
        self._scale = np.zeros(0)
        self._capacities: dict[float, Values] = {}
        self._grow(replicas)

    def late_ratio(
        self,
        serving: Values,
        arrivals_per_second: float,
        backlog_before: Values,
        backlog_after: Values,
    ) -> Values:
        """Return the share of a step's requests that will have waited longer than the SLO.

        Those that give up before they are served are among them.

        Args:
            serving: Replicas, whole numbers, per lane.
            arrivals_per_second: Of the step.
            backlog_before: At its beginning, per lane.
            backlog_after: At its end, per lane.
        """
        replicas = serving.astype(np.int64)
        ratio = self._by_chance(replicas, arrivals_per_second)
        if backlog_after.any() or backlog_before.any():
            queued = np.flatnonzero((backlog_after > 0) | (backlog_before > 0))
            by_backlog = self._by_backlog(
                serving[queued],
                np.full(len(queued), arrivals_per_second),
                backlog_before[queued],
                backlog_after[queued],
            )
            ratio[queued] += (1.0 - ratio[queued]) * by_backlog
        return ratio

    def late_ratios(
        self,
        serving: Values,
        arrivals_per_second: Values,
        backlog_before: Values,
        backlog_after: Values,
    ) -> Values:
        """Return the same for the steps of one run."""
        replicas = serving.astype(np.int64)
        self._ensure(int(replicas.max(initial=0)))
        bins = (arrivals_per_second * self._scale[replicas]).astype(np.int64)
        np.minimum(bins, BINS - 1, out=bins)
        ratio: Values = self._tails[replicas, bins]
        by_backlog = self._by_backlog(
            serving.astype(np.float64), arrivals_per_second, backlog_before, backlog_after
        )
        return ratio + (1.0 - ratio) * by_backlog

    def replicas_for(self, arrivals_per_second: Values, ratio: float) -> Values:
        """Return the fewest replicas with which at most this share is late, whole numbers.

        Args:
            arrivals_per_second: Constant loads.
            ratio: Allowed share of late requests, in (0, 1).
        """
        highest = float(np.max(arrivals_per_second, initial=0.0))
        self._ensure(math.ceil(2 * highest / self._per_replica) + 4)
        capacities = self._capacities.get(ratio)
        if capacities is None:
            allowed = (self._tails <= ratio).sum(axis=1)
            utilisation = np.maximum(0, allowed - 1) / BINS
            loads = utilisation * np.arange(len(self._tails)) * self._per_replica
            capacities = self._capacities[ratio] = np.maximum.accumulate(loads)
        return np.searchsorted(capacities, arrivals_per_second).astype(np.float64)

    def _by_chance(self, replicas: NDArray[np.int64], arrivals_per_second: float) -> Values:
        self._ensure(int(replicas.max(initial=0)))
        bins = np.minimum(arrivals_per_second * self._scale, BINS - 1).astype(np.int64)
        bins += self._offsets
        by_replicas: Values = self._flat.take(bins)
        return by_replicas.take(replicas)

    def _by_backlog(
        self, serving: Values, arrivals_per_second: Values, before: Values, after: Values
    ) -> Values:
        """Return the share of the step in which the wait behind the backlog exceeds the SLO."""
        capacity = serving * self._per_replica
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            first, last = before / capacity, after / capacity
            higher, lower = np.maximum(first, last), np.minimum(first, last)
            crossing = (higher - self._slo) / (higher - lower)
            share = np.where(lower > self._slo, 1.0, np.where(higher <= self._slo, 0.0, crossing))
            drain = np.minimum(1.0, before / (capacity - arrivals_per_second) / self._step)
            above = np.maximum(0.0, (first - self._slo) / first)
        drained = (after == 0) & (before > 0) & (capacity > arrivals_per_second)
        share = np.where(drained, above * drain, share)
        return np.where(capacity == 0, np.where(after > 0, 1.0, 0.0), share)

    def _ensure(self, replicas: int) -> None:
        if replicas >= len(self._tails):
            self._grow(max(replicas, 2 * len(self._tails)))

    def _grow(self, replicas: int) -> None:
        known = len(self._tails)
        more = [self._row(count) for count in range(known, replicas + 1)]
        self._tails = np.concatenate([self._tails, np.array(more)])
        self._flat = self._tails.reshape(-1)
        counts = np.arange(replicas + 1)
        self._offsets = counts * BINS
        self._scale = np.zeros(replicas + 1)
        self._scale[1:] = BINS / (counts[1:] * self._per_replica)
        self._capacities.clear()

    def _row(self, replicas: int) -> Values:
        """Return the late share for each utilisation; without replicas everything is late."""
        if replicas == 0:
            return np.ones(BINS)
        service = self._service
        servers = replicas * service.concurrency
        variation = 1.0 + service.squared_variation
        most = 1.0 - math.sqrt(service.mean_seconds * variation / (servers * RELAXATION_SECONDS))
        utilisation = np.minimum((np.arange(BINS) + 0.5) / BINS, max(most, 0.5))
        load = utilisation * servers
        falls = (servers - load) / service.mean_seconds * self._slo
        tail = np.exp(-falls * 2.0 / variation)
        if service.squared_variation > 1.0:
            weight = utilisation**2
            tail = (1.0 - weight) * np.exp(-falls) + weight * tail
        result: Values = erlang_c(servers, load) * tail
        return result


def erlang_c(servers: int, load: Values) -> Values:
    """Return the probability that a request has to wait (Erlang's C formula).

    Args:
        servers: Number of servers.
        load: Offered load, Erlangs, below ``servers``.
    """
    # Erlang's B recursion, inverted so that it neither over- nor underflows to zero.
    inverse = np.ones_like(load)
    for count in range(1, servers + 1):
        inverse = 1.0 + inverse * (count / load)
        np.minimum(inverse, 1e300, out=inverse)
    blocked = 1.0 / inverse
    busy = load / servers
    result: Values = blocked / (1.0 - busy * (1.0 - blocked))
    return result
