"""Metric specs and readings, made the same way by every scaler.

One place decides what a target is, what a usable number is, and how a negative one counts, so that
no scaler can turn a failure into a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from autoscaler.core import quantity
from autoscaler.core.model import MetricSpec, Reading, TargetType
from autoscaler.errors import MetricMalformed, QuantityError, shorten
from autoscaler.sdk.conversion import INT64_MAX
from autoscaler.sdk.params import Problem
from autoscaler.sdk.scaler import TriggerContext, metric_name


def check_target(parameter: str, target: float, context: TriggerContext) -> Iterator[Problem]:
    """Yield what is wrong with a target, for use in ``TriggerConfig.check``.

    A trigger that only feeds a formula needs no target of its own, so zero is fine there.

    Args:
        parameter: KEDA's name of the target parameter.
        target: Its value.
        context: Where the trigger stands.
    """
    milli = to_target_milli(target)
    if milli > INT64_MAX:
        yield parameter, f'"{target:g}" is too large; the largest target is {INT64_MAX // 1000}'
    elif milli < 0 or (milli == 0 and not context.is_metric_source):
        yield parameter, f'"{target:g}" must be at least 0.001'


def to_target_milli(target: float) -> int:
    """Return a target in thousandths, truncated toward zero as KEDA does."""
    return target * 1000 if isinstance(target, int) else int(target * 1000)


def external_metric(
    context: TriggerContext, specific: str, target: float, activation: float = 0.0
) -> MetricSpec:
    """Return the spec of the usual, external metric.

    Args:
        context: Gives the metric name's index and the target type (``AverageValue`` by default).
        specific: The scaler's part of the metric name.
        target: Checked by :func:`check_target`.
        activation: The trigger is active when its value is greater.
    """
    return MetricSpec(
        name=metric_name(context.trigger_index, specific),
        target_type=TargetType(context.metric_type or TargetType.AVERAGE_VALUE),
        target_milli=to_target_milli(target),
        activation_value=activation,
    )


def reading_of(metric: str, value: float, at: float, *, active: bool | None = None) -> Reading:
    """Return a good reading.

    ``value`` is kept as it is (formulas and activation see it); the thousandths the replica
    arithmetic sums are truncated toward zero, and never negative.

    Args:
        metric: Metric name.
        value: What the source said.
        at: When it was asked, epoch seconds.
        active: The scaler's own verdict, None = by activation value.

    Raises:
        MetricMalformed: The value is NaN, infinite or beyond what a quantity can hold.
    """
    if not math.isfinite(value):
        raise MetricMalformed(f"metric {metric}: the source answered {value}, which is no number")
    milli = int(value * 1000)
    if abs(milli) > INT64_MAX:
        raise MetricMalformed(f"metric {metric}: {value:g} is too large for a metric value")
    return Reading(
        metric=metric,
        sampled_at=at,
        value=float(value),
        values_milli=(max(0, milli),),
        active=active,
    )


def parse_number(text: str) -> float:
    """Return the number in a source's text.

    ``NaN`` and ``Inf`` pass, for the caller to judge; a number too large for a double does not.

    Raises:
        MetricMalformed: The text is no number.
    """
    try:
        # Padded text is refused, as KEDA does; float() alone would take it.
        value = float(text) if text == text.strip() and text.isascii() else float("")
    except ValueError:
        raise MetricMalformed(f'"{shorten(text, _SHOWN)}" is no number') from None
    if math.isinf(value) and "inf" not in text.lower():
        raise MetricMalformed(f'"{shorten(text, _SHOWN)}" is too large for a number')
    return value


def parse_quantity(text: str) -> float:
    """Return a Kubernetes quantity such as ``500m`` or ``10Mi`` as a number.

    Raises:
        MetricMalformed: The text is no quantity.
    """
    try:
        return quantity.as_double(text)
    except QuantityError:
        raise _no_quantity(text) from None


def quantity_milli(text: str) -> int:
    """Return a Kubernetes quantity in thousandths, rounded away from zero.

    Raises:
        MetricMalformed: The text is no quantity.
    """
    try:
        return quantity.to_milli(text)
    except QuantityError:
        raise _no_quantity(text) from None


def _no_quantity(text: str) -> MetricMalformed:
    shown = shorten(text, _SHOWN)
    return MetricMalformed(f'"{shown}" is no number and no quantity such as 500m or 10Mi')


_SHOWN: Final = 80
