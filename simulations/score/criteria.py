"""Criteria a run must not meet, for use in CI: ``slo_violation>0.5%``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from simulations.errors import SimulationError
from simulations.score.score import Score

FIELDS: Final[dict[str, Callable[[Score], float]]] = {
    "slo_violation": lambda score: score.violation_ratio,
    "worst_5m": lambda score: score.worst_ratio,
    "cost": lambda score: score.cost,
    "replica_hours": lambda score: score.replica_hours,
    "node_hours": lambda score: score.node_hours,
    "mean_replicas": lambda score: score.mean_replicas,
    "peak_replicas": lambda score: float(score.peak_replicas),
    "dropped": lambda score: score.dropped,
    "late": lambda score: score.late,
    "changes_per_hour": lambda score: score.changes_per_hour,
    "wait_p95": lambda score: score.wait_p95_seconds,
    "wait_p99": lambda score: score.wait_p99_seconds,
}

_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM: Final = re.compile(
    r"\s*(?P<field>[a-z0-9_]+)\s*(?P<operator>>=|<=|>|<)\s*(?P<number>[0-9.eE+-]+)(?P<percent>%?)\s*"
)


class Criterion(msgspec.Struct, frozen=True, kw_only=True):
    """One criterion.

    Attributes:
        text: As written.
        field: One of :data:`FIELDS`.
        operator: ``>``, ``>=``, ``<`` or ``<=``.
        limit: A ratio when it was written in percent.
    """

    text: str
    field: str
    operator: str
    limit: float

    def is_met(self, score: Score) -> bool:
        """Say whether a run meets the criterion, and so fails."""
        return _OPERATORS[self.operator](self.value(score), self.limit)

    def value(self, score: Score) -> float:
        """Return what the criterion looks at."""
        return FIELDS[self.field](score)


def parse_criterion(text: str) -> Criterion:
    """Return a criterion.

    Raises:
        SimulationError: It is none; names the accepted form.
    """
    form = _FORM.fullmatch(text)
    accepted = f"FIELD>NUMBER or FIELD>NUMBER%, with FIELD one of {', '.join(FIELDS)}"
    if form is None:
        raise SimulationError(f'criterion "{text}" must be {accepted}', field="fail_on")
    if form["field"] not in FIELDS:
        raise SimulationError(
            f'criterion "{text}": no field "{form["field"]}"; must be {accepted}', field="fail_on"
        )
    try:
        limit = float(form["number"])
    except ValueError:
        raise SimulationError(
            f'criterion "{text}": "{form["number"]}" is no number', field="fail_on"
        ) from None
    return Criterion(
        text=text.strip(),
        field=form["field"],
        operator=form["operator"],
        limit=limit / 100 if form["percent"] else limit,
    )


def failures(criteria: Sequence[Criterion], score: Score) -> list[str]:
    """Return a sentence for every criterion that a run meets."""
    return [
        f"{score.name}: {criterion.field} is {criterion.value(score):.6g}, which fails "
        f"{criterion.text}"
        for criterion in criteria
        if criterion.is_met(score)
    ]
