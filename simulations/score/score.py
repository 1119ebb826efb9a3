"""The figures of one run."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulations.engine.run import Run
from simulations.errors import SimulationError
from simulations.plant.lateness import LatenessTable
from simulations.plant.parameters import Service, Waiting

Floats = NDArray[np.float64]

WORST_SECONDS: Final = 300.0
DAY_SECONDS: Final = 86_400.0
DEMAND_LATE_RATIO: Final = 0.005
"""The demand curve of the elasticity metrics: replicas with which this share is late."""


class Lateness(Protocol):
    """Says which share of the requests is late, and how many replicas keep it low."""

    def late_ratios(
        self,
        serving: Floats,
        arrivals_per_second: Floats,
        backlog_before: Floats,
        backlog_after: Floats,
    ) -> Floats:
        """Return the share of late requests of every step, 0..1."""
        ...

    def replicas_for(self, arrivals_per_second: Floats, ratio: float) -> Floats:
        """Return the fewest replicas with which at most this share is late."""
        ...


class DayScore(msgspec.Struct, frozen=True, kw_only=True):
    """A day; see :class:`Score` for its figures.

    Attributes:
        begin_at: First scored instant in it, epoch seconds.
    """

    begin_at: float
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
        requests: Expected arrivals of steps with a known load, each request once however often it
            is tried.
        late: Requests whose first try waited longer than the SLO allows, or gave up.
        dropped: Those of them that gave up.
        replica_hours: Pods paid for, start-up and drain included.
        node_hours: Nodes paid for.
        cost: Both at their prices.
        mean_replicas: Over the time.
        peak_replicas: Highest.
        changes: Changes of the replicas.
        created: Pods created.
        decisions: How often the autoscaler decided.
        worst_ratio: Highest violation ratio of the five-minute intervals since scoring began.
        wait_p95_seconds: 95th percentile of the wait behind the backlog, by request.
        wait_p99_seconds: 99th percentile.
        elasticity: Diagnostics.
        days: Per 24 hours since scoring began; the last may be shorter.
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
    created: int
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


def late_per_step(run: Run, table: Lateness | None = None) -> Floats:
    """Return the late requests of every step, 0 where the load is not known."""
    table = table or table_of(run)
    before = np.concatenate([[0.0], run.backlog[:-1]])
    ratios = table.late_ratios(
        run.serving.astype(np.float64), run.arrivals / run.step_seconds, before, run.backlog
    )
    late = np.minimum(run.arrivals, np.maximum(ratios * run.arrivals, run.dropped))
    return np.where(run.known, late * _first_tries(run), 0.0)


def _first_tries(run: Run) -> Floats:
    """Return their share of the arrivals; all attempts wait in the same queue, and alike."""
    return np.divide(run.requests, run.arrivals, out=np.ones(run.steps), where=run.arrivals > 0)


def cost_per_step(run: Run) -> Floats:
    """Return the cost of every step."""
    return _columns(run, table_of(run)).cost


def table_of(run: Run) -> LatenessTable:
    """Return the lateness model of a run's plant."""
    most = int(run.serving.max(initial=1))
    return _table(run.plant.service, run.plant.waiting, run.step_seconds, most)


@functools.lru_cache(maxsize=4)
def _table(service: Service, waiting: Waiting, step_seconds: float, replicas: int) -> LatenessTable:
    """Build a model, which takes longer than anything it is asked; it only grows by its use."""
    return LatenessTable(service, waiting, step_seconds=step_seconds, replicas=replicas)


class _Columns(msgspec.Struct, frozen=True):
    """What adds up, one value per step."""

    requests: Floats
    late: Floats
    replica_hours: Floats
    cost: Floats

    def sums(self, begin_at: float, begin: int, end: int) -> DayScore:
        """Return the sums over some steps."""
        return DayScore(
            begin_at=begin_at,
            requests=float(self.requests[begin:end].sum()),
            late=float(self.late[begin:end].sum()),
            replica_hours=float(self.replica_hours[begin:end].sum()),
            cost=float(self.cost[begin:end].sum()),
        )


def score(run: Run, *, from_step: int = 0, name: str = "", table: Lateness | None = None) -> Score:
    """Return the figures of a run.

    Requests of steps with an unknown load are not scored; pods and nodes are paid for all the same.

    Args:
        run: What happened.
        from_step: Steps before it are warm-up.
        name: The run's own when empty.
        table: Of the plant, if there is one already.

    Raises:
        SimulationError: No step is scored.
    """
    if not 0 <= from_step < run.steps:
        raise SimulationError(
            f"{run.name}: scoring begins at step {from_step}, must be one of 0 to {run.steps - 1}",
            field="score_from_seconds",
        )
    table = table or table_of(run)
    columns = _columns(run, table)
    scored = slice(from_step, None)
    requests, late = columns.requests[scored], columns.late[scored]
    p95, p99 = _waits(run, requests, from_step)
    changes = [change for change in run.changes if change.step >= from_step and change.succeeded]
    return Score(
        name=name or run.name,
        seconds=(run.steps - from_step) * run.step_seconds,
        requests=float(requests.sum()),
        late=float(late.sum()),
        dropped=float(np.where(run.known, run.dropped * _first_tries(run), 0.0)[scored].sum()),
        replica_hours=float(columns.replica_hours[scored].sum()),
        node_hours=float(run.nodes[scored].sum()) * run.step_seconds / 3600,
        cost=float(columns.cost[scored].sum()),
        mean_replicas=float(run.replicas[scored].mean()),
        peak_replicas=int(run.replicas[scored].max()),
        changes=len(changes),
        created=int(run.created[scored].sum()),
        decisions=run.decisions,
        worst_ratio=worst_ratio(late, requests, run.step_seconds),
        wait_p95_seconds=p95,
        wait_p99_seconds=p99,
        elasticity=elasticity(run, table, from_step=from_step),
        days=_days(run, columns, from_step),
    )


