"""Which share of the requests waits longer than the SLO allows.

Two things make requests wait. The stepped plant knows one: a backlog of requests that capacity
could not serve, whose wait follows from the queue by division. The other is chance, which the
expected arrivals of a step do not show; its share is that of a stationary queue with many servers:

- P(wait) is Erlang's C formula, with steadier service a little less, with more varied one a
  little more;
- the wait of those who wait falls off exponentially in the end, at the rate of a queue with
  exponential service times 2 / (1 + cv2) (Allen and Cunneen 1990; Kingman's heavy-traffic limit);
- it begins to fall off as with exponential service, whatever the distribution: the next of many
  servers to become free hardly depends on it. A sum of two exponentials has that slope at zero and
  that rate in the end; how much weight the end has depends on (1 - utilisation) sqrt(servers).
  The weights were fitted to the referee (4 to 160 servers at 0.7 to 0.95, cv2 0, 0.3, 1.72 and 4:
  within one point of all requests at any wait, two with cv2 4);
- near saturation a queue needs longer to become stationary than load stays the same. Utilisation
  counts only up to where the relaxation time of the limiting diffusion, variance / drift^2, is
  :data:`RELAXATION_SECONDS`, or :data:`RELAXATION_SERVICES` services if those take longer; what is
  above shows in the backlog.

Under services of many steps waits follow the load late (:mod:`simulations.plant.lag`).

Known limit: bursts beyond capacity of services of many steps come out up to 7 points off (bursts of
30 s and two minutes to 0.95 to 1.6 times the capacity, 5 and 20 s services on 10 to 40 servers: 1.4
points on average, nine of ten within 3.5): below the SLO, a backlog has no chance about it.

``tests/simulation/test_fidelity.py`` holds it against the per-request referee.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulations.plant.lag import Follower, followed, lag
from simulations.plant.parameters import Service, Waiting

Values = NDArray[np.float64]

BINS: Final = 2048
"""Steps of the utilisation in the table."""

REPLICAS_MAX: Final = 2048
"""Rows of the table. More replicas are looked up at the same (1 - utilisation) sqrt(servers), on
which P(wait) alone depends in large systems (Halfin and Whitt 1981); what waits there is over
sooner."""

RELAXATION_SECONDS: Final = 30.0
RELAXATION_SERVICES: Final = 150.0

NEGLIGIBLE: Final = -40.0
"""Logarithm of a probability that is as good as zero."""


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
        # Nobody waits longer than the timeout: who would has given up, and is late.
        self._slo = min(waiting.slo_seconds, waiting.timeout_seconds)
        self._step = step_seconds
        self._lag = lag(service, step_seconds)
        self._per_replica = service.requests_per_second
        self._tails = np.zeros((0, BINS))
        self._flat = np.zeros(0)
        self._offsets = np.zeros(0, dtype=np.int64)
        self._scale = np.zeros(0)
        self._last = np.zeros(0)
        self._capacities: dict[float, Values] = {}
        self._grow(min(replicas, REPLICAS_MAX))

    def follow(self, follower: Follower, serving: Values, arrivals_per_second: float) -> None:
        """Take notice of a step of all lanes.

        Args:
            follower: Of the lanes.
            serving: Replicas, whole numbers, per lane.
            arrivals_per_second: Of the step.
        """
        if self._lag is not None:
            replicas = self._known(serving)
            follower.offered = self._lag.offered(follower.offered, arrivals_per_second)
            highest = self._highest(replicas)
            aims, shares = self._lag.aims(replicas, follower.offered, highest)
            follower.utilisation += (aims - follower.utilisation) * shares

    def late_ratio(
        self,
        follower: Follower,
        serving: Values,
        arrivals_per_second: float,
        backlog_before: Values,
        backlog_after: Values,
    ) -> Values:
        """Return the share of a step's requests that will have waited longer than the SLO.

        Those that give up before they are served are among them.

        Args:
            follower: Told of the step already.
            serving: Replicas, whole numbers, per lane.
            arrivals_per_second: Of the step.
            backlog_before: At its beginning, per lane.
            backlog_after: At its end, per lane.
        """
        replicas = self._known(serving)
        if self._lag is not None:
            ratio = self._at(replicas, follower.utilisation * BINS)
        elif (replicas > REPLICAS_MAX).any():
            ratio = self._at(replicas, arrivals_per_second * self._scale_of(replicas))
        else:
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
        """Return the same for all steps of one run that begins without requests."""
        replicas = self._known(serving)
        if self._lag is None:
            bins = arrivals_per_second * self._scale_of(replicas)
        else:
            highest = self._highest(replicas)
            bins = followed(self._lag, replicas, arrivals_per_second, highest) * BINS
        ratio = self._at(replicas, bins)
        by_backlog = self._by_backlog(
            serving.astype(np.float64), arrivals_per_second, backlog_before, backlog_after
        )
        return ratio + (1.0 - ratio) * by_backlog

    def replicas_for(self, arrivals_per_second: Values, ratio: float) -> Values:
        """Return the fewest replicas with which at most this share is late, whole numbers.

        Args:
            arrivals_per_second: Loads, each as if it stayed for ever.
            ratio: Allowed share of late requests, in (0, 1).
        """
        highest = float(np.max(arrivals_per_second, initial=0.0))
        self._known(np.array([min(2 * highest / self._per_replica + 5.0, REPLICAS_MAX)]))
        capacities = self._capacities.get(ratio)
        if capacities is None:
            allowed = (self._tails <= ratio).sum(axis=1)
            utilisation = np.maximum(0, allowed - 1) / BINS
            loads = utilisation * np.arange(len(self._tails)) * self._per_replica
            capacities = self._capacities[ratio] = np.maximum.accumulate(loads)
        found = np.searchsorted(capacities, arrivals_per_second).astype(np.float64)
        beyond = found == len(capacities)
        if beyond.any():
            found[beyond] = self._many_for(arrivals_per_second[beyond], float(capacities[-1]))
        return found

    def _many_for(self, arrivals_per_second: Values, capacity: float) -> Values:
        """Return replicas beyond the table: what must be idle grows with their square root."""
        rows = len(self._tails) - 1
        idle = (rows * self._per_replica - capacity) / math.sqrt(rows)
        each = self._per_replica
        roots = (idle + np.sqrt(idle**2 + 4 * each * arrivals_per_second)) / (2 * each)
        return np.ceil(roots**2)

    def _known(self, serving: Values) -> NDArray[np.int64]:
        """Return whole numbers of replicas, which the table then has rows for."""
        replicas = serving.astype(np.int64)
        highest = min(int(replicas.max(initial=0)), REPLICAS_MAX)
        if highest >= len(self._tails):
            self._grow(min(max(highest, 2 * len(self._tails)), REPLICAS_MAX))
        return replicas

    def _scale_of(self, replicas: NDArray[np.int64]) -> Values:
        """Return bins of the utilisation for each request per second."""
        scale = self._scale[np.minimum(replicas, REPLICAS_MAX)]
        return np.where(
            replicas > REPLICAS_MAX, BINS / (np.maximum(1, replicas) * self._per_replica), scale
        )

    def _highest(self, replicas: NDArray[np.int64]) -> Values:
        """Return up to which utilisation queues become stationary."""
        highest: Values = self._last[np.minimum(replicas, REPLICAS_MAX)] / BINS
        return highest

    def _at(self, replicas: NDArray[np.int64], bins: Values) -> Values:
        """Return the share for a utilisation, in bins, of each element's replicas."""
        rows = np.minimum(replicas, REPLICAS_MAX)
        if (replicas > REPLICAS_MAX).any():
            further = np.sqrt(np.maximum(1, replicas) / np.maximum(1, rows))
            bins = np.maximum(0.0, BINS - (BINS - bins) * further)
        columns = np.minimum(bins, self._last[rows]).astype(np.int64)
        ratio: Values = self._tails[rows, columns]
        return ratio

    def _by_chance(self, replicas: NDArray[np.int64], arrivals_per_second: float) -> Values:
        """Return the share under one load; a number per replica count is looked up only once."""
        bins = np.minimum(arrivals_per_second * self._scale, self._last).astype(np.int64)
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

    def _grow(self, replicas: int) -> None:
        known = len(self._tails)
        more = [self._row(count) for count in range(known, replicas + 1)]
        self._tails = np.concatenate([self._tails, np.array(more)])
        self._flat = self._tails.reshape(-1)
        counts = np.arange(replicas + 1)
        self._offsets = counts * BINS
        self._scale = np.zeros(replicas + 1)
        self._scale[1:] = BINS / (counts[1:] * self._per_replica)
        self._last = self._stationary_until(counts)
        self._capacities.clear()

    def _stationary_until(self, counts: NDArray[np.int64]) -> Values:
        """Return the last step of the utilisation that counts, for each number of replicas."""
        service = self._service
        relaxation = max(RELAXATION_SECONDS, RELAXATION_SERVICES * service.mean_seconds)
        variance = service.mean_seconds * (1.0 + service.squared_variation)
        servers = np.maximum(1, counts) * service.concurrency
        most = BINS * (1.0 - np.sqrt(variance / (servers * relaxation)))
        last = np.clip(most.astype(np.int64), BINS // 2, BINS - 1)
        # Whole steps are uneven: more replicas must not be later than fewer where both are full.
        late = 1.0
        for count, tails in enumerate(self._tails):
            allowed = int(np.searchsorted(tails, late, side="right")) - 1
            last[count] = min(last[count], allowed)
            late = tails[last[count]]
        return last.astype(np.float64)

    def _row(self, replicas: int) -> Values:
        """Return the late share for each utilisation; without replicas everything is late."""
        if replicas == 0:
            return np.ones(BINS)
        service = self._service
        servers = replicas * service.concurrency
        utilisation = (np.arange(BINS) + 0.5) / BINS
        falls = (1.0 - utilisation) * (servers * self._slo / service.mean_seconds)
        distance = (1.0 - utilisation) * math.sqrt(servers)
        cv2 = service.squared_variation
        waits = erlang_c(servers, utilisation * servers)
        if cv2 == 1.0:
            return waits * np.exp(-falls)
        if cv2 < 1.0:
            wait_trend, weight_trend = -0.085 * (1.0 - cv2), 0.32 * (1.0 - math.sqrt(cv2))
        else:
            wait_trend, weight_trend = min(0.1, 0.034 * (cv2 - 1.0)), -0.33 * math.sqrt(cv2 - 1.0)
        waits *= np.exp(wait_trend * distance)
        end = 2.0 / (1.0 + cv2)
        weight = np.exp(weight_trend * distance)
        begin = (1.0 - end * weight) / (1.0 - weight)
        tail = weight * np.exp(-end * falls) + (1.0 - weight) * np.exp(-begin * falls)
        return waits * tail


def erlang_c(servers: int, load: Values) -> Values:
    """Return the probability that a request has to wait (Erlang's C formula).

    Args:
        servers: Number of servers.
        load: Offered load, Erlangs, above zero and below ``servers``, ascending.
    """
    # As a Poisson probability over a Poisson tail; the usual recursion over the servers would make
    # large tables quadratically expensive.
    exactly = servers * np.log(load) - load - math.lgamma(servers + 1)
    first = int(np.searchsorted(exactly, NEGLIGIBLE))
    result = np.zeros_like(load)
    load = load[first:]
    more = np.zeros_like(load)
    for count in range(_terms(servers), 0, -1):
        more += 1.0
        more *= load / (servers + count)
    full = np.exp(exactly[first:])
    queued = full / (1.0 - load / servers)
    result[first:] = queued / (1.0 - full * (1.0 + more) + queued)
    return result


def _terms(servers: int) -> int:
    """Return how many terms of the Poisson tail above this number count."""
    return math.ceil(-NEGLIGIBLE + math.sqrt(NEGLIGIBLE**2 - 2.0 * NEGLIGIBLE * servers))
