"""Decision journals of the live service: what ``GET /api/v1/objects/NAMESPACE/NAME`` answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from simulations.errors import SimulationError
from simulations.workload.trace import Trace, Unit


class Decided(msgspec.Struct, frozen=True):
    """A decision of the past.

    Attributes:
        at: Epoch seconds.
        before: Replicas before.
        after: Replicas wanted.
        totals: Total value of each metric; None = it failed.
    """

    at: float
    before: int
    after: int
    totals: dict[str, float | None]


def read_journal(path: Path) -> list[Decided]:
    """Return the decisions of a saved journal, oldest first.

    Raises:
        SimulationError: The file is no journal.
    """
    try:
        document = msgspec.json.decode(path.read_bytes())
        decisions = document["decisions"]
        found = [_decided(item.get("decision", item)) for item in decisions]
    except (OSError, msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise SimulationError(
            f"{path} is no decision journal (the answer of /api/v1/objects/NAMESPACE/NAME): {error}"
        ) from error
    return sorted(found, key=lambda item: item.at)


def trace_of_journal(
    decisions: list[Decided], metric: str, *, step_seconds: float, name: str = ""
) -> Trace:
    """Return a metric's total over time; between two decisions the older value holds.

    A journal keeps only the last of equal decisions in a row, so the series is coarse where nothing
    happened; where the metric failed it is missing.

    Raises:
        SimulationError: The journal never saw the metric.
    """
    known = sorted({key for item in decisions for key in item.totals})
    if metric not in known:
        raise SimulationError(f'no metric "{metric}" in the journal; there are: {", ".join(known)}')
    first, last = decisions[0].at, decisions[-1].at
    steps = max(1, int((last - first) // step_seconds) + 1)
    instants = first + np.arange(steps) * step_seconds
    holds = np.searchsorted([item.at for item in decisions], instants, side="right") - 1
    totals = [item.totals.get(metric) for item in decisions]
    values = np.array([np.nan if total is None else total for total in totals])
    return Trace(
        name=name or metric,
        start_at=first,
        step_seconds=step_seconds,
        values=values[holds],
        unit=Unit.PER_SECOND,
        source="decision journal",
    )


def _decided(raw: dict[str, Any]) -> Decided:
    replicas = raw["currentReplicas"]
    totals: dict[str, float | None] = {}
    for proposal in raw["proposals"]:
        average = proposal["currentMilli"]
        failed = proposal["error"] or average is None
        totals[proposal["metric"]] = None if failed else average / 1000 * max(1, replicas)
    return Decided(raw["at"], replicas, raw["desiredReplicas"], totals)
