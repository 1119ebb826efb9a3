"""What is kept of many lanes: sums as the run goes on, never a value per step and lane."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from simulations.engine.view import Values
from simulations.plant.lag import Follower
from simulations.plant.lane_tier import LaneTier
from simulations.plant.lateness import LatenessTable
from simulations.plant.parameters import Plant

WORST_SECONDS: Final = 300
"""Length of the interval whose violation ratio is reported as the worst."""

DAY_SECONDS: Final = 86_400


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the scored steps, one element per lane; of days ``[days, lanes]``.

    Attributes:
        name: Of the group of lanes.
        seconds: Scored time.
        requests: Expected arrivals.
        late: Requests that waited longer than the SLO allows, those that gave up among them.
        dropped: Requests that gave up.
        replica_seconds: Pods paid for, start-up and drain included.
        changes: Changes of the replicas.
        created: Pods created.
        worst_ratio: Highest violation ratio of any five minutes.
        day_late: Late requests per day since the start of scoring.
        day_requests: Expected arrivals per day (one number per day).
        day_replica_seconds: Pods paid for per day.
    """

    name: str
    seconds: float
    requests: float
    late: Values
    dropped: Values
    replica_seconds: Values
    changes: Values
    created: Values
    worst_ratio: Values
    day_late: Values
    day_requests: Values
    day_replica_seconds: Values

    @property
    def violation_ratio(self) -> Values:
        """Share of requests that were late."""
        return self.late / max(self.requests, 1e-12)

    @property
    def replica_hours(self) -> Values:
        """Pods paid for."""
        return self.replica_seconds / 3600


class Ledger:
    """Adds up what lanes do.

    Args:
        plant: Of all lanes.
        lateness: Of the plant; None = nobody asks who is late.
        lanes: Number of lanes.
        step_seconds: Length of a step.
        day_seconds: Length of what counts as a day.
    """

    def __init__(
        self,
        plant: Plant,
        lateness: LatenessTable | None,
        *,
        lanes: int,
        step_seconds: float,
        day_seconds: float = DAY_SECONDS,
    ) -> None:
        self._lateness = lateness
        self._drain_seconds = plant.termination.drain_seconds
        self._step_seconds = step_seconds
        self._bucket_steps = max(1, round(WORST_SECONDS / step_seconds))
        self._day_steps = max(1, round(day_seconds / step_seconds))
        self._follower = Follower(0.0, np.zeros(lanes))
        self._before = np.zeros(lanes)
        self._pods = np.zeros(lanes)
        self._late = np.zeros(lanes)
        self._dropped = np.zeros(lanes)
        self.changes = np.zeros(lanes)
        self._worst = np.zeros(lanes)
        self._bucket_requests = 0.0
        self._bucket_late = np.zeros(lanes)
        self._requests = 0.0
        self._steps = 0
        self._days_closed_at = 0
        self._drained_before = np.zeros(lanes)
        self._created_before = np.zeros(lanes)
        self._days: list[tuple[float, Values, Values]] = []

    def start(self, tier: LaneTier) -> None:
        """Note the state before the first scored step; its decisions count already."""
        np.copyto(self._drained_before, tier.drained)
        np.copyto(self._created_before, tier.created)

    def follow(self, tier: LaneTier, arrivals: float) -> None:
        """Take notice of a step, scored or not, that was served."""
        if self._lateness is not None:
            self._lateness.follow(self._follower, tier.serving, arrivals / self._step_seconds)

    def before(self, tier: LaneTier) -> None:
        """Note the state before a scored step is served."""
        np.copyto(self._before, tier.backlog)

    def after(self, tier: LaneTier, arrivals: float, *, known: bool) -> None:
        """Add a step that was served; requests of an unknown load are not scored, pods are."""
        self._pods += tier.replicas
        if known:
            ratio = self._late_ratio(tier, arrivals)
            np.multiply(ratio, arrivals, out=ratio)
            # Whoever found the buffer full has not waited at all.
            np.maximum(ratio, tier.dropped, out=ratio)
            np.minimum(ratio, arrivals, out=ratio)
            self._late += ratio
            self._dropped += tier.dropped
            self._requests += arrivals
        self._steps += 1
        if self._steps % self._bucket_steps == 0:
            self._close_bucket()
        if self._steps % self._day_steps == 0:
            self._close_day(tier)

    def _late_ratio(self, tier: LaneTier, arrivals: float) -> Values:
        if self._lateness is None:
            return np.zeros(len(self._late))
        return self._lateness.late_ratio(
            self._follower,
            tier.serving,
            arrivals / self._step_seconds,
            self._before,
            tier.backlog,
        )

    def totals(self, tier: LaneTier, name: str, lanes: slice) -> Totals:
        """Return the sums of some lanes."""
        if self._days_closed_at < self._steps:
            self._close_day(tier)
        self._close_bucket()
        seconds = self._paid_seconds(tier)[lanes]
        return Totals(
            name=name,
            seconds=self._steps * self._step_seconds,
            requests=self._requests,
            late=self._late[lanes].copy(),
            dropped=self._dropped[lanes].copy(),
            replica_seconds=seconds,
            changes=self.changes[lanes].copy(),
            created=(tier.created - self._created_before)[lanes],
            worst_ratio=self._worst[lanes].copy(),
            day_late=self._per_day(1)[:, lanes],
            day_requests=np.diff([0.0, *(day[0] for day in self._days)]),
            day_replica_seconds=self._per_day(2)[:, lanes],
        )

    def _per_day(self, column: int) -> Values:
        sums = np.array([day[column] for day in self._days])
        return np.diff(sums, axis=0, prepend=0.0)

    def _paid_seconds(self, tier: LaneTier) -> Values:
        drained = tier.drained - self._drained_before
        return self._pods * self._step_seconds + drained * self._drain_seconds

    def _close_bucket(self) -> None:
        requests = self._requests - self._bucket_requests
        if requests > 0:
            ratio = (self._late - self._bucket_late) / requests
            np.maximum(self._worst, ratio, out=self._worst)
        self._bucket_requests = self._requests
        self._bucket_late = self._late.copy()

    def _close_day(self, tier: LaneTier) -> None:
        self._days_closed_at = self._steps
        self._days.append((self._requests, self._late.copy(), self._paid_seconds(tier)))
