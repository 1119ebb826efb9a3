"""Tiers as one application: what its users get and what all of it costs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from simulations.engine.run import Run
from simulations.score.score import DayScore, Score, late_per_step, worst_ratio

Floats = NDArray[np.float64]


def visits_of(upstream: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return how many requests each tier gets for one of the workload.

    Args:
        upstream: By tier, those upstream of it and the requests that each of theirs makes here;
            tiers come after those upstream. One without any gets the workload.
    """
    visits: dict[str, float] = {}
    for name, makes in upstream.items():
        through = sum(visits[one] * requests for one, requests in makes.items())
        visits[name] = through if makes else 1.0
    return visits


def total_score(
    name: str, scores: Mapping[str, Score], runs: Mapping[str, Run], visits: Mapping[str, float]
) -> Score:
    """Return the tiers as one.

    Costs add up. A request of a user is late when one of those it makes is late in its tier, and
    gives up when one does; in a step they are taken to be independent of each other. Waits and
    elasticity are those of the tier with the most late requests.

    Args:
        name: Of the whole.
        scores: By tier.
        runs: By tier, over the same steps.
        visits: By tier, requests there for one of the workload.
    """
    worst = max(scores.values(), key=lambda item: item.violation_ratio)
    if len(scores) == 1:
        return replace(worst, name=name)
    outer = next(runs[tier] for tier in runs if visits[tier] == 1.0)
    from_step = outer.steps - round(worst.seconds / outer.step_seconds)
    requests = np.where(outer.known, outer.requests, 0.0)
    late = requests * _at_least_one(
        {tier: _ratio(late_per_step(run), run.requests) for tier, run in runs.items()}, visits
    )
    dropped = requests * _at_least_one(
        {tier: _ratio(run.dropped, run.arrivals) for tier, run in runs.items()}, visits
    )
    parts = list(scores.values())
    return replace(
        worst,
        name=name,
        requests=float(requests[from_step:].sum()),
        late=float(late[from_step:].sum()),
        dropped=float(dropped[from_step:].sum()),
        worst_ratio=worst_ratio(late[from_step:], requests[from_step:], outer.step_seconds),
        replica_hours=sum(item.replica_hours for item in parts),
        node_hours=sum(item.node_hours for item in parts),
        cost=sum(item.cost for item in parts),
        mean_replicas=sum(item.mean_replicas for item in parts),
        peak_replicas=sum(item.peak_replicas for item in parts),
        changes=sum(item.changes for item in parts),
        created=sum(item.created for item in parts),
        decisions=sum(item.decisions for item in parts),
        days=_days(parts, requests[from_step:], late[from_step:], outer.step_seconds),
    )


def _ratio(hit: Floats, requests: Floats) -> Floats:
    ratio = np.divide(hit, requests, out=np.zeros(len(hit)), where=requests > 0)
    return np.minimum(ratio, 1.0)


def _at_least_one(ratios: Mapping[str, Floats], visits: Mapping[str, float]) -> Floats:
    """Return, per step, the chance that of the requests one of a user makes at least one is hit."""
    spared = [(1.0 - ratio) ** visits[tier] for tier, ratio in ratios.items()]
    hit: Floats = 1.0 - np.prod(spared, axis=0)
    return hit


def _days(
    parts: list[Score], requests: Floats, late: Floats, step_seconds: float
) -> tuple[DayScore, ...]:
    """Return days: as those of the tiers, with the requests of users."""
    first = parts[0].days
    edges = [round((day.begin_at - first[0].begin_at) / step_seconds) for day in first]
    return tuple(
        DayScore(
            begin_at=day.begin_at,
            requests=float(requests[begin:end].sum()),
            late=float(late[begin:end].sum()),
            replica_hours=sum(part.days[number].replica_hours for part in parts),
            cost=sum(part.days[number].cost for part in parts),
        )
        for number, (day, begin, end) in enumerate(
            zip(first, edges, [*edges[1:], len(requests)], strict=True)
        )
    )
