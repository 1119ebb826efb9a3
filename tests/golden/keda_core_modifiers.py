"""Replay of ``modifiers``: formula, target and what they make of trigger values."""

from __future__ import annotations

import math

from autoscaler.core.fallback import FallbackOutcome
from autoscaler.core.formula import compile_formula
from autoscaler.core.model import MetricPolicy, MetricSpec, Policy, Reading
from autoscaler.core.modifiers import COMPOSITE_METRIC, compose
from autoscaler.core.readings import NEVER_READ
from autoscaler.errors import FormulaError
from tests.golden.keda_core_shapes import (
    POD_RESOURCES,
    Raw,
    formula_names,
    good_reading,
    modifiers_of,
)
from tests.golden.replay import Case, Differs, Outcome, replays

AT = 1_717_243_200.0
INT64_MAX = 2**63 - 1
"""What Go makes of infinities and NaN on amd64 is at the end of its integers."""


@replays("keda/modifiers")
def replay_modifiers(case: Case, document: Case) -> Outcome:
    """Compare validity and the composite value."""
    given, expected = case["input"], case["expect"]
    triggers = given["triggers"]
    names = formula_names(triggers)
    refused, modifiers = "", None
    try:
        modifiers = modifiers_of(given["scalingModifiers"], names)
    except (FormulaError, ValueError) as error:
        refused = str(error)
    assert bool(refused) != expected["valid"], refused or "accepted, but KEDA refuses it"
    if modifiers is None:
        return None
    metrics, readings = _metrics(given)
    policy = Policy(metrics=metrics, modifiers=modifiers)
    composite = compose(policy, FallbackOutcome(readings=readings), at=AT)
    reading = composite.readings[COMPOSITE_METRIC]
    if any(reading.error_reason == NEVER_READ for reading in readings.values()):
        assert reading.error is not None, "a missing value is no zero"
        return Differs("modifiers-missing-value")
    if expected.get("runError"):
        assert reading.error is not None, f"gives {reading.value}"
        return None
    (metric,) = expected["metrics"]
    values = {m.trigger: readings[m.spec.name].values_milli[0] / 1000 for m in metrics}
    if not _is_finite(given["scalingModifiers"]["formula"], names, values):
        assert abs(metric["milli"]) >= INT64_MAX, "KEDA has a number for it"
        assert reading.error is not None, f"gives {reading.value}"
        return Differs("modifiers-not-finite")
    assert reading.error is None, reading.error
    if metric["milli"] < 0:
        assert reading.values_milli == (0,)
        return Differs("modifiers-negative-composite")
    assert reading.values_milli == (metric["milli"],), f"{reading.values_milli}"
    return None


def _metrics(given: Raw) -> tuple[tuple[MetricPolicy, ...], dict[str, Reading]]:
    """Return a metric per trigger a formula sees; a trigger without value was never read."""
    triggers = [t for t in given["triggers"] if t["type"] not in POD_RESOURCES]
    by_trigger = {metric["trigger"]: metric for metric in given["metrics"]}
    metrics, readings = [], {}
    for index, trigger in enumerate(triggers):
        name = trigger.get("name", "")
        metric = by_trigger.get(name)
        key = metric["metricName"] if metric else f"s{index}-absent"
        spec = MetricSpec(name=key, target_milli=1000)
        metrics.append(MetricPolicy(spec=spec, trigger=name, trigger_index=index))
        readings[key] = (
            good_reading(key, metric["quantity"], AT)
            if metric
            else Reading.failed(key, "not read yet", 0.0, reason=NEVER_READ)
        )
    return tuple(metrics), readings


def _is_finite(formula: str, names: tuple[str, ...], values: Raw) -> bool:
    """Say whether the formula's plain result is a number at all."""
    result = compile_formula(formula, names).run(values)
    return result is not None and math.isfinite(result)
