"""What the benchmark measures of one run, and all of it in a file."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Final

import msgspec

from simulations.engine.lane_totals import Totals

DECIMALS: Final = 3
"""Of all figures in files; far below the differences between seeds."""


class Day(msgspec.Struct, frozen=True, array_like=True):
    """A scored day.

    Attributes:
        late: Requests that waited longer than the SLO allows or gave up.
        requests: Expected arrivals.
        replica_hours: Paid for.
    """

    late: float
    requests: float
    replica_hours: float


class Result(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One run of one autoscaler.

    Attributes:
        trace: Its load.
        profile: Its start-up.
        policy: The autoscaler.
        seed: Of its start-up delays and counted arrivals.
        variant: Of the world; empty = as it is.
        seconds: Scored.
        requests: Expected arrivals.
        late: Waited longer than the SLO allows or gave up.
        dropped: Gave up.
        replica_hours: Paid for, start-up and drain included.
        changes: Of the replicas.
        created: Pods created.
        worst_ratio: Highest violation ratio of any five minutes.
        days: In order; the last may be short.
    """

    trace: str
    profile: str
    policy: str
    seed: int
    seconds: float
    requests: float
    late: float
    dropped: float
    replica_hours: float
    changes: float
    created: float
    worst_ratio: float
    days: tuple[Day, ...]
    variant: str = ""

    @property
    def violation_ratio(self) -> float:
        """Share of the requests that were late, or gave up."""
        return self.late / self.requests

    @property
    def actions_per_hour(self) -> float:
        """Changes of the replicas per hour."""
        return self.changes / (self.seconds / 3600)


def result_of(totals: Totals, lane: int, **where: Any) -> Result:
    """Return what one lane did.

    Args:
        totals: Of its group.
        lane: Its position there.
        where: Trace, profile, policy, seed and variant.
    """
    columns = zip(
        totals.day_late[:, lane].tolist(),
        totals.day_requests.tolist(),
        (totals.day_replica_seconds[:, lane] / 3600).tolist(),
        strict=True,
    )
    return Result(
        seconds=totals.seconds,
        requests=_rounded(totals.requests),
        late=_rounded(totals.late[lane]),
        dropped=_rounded(totals.dropped[lane]),
        replica_hours=_rounded(totals.replica_seconds[lane] / 3600),
        changes=float(totals.changes[lane]),
        created=float(totals.created[lane]),
        worst_ratio=round(float(totals.worst_ratio[lane]), 2 * DECIMALS),
        days=tuple(Day(*map(_rounded, column)) for column in columns),
        **where,
    )


def _rounded(value: float) -> float:
    return round(float(value), DECIMALS)


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """All runs.

    Attributes:
        runs: In the order of parts, policies and lanes.
        columns: Fields of a run, and of a day within it.
    """

    runs: tuple[Result, ...]
    columns: tuple[str, ...] = Result.__struct_fields__
    day_columns: tuple[str, ...] = Day.__struct_fields__


def write_results(results: Results, path: Path) -> None:
    """Write the runs as gzipped JSON, one a line; equal runs give equal files."""
    head = msgspec.json.encode(msgspec.structs.replace(results, runs=())).decode()
    runs = ",\n".join(msgspec.json.encode(run).decode() for run in results.runs)
    text = head.replace('"runs":[]', f'"runs":[\n{runs}\n]', 1) + "\n"
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def read_results(path: Path) -> Results:
    """Return what was written."""
    return msgspec.json.decode(gzip.decompress(path.read_bytes()), type=Results)
