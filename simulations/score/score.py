"""The figures of one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulations.engine.run import Run
from simulations.plant.lateness import LatenessTable

Floats = NDArray[np.float64]

WORST_SECONDS: Final = 300.0
DAY_SECONDS: Final = 86_400.0
DEMAND_LATE_RATIO: Final = 0.005
"""The demand curve of the elasticity metrics: replicas with which this share is late."""


class DayScore(msgspec.Struct, frozen=True, kw_only=True):
    """One day since the beginning of scoring."""

    requests: float
    late: float
    replica_hours: float
    cost: float


class Elasticity(msgspec.Struct, frozen=True, kw_only=True):
    """SPEC RG elasticity metrics (SPEC-RG-2016-01), in percent; diagnostics, not for ranking.

    Attributes:
        theta_u: Mean shortage relative to the demand.
        theta_o: Mean surplus relative to the demand.
        tau_u: Share of the time with too few replicas.
        tau_o: Share of the time with too many.
        instability: Share of the time in which supply and demand change in different directions.
    """

    theta_u: float
    theta_o: float
    tau_u: float
    tau_o: float
    instability: float


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one run, over its scored steps.

    Attributes:
        name: Of the policy or tier.
        seconds: Scored time.
        requests: Expected arrivals of steps with a known load.
        late: Requests that waited longer than the SLO allows, those that gave up among them.
        dropped: Requests that gave up.
        replica_hours: Pods paid for, start-up and drain included.
        node_hours: Nodes paid for.
        cost: Both at their prices.
        mean_replicas: Over the time.
        peak_replicas: Highest.
        changes: Changes of the replicas.
        decisions: How often the autoscaler decided.
        worst_ratio: Highest violation ratio of any five minutes.
        wait_p95_seconds: 95th percentile of the wait behind the backlog, by request.
        wait_p99_seconds: 99th percentile.
        elasticity: Diagnostics.
        days: Per day.
    """

    name: str
    seconds: float
    requests: float
    late: float
    dropped: float
    replica_hours: float
    node_hours: float
    cost: float
    mean_replicas: float
    peak_replicas: int
    changes: int
    decisions: int
    worst_ratio: float
    wait_p95_seconds: float
    wait_p99_seconds: float
    elasticity: Elasticity
    days: tuple[DayScore, ...] = ()

    @property
    def violation_ratio(self) -> float:
        """Share of late requests, 0..1."""
        return self.late / self.requests if self.requests else 0.0

    @property
    def changes_per_hour(self) -> float:
        """Changes of the replicas per hour."""
        return self.changes / self.seconds * 3600 if self.seconds else 0.0


def late_per_step(run: Run, table: LatenessTable | None = None) -> Floats:
    """Return the late requests of every step, 0 where the load is not known."""
    table = table or table_of(run)
    before = np.concatenate([[0.0], run.backlog[:-1]])
    ratios = table.late_ratios(
        run.serving.astype(np.float64), run.arrivals / run.step_seconds, before, run.backlog
    )
    return np.where(run.known, ratios * run.arrivals, 0.0)


def table_of(run: Run) -> LatenessTable:
    """Return the lateness model of a run's plant."""
    return LatenessTable(
        run.plant.service,
        run.plant.waiting,
        step_seconds=run.step_seconds,
        replicas=int(run.serving.max(initial=1)),
    )


def score(
    run: Run, *, from_step: int = 0, name: str = "", table: LatenessTable | None = None
) -> Score:
    """Return the figures of a run.

    Args:
        run: What happened.
        from_step: Steps before it are warm-up.
        name: The run's own when empty.
        table: Of the plant, if there is one already.
    """
    table = table or table_of(run)
    late = late_per_step(run, table)[from_step:]
    requests = np.where(run.known, run.arrivals, 0.0)[from_step:]
    hours = run.step_seconds / 3600
    drained = run.drained[from_step:] * (run.plant.termination.drain_seconds / 3600)
    replica_hours = run.pods[from_step:] * hours + drained
    node_hours = run.nodes[from_step:] * hours
    prices = run.plant.prices
    cost = replica_hours * prices.replica_hour + node_hours * prices.node_hour
    p95, p99 = _waits(run, requests, from_step)
    changes = [change for change in run.changes if change.step >= from_step and change.succeeded]
    steps = run.steps - from_step
    return Score(
        name=name or run.name,
        seconds=steps * run.step_seconds,
        requests=float(requests.sum()),
        late=float(late.sum()),
        dropped=float(np.where(run.known, run.dropped, 0.0)[from_step:].sum()),
        replica_hours=float(replica_hours.sum()),
        node_hours=float(node_hours.sum()),
        cost=float(cost.sum()),
        mean_replicas=float(run.replicas[from_step:].mean()),
        peak_replicas=int(run.replicas[from_step:].max()),
        changes=len(changes),
        decisions=run.decisions,
        worst_ratio=_worst(late, requests, run.step_seconds),
        wait_p95_seconds=p95,
        wait_p99_seconds=p99,
        elasticity=elasticity(run, table, from_step=from_step),
        days=_days(requests, late, replica_hours, cost, run.step_seconds),
    )


