"""Criteria a run must not meet, for use in CI: ``slo_violation>0.5%``."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
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
    "pods_created": lambda score: float(score.created),
    "changes_per_hour": lambda score: score.changes_per_hour,
    "wait_p95": lambda score: score.wait_p95_seconds,
    "wait_p99": lambda score: score.wait_p99_seconds,
}

SHARES: Final = ("slo_violation", "worst_5m")
"""Fields that are shares, 0..1, and the only ones that can be written in percent."""

REQUESTS: Final = (*SHARES, "dropped", "late", "wait_p95", "wait_p99")
"""Fields about requests: without knowing the service they mean nothing."""

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
        SimulationError: It is none, or one that no run could ever meet; names the accepted form.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        raise _refused(
            text, "must be FIELD>NUMBER, or FIELD>NUMBER% for a share, with > >= < or <=", FIELDS
        )
    field, percent = form["field"], bool(form["percent"])
    if field not in FIELDS:
        near = difflib.get_close_matches(field, FIELDS, n=1)
        hint = f', perhaps "{near[0]}" is meant' if near else ""
        raise _refused(text, f'there is no field "{field}"{hint}', FIELDS)
    if percent and field not in SHARES:
        raise _refused(text, f"{field} is no share; write it without %", SHARES)
    limit = _number(text, form["number"]) / (100 if percent else 1)
    if field in SHARES and not 0 <= limit <= 1:
        raise _refused(text, "a share is between 0 and 1; write 0.5% or 0.005", SHARES)
    highest = 1.0 if field in SHARES else math.inf
    if not {
        ">": limit < highest,
        ">=": limit <= highest,
        "<": limit > 0,
        "<=": limit >= 0,
    }[form["operator"]]:
        raise _refused(text, f"{field} can never be that", ())
    return Criterion(text=text.strip(), field=field, operator=form["operator"], limit=limit)


def _number(text: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _refused(text, f'"{number}" is no number', ())
    return value


def _refused(text: str, why: str, fields: Iterable[str]) -> SimulationError:
    named = ", ".join(fields)
    accepted = f" (fields: {named})" if named else ""
    return SimulationError(f'criterion "{text}": {why}{accepted}', field="fail_on")


def failures(criteria: Sequence[Criterion], score: Score) -> list[str]:
    """Return a sentence for every criterion that a run meets."""
    return [
        f"{score.name}: {criterion.field} is {criterion.value(score):.6g}, which fails "
        f"{criterion.text}"
        for criterion in criteria
        if criterion.is_met(score)
    ]
