"""Scaling modifiers: one composite metric computed from trigger values by a formula.

The composite replaces the targets and activation values of all external triggers; resource metrics
stay beside it. A failed trigger fails the composite, unless the formula may deal with it: it then
is nil in the formula (``??``) once its fallback threshold is passed. A composite below zero counts
as zero: fewer than no replicas cannot be asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from autoscaler.core.fallback import COMPOSITE_METRIC, FallbackOutcome
from autoscaler.core.model import (
    MetricPolicy,
    MetricSource,
    MetricSpec,
    Modifiers,
    Policy,
    Reading,
)
from autoscaler.errors import FormulaError

__all__ = ["COMPOSITE_METRIC", "Composite", "compose"]

LARGEST_VALUE: Final = (2**63 - 1) / 1000
"""Beyond this, thousandths do not fit the integers metrics are made of."""


class Composite(msgspec.Struct, frozen=True, kw_only=True):
    """What the formula stage made of the readings.

    Attributes:
        metrics: What the HPA arithmetic looks at now: the composite metric first, then the
            policy's (Container)Resource metrics. Without modifiers ``policy.metrics``.
        readings: The input plus the composite reading.
        is_active: Whether the composite exceeds its activation target; None without modifiers.
    """

    metrics: tuple[MetricPolicy, ...]
    readings: Mapping[str, Reading]
    is_active: bool | None = None


def compose(policy: Policy, outcome: FallbackOutcome, *, at: float) -> Composite:
    """Evaluate the formula over the trigger values.

    Args:
        policy: Without ``modifiers`` everything is handed through.
        outcome: Result of the fallback stage.
        at: Now; the composite reading's ``sampled_at`` when no trigger has a reading.
    """
    modifiers = policy.modifiers
    if modifiers is None:
        return Composite(metrics=policy.metrics, readings=outcome.readings)
    reading = outcome.composite
    if reading is None:
        reading = _evaluate(policy, modifiers, outcome, at)
    beside = tuple(m for m in policy.metrics if m.spec.source is not MetricSource.EXTERNAL)
    return Composite(
        metrics=(_composite_metric(modifiers), *beside),
        readings={**outcome.readings, COMPOSITE_METRIC: _not_below_zero(reading)},
        is_active=_total(reading) > modifiers.activation_target if reading.error is None else False,
    )


def _composite_metric(modifiers: Modifiers) -> MetricPolicy:
    return MetricPolicy(
        spec=MetricSpec(
            name=COMPOSITE_METRIC,
            target_type=modifiers.metric_type,
            target_milli=modifiers.target_milli,
            activation_value=modifiers.activation_target,
        )
    )


def _evaluate(policy: Policy, modifiers: Modifiers, outcome: FallbackOutcome, at: float) -> Reading:
    """Return the composite's reading, as old as the oldest value in it."""
    values: dict[str, float | None] = {}
    sampled_at = at
    for metric in policy.metrics:
        if metric.spec.source is not MetricSource.EXTERNAL:
            continue
        reading = outcome.readings[metric.spec.name]
        sampled_at = min(sampled_at, reading.sampled_at)
        if reading.error is None:
            values[metric.trigger] = _total(reading)
        elif metric.spec.name in outcome.active_metrics:
            values[metric.trigger] = None
        else:
            text = f"trigger {metric.trigger or metric.spec.name}: {reading.error}"
            reason = reading.error_reason
            return Reading.failed(COMPOSITE_METRIC, text, reading.sampled_at, reason=reason)
    try:
        value = modifiers.formula.evaluate(values)
    except FormulaError as error:
        return _failed(modifiers, str(error), sampled_at)
    if value is None:
        return outcome.if_nil or _failed(modifiers, "the result is nil", sampled_at)
    if abs(value) > LARGEST_VALUE:
        return _failed(modifiers, f"{value:g} is too large for a metric", sampled_at)
    return Reading.of(COMPOSITE_METRIC, value, sampled_at)


def _failed(modifiers: Modifiers, problem: str, sampled_at: float) -> Reading:
    text = f"formula {modifiers.formula.source}: {problem}"
    return Reading.failed(COMPOSITE_METRIC, text, sampled_at, reason=FormulaError.reason)


def _total(reading: Reading) -> float:
    """Return the value in the thousandths the HPA would see."""
    return sum(reading.values_milli) / 1000


def _not_below_zero(reading: Reading) -> Reading:
    if _total(reading) >= 0:
        return reading
    return replace(reading, value=0.0, values_milli=(0,))