def utc_days(
    run: Run, *, from_step: int = 0, table: Lateness | None = None
) -> tuple[DayScore, ...]:
    """Return the scored steps of a run by calendar day, UTC; the first and last may be shorter."""
    columns = _columns(run, table or table_of(run))
    days = (run.start_at + np.arange(from_step, run.steps) * run.step_seconds) // DAY_SECONDS
    begins = [from_step, *(np.flatnonzero(np.diff(days)) + from_step + 1).tolist()]
    return _between(run, columns, begins)


def _columns(run: Run, table: Lateness) -> _Columns:
    hours = run.step_seconds / 3600
    drain_hours = run.plant.termination.drain_seconds / 3600
    replica_hours = run.pods * hours + run.drained * drain_hours
    prices = run.plant.prices
    return _Columns(
        requests=np.where(run.known, run.requests, 0.0),
        late=late_per_step(run, table),
        replica_hours=replica_hours,
        cost=replica_hours * prices.replica_hour + run.nodes * hours * prices.node_hour,
    )


def _days(run: Run, columns: _Columns, from_step: int) -> tuple[DayScore, ...]:
    width = max(1, round(DAY_SECONDS / run.step_seconds))
    return _between(run, columns, list(range(from_step, run.steps, width)))


def _between(run: Run, columns: _Columns, begins: list[int]) -> tuple[DayScore, ...]:
    return tuple(
        columns.sums(run.start_at + begin * run.step_seconds, begin, end)
        for begin, end in zip(begins, [*begins[1:], run.steps], strict=True)
    )


def demand(run: Run, table: Lateness) -> Floats:
    """Return the fewest replicas that would have met the SLO at the load of each step."""
    return table.replicas_for(run.arrivals / run.step_seconds, DEMAND_LATE_RATIO)


def elasticity(run: Run, table: Lateness, *, from_step: int = 0) -> Elasticity:
    """Return the SPEC RG metrics of a run against :func:`demand`, over the steps of known load.

    Where nothing is demanded, shortage and surplus are relative to one replica.
    """
    known = run.known[from_step:]
    wanted = demand(run, table)[from_step:]
    supply = run.serving[from_step:].astype(np.float64)
    divisor = np.maximum(wanted, 1.0)
    differs = np.sign(np.diff(supply)) != np.sign(np.diff(wanted))
    return Elasticity(
        theta_u=_percent((np.maximum(wanted - supply, 0.0) / divisor)[known]),
        theta_o=_percent((np.maximum(supply - wanted, 0.0) / divisor)[known]),
        tau_u=_percent((supply < wanted)[known]),
        tau_o=_percent((supply > wanted)[known]),
        instability=_percent(differs[known[1:] & known[:-1]]),
    )


def _percent(values: Floats | NDArray[np.bool_]) -> float:
    return 100 * float(values.mean()) if len(values) else 0.0


def worst_ratio(late: Floats, requests: Floats, step_seconds: float) -> float:
    """Return the highest share of late requests of the five-minute intervals since the start.

    Args:
        late: Requests per step.
        requests: Requests per step.
        step_seconds: Length of a step.
    """
    width = max(1, round(WORST_SECONDS / step_seconds))
    edges = np.arange(0, len(late), width)
    sums = np.add.reduceat(requests, edges)
    ratios = np.zeros(len(edges))
    np.divide(np.add.reduceat(late, edges), sums, out=ratios, where=sums > 0)
    return float(ratios.max(initial=0.0))


def _waits(run: Run, requests: Floats, from_step: int) -> tuple[float, float]:
    """Return percentiles of the wait behind the backlog at the end of each request's step.

    First come, first served: the wait ends when what could be served since then is the backlog.
    """
    timeout, backlog = run.plant.waiting.timeout_seconds, run.backlog[from_step:]
    could = np.concatenate([[0.0], np.cumsum(run.capacity[from_step:])])
    ends = np.arange(1, len(could))
    cleared = np.searchsorted(could, could[1:] + backlog, side="left")
    last = np.minimum(cleared, len(could) - 1)
    served = could[last] - could[last - 1]
    # Within the step in which the backlog is gone, it went evenly.
    rest = np.divide(
        could[last] - could[1:] - backlog, served, out=np.zeros(len(last)), where=served > 0
    )
    waits = (last - ends - rest) * run.step_seconds
    waits = np.where(cleared >= len(could), timeout, np.clip(waits, 0.0, timeout))
    waits = np.where(backlog > 0, waits, 0.0)
    total = requests.sum()
    if total <= 0:
        return 0.0, 0.0
    order = np.argsort(waits, kind="stable")
    shares = np.cumsum(requests[order]) / total
    found = np.minimum(np.searchsorted(shares, [0.95, 0.99]), len(order) - 1)
    p95, p99 = waits[order[found]].tolist()
    return p95, p99


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
        created=round(mean("created")),
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
                    for name in ("begin_at", "requests", "late", "replica_hours", "cost")
                }
            )
            for days in zip(*(item.days for item in scores), strict=True)
        ),
    )
