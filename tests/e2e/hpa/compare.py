"""When two replica series are equal up to one sync period.

Both series are step functions. They are equal up to one sync period when they take the same values
in the same order, and each change of the one happens within one sync period of its counterpart in
the other, earlier or later. In other words: a stretching of time by at most one sync period turns
one into the other. The HPA itself gives nothing better: two HPAs with the same spec on the same
metrics differ by this much, because each looks once per sync period at a moment of its own.

Weaker definitions would miss what matters. Comparing values that both have "around the same time"
lets a series pass that leaves out a step, or takes one more; comparing only final values lets any
window or rate pass.

Only changes during the last sync period before the end are left out of account: their counterparts
may not have come yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple


class Point(NamedTuple):
    """From this moment on (seconds) so many replicas were asked for."""

    at: float
    replicas: int


class Verdict(NamedTuple):
    """What a comparison found.

    Attributes:
        changes: Changes of the first series that had to have a counterpart.
        mismatch: What differs first; empty = equal.
        lag_seconds: Largest distance of a change from its counterpart, up to the mismatch.
    """

    changes: int
    mismatch: str
    lag_seconds: float


def compare(
    theirs: Sequence[Point],
    ours: Sequence[Point],
    *,
    period_seconds: float,
    end_at: float,
) -> Verdict:
    """Tell whether two series are equal up to one sync period.

    Args:
        theirs: What the HPA asked for; the first point is where it started.
        ours: What we asked for.
        period_seconds: One sync period.
        end_at: Until when was recorded.
    """
    lag = 0.0
    changes = 0
    if not theirs or not ours or theirs[0].replicas != ours[0].replicas:
        return Verdict(0, "the series do not start with the same count", lag)
    for pair in zip_longest(theirs[1:], ours[1:]):
        if min(point.at for point in pair if point) > end_at - period_seconds:
            break
        mismatch = _difference(*pair, period_seconds)
        if mismatch:
            return Verdict(changes, mismatch, lag)
        changes += 1
        lag = max(lag, abs(pair[0].at - pair[1].at))
    return Verdict(changes, "", lag)


def _difference(theirs: Point | None, ours: Point | None, period_seconds: float) -> str:
    """Return what is wrong with a change and its counterpart; empty if nothing is."""
    if theirs is None or ours is None:
        return (
            f"we never followed to {theirs.replicas}"
            if theirs
            else f"the HPA never went to {ours.replicas}"
        )
    if theirs.replicas != ours.replicas:
        return f"the HPA went to {theirs.replicas}, we to {ours.replicas}"
    apart = abs(theirs.at - ours.at)
    return f"to {ours.replicas} {apart:.1f} s apart" if apart > period_seconds else ""


def side_by_side(theirs: Sequence[Point], ours: Sequence[Point], start_at: float) -> str:
    """Return both series for people, a line per change: seconds since the start, replicas."""
    lines = [f"{'HPA':>20}   {'ours':>20}"]
    for a, b in zip_longest(theirs, ours):
        lines.append(f"{_cell(a, start_at):>20}   {_cell(b, start_at):>20}")
    return "\n".join(lines)


def _cell(point: Point | None, start_at: float) -> str:
    return f"{point.at - start_at:8.1f} s  {point.replicas:3}" if point else ""