def demand(run: Run, table: LatenessTable) -> Floats:
    """Return the fewest replicas that would have met the SLO at the load of each step."""
    return table.replicas_for(run.arrivals / run.step_seconds, DEMAND_LATE_RATIO)


def elasticity(run: Run, table: LatenessTable, *, from_step: int = 0) -> Elasticity:
    """Return the SPEC RG metrics of a run against :func:`demand`; at no demand nothing lacks."""
    wanted = demand(run, table)[from_step:]
    supply = run.serving[from_step:].astype(np.float64)
    divisor = np.maximum(wanted, 1.0)
    differs = np.sign(np.diff(supply)) != np.sign(np.diff(wanted))
    return Elasticity(
        theta_u=100 * float((np.maximum(wanted - supply, 0.0) / divisor).mean()),
        theta_o=100 * float((np.maximum(supply - wanted, 0.0) / divisor).mean()),
        tau_u=100 * float((supply < wanted).mean()),
        tau_o=100 * float((supply > wanted).mean()),
        instability=100 * float(differs.mean()) if len(differs) else 0.0,
    )


def _worst(late: Floats, requests: Floats, step_seconds: float) -> float:
    width = max(1, round(WORST_SECONDS / step_seconds))
    edges = np.arange(0, len(late), width)
    sums = np.add.reduceat(requests, edges)
    ratios = np.zeros(len(edges))
    np.divide(np.add.reduceat(late, edges), sums, out=ratios, where=sums > 0)
    return float(ratios.max(initial=0.0))


def _waits(run: Run, requests: Floats, from_step: int) -> tuple[float, float]:
    """Return percentiles of the wait behind the backlog at the end of each request's step."""
    capacity = run.capacity[from_step:] / run.step_seconds
    waits = np.full(len(capacity), run.plant.waiting.timeout_seconds)
    np.divide(run.backlog[from_step:], capacity, out=waits, where=capacity > 0)
    waits = np.minimum(waits, run.plant.waiting.timeout_seconds)
    waits = np.where(run.backlog[from_step:] > 0, waits, 0.0)
    total = requests.sum()
    if total <= 0:
        return 0.0, 0.0
    order = np.argsort(waits, kind="stable")
    shares = np.cumsum(requests[order]) / total
    found = np.minimum(np.searchsorted(shares, [0.95, 0.99]), len(order) - 1)
    p95, p99 = waits[order[found]].tolist()
    return p95, p99


def _days(
    requests: Floats, late: Floats, replica_hours: Floats, cost: Floats, step_seconds: float
) -> tuple[DayScore, ...]:
    width = max(1, round(DAY_SECONDS / step_seconds))
    return tuple(
        DayScore(
            requests=float(requests[begin : begin + width].sum()),
            late=float(late[begin : begin + width].sum()),
            replica_hours=float(replica_hours[begin : begin + width].sum()),
            cost=float(cost[begin : begin + width].sum()),
        )
        for begin in range(0, len(requests), width)
    )


def mean_score(scores: Sequence[Score]) -> Score:
    """Return the mean of the scores of several seeds; peaks and worst values are the worst of all.

    Days are the mean of the same day of each seed.
    """
    first = scores[0]
    if len(scores) == 1:
        return first

    def mean(field: str) -> float:
        return float(np.mean([getattr(item, field) for item in scores]))

    names = ("theta_u", "theta_o", "tau_u", "tau_o", "instability")
    return Score(
        name=first.name,
        seconds=first.seconds,
        requests=mean("requests"),
        late=mean("late"),
        dropped=mean("dropped"),
        replica_hours=mean("replica_hours"),
        node_hours=mean("node_hours"),
        cost=mean("cost"),
        mean_replicas=mean("mean_replicas"),
        peak_replicas=max(item.peak_replicas for item in scores),
        changes=round(mean("changes")),
        decisions=round(mean("decisions")),
        worst_ratio=max(item.worst_ratio for item in scores),
        wait_p95_seconds=mean("wait_p95_seconds"),
        wait_p99_seconds=mean("wait_p99_seconds"),
        elasticity=Elasticity(
            **{
                name: float(np.mean([getattr(item.elasticity, name) for item in scores]))
                for name in names
            }
        ),
        days=tuple(
            DayScore(
                **{
                    name: float(np.mean([getattr(day, name) for day in days]))
                    for name in ("requests", "late", "replica_hours", "cost")
                }
            )
            for days in zip(*(item.days for item in scores), strict=True)
        ),
    )
