"""Results by where they belong, with the seeds of a cell averaged."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from simulations.benchmark.result import Result, Results
from simulations.benchmark.run import ORACLE
from simulations.policies.past import Floats


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """An autoscaler under one trace, start-up and world; means over its seeds.

    Attributes:
        violation_ratio: Share of requests that were late.
        replica_hours: Paid for.
        cost: Replica-hours as a multiple of the oracle's in the same cell.
        actions_per_hour: Changes of the replicas.
        worst_ratio: Highest violation ratio of any five minutes.
        late: Requests by day.
        requests: Requests by day.
        hours: Replica-hours by day.
        violation_range: Lowest and highest of the seeds.
    """

    violation_ratio: float
    replica_hours: float
    cost: float
    actions_per_hour: float
    worst_ratio: float
    late: Floats
    requests: Floats
    hours: Floats
    violation_range: tuple[float, float]


class Cells:
    """All cells.

    Args:
        runs: Of the benchmark.
    """

    def __init__(self, runs: Iterable[Result]) -> None:
        grouped: dict[tuple[str, str, str, str], list[Result]] = {}
        for run in runs:
            key = run.variant, run.profile, run.trace, run.policy
            grouped.setdefault(key, []).append(run)
        self._grouped = grouped
        self.variants = list(dict.fromkeys(key[0] for key in grouped))
        self.profiles = list(dict.fromkeys(key[1] for key in grouped))
        self.traces = sorted(dict.fromkeys(key[2] for key in grouped))
        self.policies = list(dict.fromkeys(key[3] for key in grouped))
        self._cells = {key: self._cell(key) for key in grouped}

    @functools.cached_property
    def of_first_seed(self) -> Cells:
        """The cells without further seeds: what variants, which have one, are compared with."""
        runs = [run for runs in self._grouped.values() for run in runs if not run.seed]
        return Cells(runs)

    def of(self, profile: str, trace: str, policy: str, *, variant: str = "") -> Cell:
        """Return a cell."""
        return self._cells[variant, profile, trace, policy]

    def row(self, profile: str, policy: str, *, variant: str = "") -> list[Cell]:
        """Return the cells of all traces, in order."""
        return [self.of(profile, trace, policy, variant=variant) for trace in self.traces]

    def of_seed(self, profile: str, trace: str, policy: str, seed: int) -> Result:
        """Return a run of the world as it is."""
        runs = self._grouped["", profile, trace, policy]
        return next(run for run in runs if run.seed == seed)

    def _cell(self, key: tuple[str, str, str, str]) -> Cell:
        runs = self._grouped[key]
        oracle = self._grouped[(*key[:3], ORACLE)]
        late, requests, hours = (
            np.mean(
                [[day[column] for day in map(msgspec.structs.astuple, run.days)] for run in runs],
                axis=0,
            )
            for column in range(3)
        )
        violations = [run.violation_ratio for run in runs]
        paid = mean([run.replica_hours for run in runs])
        return Cell(
            violation_ratio=mean(violations),
            replica_hours=paid,
            cost=paid / mean([run.replica_hours for run in oracle]),
            actions_per_hour=mean([run.actions_per_hour for run in runs]),
            worst_ratio=max(run.worst_ratio for run in runs),
            late=late,
            requests=requests,
            hours=hours,
            violation_range=(min(violations), max(violations)),
        )


def cells_of_sets(sets: Results) -> dict[str, Cells]:
    """Return the cells of each other size or service by its name, as worlds of their own."""
    grouped: dict[str, list[Result]] = {}
    for run in sets.runs:
        alone = msgspec.structs.replace(run, variant="")
        grouped.setdefault(run.variant, []).append(alone)
    return {name: Cells(runs) for name, runs in grouped.items()}


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean, added in order."""
    return math.fsum(values) / len(values)
