"""Replay of small functions: metric names, targets, values, lists and paths."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from autoscaler.core import quantity
from autoscaler.errors import AutoscalerError, MetricMalformed
from autoscaler.sdk.conversion import INT64_MAX, to_int_list, to_map
from autoscaler.sdk.documents import value_by_path
from autoscaler.sdk.metrics import check_target, reading_of, to_target_milli
from autoscaler.sdk.scaler import TriggerContext, metric_name
from scalers.cron import schedule_name
from scalers.kafka import even_factor
from tests.golden.replay import Case, Differs, NotCovered, Outcome, replays


def _target(case: Case) -> Any:
    return to_target_milli(case["ints"][0] if "ints" in case else case["value"])


def _value_milli(case: Case) -> int:
    value = reading_of("s0-x", case["value"], 0.0).value
    assert value is not None
    return math.trunc(value * 1000)


def _int_list(case: Case) -> list[int] | None:
    return list(to_int_list(case["args"][0])) or None


FUNCTIONS: Mapping[str, Callable[[Case], Any]] = {
    "normalizeString": lambda case: metric_name(0, case["args"][0]).removeprefix("s0-"),
    "metricNameWithIndex": lambda case: metric_name(case["index"], case["args"][0]),
    "metricTarget": _target,
    "metricTargetMilli": _target,
    "metricValueMilli": _value_milli,
    "parseRange": lambda case: list(to_int_list("-".join(case["args"]))) or None,
    "parseInt32List": _int_list,
    # A parameter that is blank counts as not given, so that no function ever sees it.
    "parseStringList": lambda case: to_map(case["args"][0]) if case["args"][0] else {},
    "getValueByPath": lambda case: value_by_path(case["data"], case["args"][0]),
    "cronName": lambda case: schedule_name(case["args"][0]),
    "evenFactor": lambda case: even_factor(*case["ints"]),
}


def _too_large(case: Case, got: object) -> Differs:
    if case["fn"] == "metricValueMilli":
        assert isinstance(got, MetricMalformed), got
        return Differs("not-a-number")
    assert list(check_target("target", case["value"], TriggerContext())), got
    return Differs("target-useless")


@replays("keda/util")
def replay_util(case: Case, document: Mapping[str, Any]) -> Outcome:
    """Check one call."""
    function = FUNCTIONS.get(case["fn"])
    if function is None:
        return NotCovered(f"function {case['fn']}")
    got: Any
    try:
        got = function(case)
    except (ValueError, AutoscalerError) as error:
        got = error
    if case["fn"].startswith("metric") and not abs(case.get("value", 0)) * 1000 < INT64_MAX:
        return _too_large(case, got)
    fails = "error" in case["expect"]
    assert fails == isinstance(got, Exception), f"got {got!r}, expected {case['expect']}"
    if fails:
        return None
    wanted = case["expect"]["result"]
    if case["fn"].startswith("metricTarget"):
        wanted = quantity.to_milli(wanted.get("averageValue") or wanted["value"])
    elif case["fn"] == "metricValueMilli":
        wanted = wanted["milli"]
    assert got == wanted, f"got {got!r}, expected {wanted!r}"
    return None
