"""The queries of an object, and how long a time their values describe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from autoscaler.api.parse import parse_object
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.errors import MetricError
from simulations.errors import SimulationError
from simulations.policies.objects import scalers_of

RATE: Final = re.compile(r"\b(?:i?rate|increase)\s*\(")
_TEXT: Final = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`|#[^\n]*')
_RANGE: Final = re.compile(r"(\w*)\s*\(?[^()\[\]]*\[\s*([0-9.a-z]+)\s*(?::[^\]]*)?\]")
_PART: Final = re.compile(r"(\d+)(ms|[smhdwy])")
_UNIT_SECONDS: Final = {
    "ms": 0.001,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86_400,
    "w": 604_800,
    "y": 31_536_000,
}
_LAST_TWO: Final = ("irate", "idelta")
"""Functions that look at the last two samples of their range only."""


class Queried(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger's query.

    Attributes:
        trigger: Position.
        query: PromQL.
    """

    trigger: int
    query: str


def queries_of(raw: Mapping[str, Any], *, exogenous: bool = False) -> list[Queried]:
    """Return the queries of an object's Prometheus triggers.

    Args:
        raw: The object.
        exogenous: Take every query for one of the load alone.

    Raises:
        SimulationError: A trigger is neither ``prometheus`` nor ``cron``, or its query shows no
            rate and so may depend on the replicas.
    """
    obj = parse_object(raw)
    if not isinstance(obj, ScaledObject):
        raise SimulationError(f"{raw.get('kind')} is no ScaledObject", field="kind")
    found = []
    for index, trigger in enumerate(obj.spec.triggers):
        field = f"spec.triggers[{index}]"
        if trigger.type == "cron":
            continue
        if trigger.type != "prometheus":
            raise SimulationError(
                f"{field} has type {trigger.type}; a backtest on a Prometheus can show prometheus "
                "and cron triggers what they saw",
                field=f"{field}.type",
            )
        query = trigger.metadata.get("query", "")
        if not exogenous and not RATE.search(query):
            raise SimulationError(
                f'{field}: query "{query}" shows no rate(), so replicas may change what it '
                "measures, and a recording cannot follow that; if it measures load alone, say "
                "--exogenous, else simulate with a scenario",
                field=f"{field}.metadata.query",
            )
        found.append(Queried(trigger=index, query=query))
    if not found:
        raise SimulationError("the object has no prometheus trigger", field="spec.triggers")
    return found


def value_of_nothing(raw: Mapping[str, Any], trigger: int) -> float | None:
    """Return what the live scaler of a trigger takes an empty result for; None = for an error.

    Raises:
        SimulationError: A trigger is wrong.
    """
    obj = parse_object(raw)
    assert isinstance(obj, ScaledObject)
    scaler = scalers_of(obj)[trigger]
    try:
        return scaler.reading(scaler.metric_specs()[0].name, None, 0.0).value
    except MetricError:
        return None


def range_seconds(query: str) -> float | None:
    """Return the longest range a query takes means over, such as 60 of ``rate(hits_total[1m])``.

    Returns:
        None when it shows none, or only those of which the last two samples count.
    """
    found = [
        _seconds(duration)
        for function, duration in _RANGE.findall(_TEXT.sub("", query))
        if function not in _LAST_TWO
    ]
    return max((seconds for seconds in found if seconds), default=None)


def _seconds(duration: str) -> float:
    """Return the seconds of ``1m30s`` or ``90``, 0 when it is neither."""
    parts = _PART.findall(duration)
    if "".join(number + unit for number, unit in parts) == duration:
        return sum(int(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    return float(duration) if duration.replace(".", "", 1).isdigit() else 0.0
