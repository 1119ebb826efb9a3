"""What a run came to, in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from tests.e2e.hpa.cases import Case
from tests.e2e.hpa.compare import Point, Verdict, side_by_side


class Result(NamedTuple):
    """One case, its two series and what came of comparing them.

    Attributes:
        looks: When the HPA looked.
    """

    case: Case
    theirs: list[Point]
    ours: list[Point]
    verdict: Verdict
    looks: list[float]


def counts(results: Sequence[Result]) -> str:
    """Return how much was compared, in one line."""
    wrong = sum(bool(one.verdict.mismatch) for one in results)
    changes = sum(one.verdict.changes for one in results)
    spacings = [(one.looks[-1] - one.looks[0]) / (len(one.looks) - 1) for one in results]
    lag = max(one.verdict.lag_seconds for one in results)
    return (
        f"{len(results)} objects, {changes} replica changes of the HPA matched, "
        f"at most {lag:.1f} s apart, {wrong} mismatches; the HPA looked every "
        f"{min(spacings):.3f} to {max(spacings):.3f} s"
    )


def mismatches(results: Sequence[Result], start_at: float) -> str:
    """Return what differs, object by object: the spec, the metrics and both series.

    Args:
        results: Of all cases.
        start_at: What times count from.
    """
    return "\n\n".join(_table(one, start_at) for one in results if one.verdict.mismatch)


def _table(result: Result, start_at: float) -> str:
    case = result.case
    targets = ", ".join(
        f"{'cpu' if metric.is_cpu else 'external'} {metric.target_type} {metric.target}"
        for metric in case.metrics
    )
    values = "; ".join(
        f"{' '.join('error' if v is None else f'{v:.2f}' for v in step.values)} x{step.looks}"
        for step in case.series
    )
    rhythm = ", at once" if case.is_at_once else ""
    return "\n".join(
        [
            f"case {case.number} ({case.group}{rhythm}): {result.verdict.mismatch}",
            f"  {case.minimum} to {case.maximum} replicas, from {case.replicas}; {targets}",
            f"  behavior {json.dumps(case.behavior)}",
            f"  values in multiples of the target, and for how many looks: {values}",
            side_by_side(result.theirs, result.ours, start_at),
        ]
    )
