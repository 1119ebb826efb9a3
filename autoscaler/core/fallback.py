"""Fallback: which value stands in for a metric that keeps failing (KEDA's ``spec.fallback``).

A metric falls back once more than ``failure_threshold`` readings in a row have failed. The value
that stands in makes the HPA arithmetic arrive at the wanted replicas: target x R for
``AverageValue``, target x R / ready pods for ``Value``. With scaling modifiers it is the composite
that is replaced, unless the formula itself deals with failed triggers (``scalingModifiers``).

KEDA counts a failure per request, its own and the HPA's, and decides the ``Fallback`` condition on
the count before the present one; here a reading counts once and the condition is up to date.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from autoscaler.core.model import (
    Condition,
    Fallback,
    FallbackBehavior,
    Health,
    MetricPolicy,
    MetricSource,
    Modifiers,
    Policy,
    Reading,
    Step,
    TargetType,
)

COMPOSITE_METRIC: Final = "composite-metric"
FALLBACK_EXISTS: Final = Condition(
    "Fallback",
    "True",
    "FallbackExists",
    "At least one trigger is falling back on this scaled object",
)
NO_FALLBACK: Final = Condition(
    "Fallback", "False", "NoFallbackFound", "No fallbacks are active on this scaled object"
)


class FallbackOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the fallback stage made of the readings.

    Attributes:
        readings: With stand-in values; the mapping given when nothing stands in.
        active_metrics: Names of the metrics a value stands in for, in policy order. Such a metric
            counts as active.
        composite: With modifiers, the reading that replaces the whole composite metric.
        if_nil: With modifiers, the composite when the formula yields nil.
        condition: The ``Fallback`` condition, or None when the object has no fallback (the
            previous condition stays).
        steps: One per metric over the threshold.
    """

    readings: Mapping[str, Reading]
    active_metrics: tuple[str, ...] = ()
    composite: Reading | None = None
    if_nil: Reading | None = None
    condition: Condition | None = None
    steps: tuple[Step, ...] = ()


def has_fallback(metric: MetricPolicy) -> bool:
    """Say whether a failing metric may fall back: cpu, memory and other pod metrics do not."""
    return metric.spec.source is MetricSource.EXTERNAL


def track_health(
    policy: Policy, health: Mapping[str, Health], readings: Mapping[str, Reading]
) -> Mapping[str, Health]:
    """Count failed reads in a row per metric; a reading counts once however often it is seen.

    Args:
        policy: Objects without fallback keep no health.
        health: Counts so far, by metric name.
        readings: After the freshness stage.

    Returns:
        ``health`` itself when nothing changes; metrics the policy no longer has are dropped.
    """
    if policy.fallback is None:
        return health if not health else {}
    tracked: dict[str, Health] = {}
    changed = False
    for metric in policy.metrics:
        name = metric.spec.name
        before = health.get(name)
        reading = readings.get(name)
        after = before if reading is None or not has_fallback(metric) else _count(before, reading)
        changed |= after is not before
        if after is not None:
            tracked[name] = after
    return tracked if changed or len(tracked) != len(health) else health


def _count(before: Health | None, reading: Reading) -> Health:
    """Return a metric's health after a reading; the same object when the reading is no news."""
    known = before or Health()
    if reading.error is None:
        return known if before and not known.failures else Health()
    read_at_ms = round(reading.sampled_at * 1000)
    if known.failures and known.counted_at_ms == read_at_ms:
        return known
    return Health(known.failures + 1, read_at_ms)


def apply_fallback(
    policy: Policy,
    health: Mapping[str, Health],
    readings: Mapping[str, Reading],
    *,
    current_replicas: int,
    ready_pods: int | None,
) -> FallbackOutcome:
    """Replace the readings of metrics that failed more often than the threshold allows.

    Args:
        policy: With or without ``fallback``.
        health: After :func:`track_health` saw the same readings.
        readings: After the freshness stage.
        current_replicas: ``spec.replicas`` of the scale target.
        ready_pods: Ready pods, which ``Value`` targets are divided by; None = nobody knows.
    """
    fallback = policy.fallback
    if fallback is None:
        return FallbackOutcome(readings=readings)
    failing = [
        metric
        for metric in policy.metrics
        if (known := health.get(metric.spec.name)) is not None
        and known.failures > fallback.failure_threshold
    ]
    if not failing:
        return FallbackOutcome(readings=readings, condition=NO_FALLBACK)
    replicas = wanted_replicas(fallback, current_replicas)
    if policy.modifiers is not None:
        stand_in = _composite(policy.modifiers, readings, failing, replicas, ready_pods)
        if fallback.behavior is FallbackBehavior.SCALING_MODIFIERS:
            return _left_to_formula(readings, failing, stand_in)
        return _composite_fallback(readings, failing, replicas, stand_in, ready_pods)
    replaced = dict(readings)
    active: list[str] = []
    steps: list[Step] = []
    for metric in failing:
        spec, failed = metric.spec, readings[metric.spec.name]
        value_milli = stand_in_milli(spec.target_type, spec.target_milli, replicas, ready_pods)
        if value_milli is None:
            steps.append(_without_ready_pods(spec.name, ready_pods))
            continue
        replaced[spec.name] = _stand_in(spec.name, value_milli, failed)
        active.append(spec.name)
        steps.append(_fell_back(spec.name, replicas, failed))
    return FallbackOutcome(
        readings=replaced if active else readings,
        active_metrics=tuple(active),
        condition=FALLBACK_EXISTS,
        steps=tuple(steps),
    )


def wanted_replicas(fallback: Fallback, current_replicas: int) -> int:
    """Return the replicas a metric in fallback asks for."""
    match fallback.behavior:
        case FallbackBehavior.CURRENT_REPLICAS:
            return current_replicas
        case FallbackBehavior.CURRENT_REPLICAS_IF_HIGHER:
            return max(current_replicas, fallback.replicas)
        case FallbackBehavior.CURRENT_REPLICAS_IF_LOWER:
            return min(current_replicas, fallback.replicas)
        case _:
            return fallback.replicas


def stand_in_milli(
    target_type: TargetType, target_milli: int, replicas: int, ready_pods: int | None
) -> int | None:
    """Return the value, in thousandths, that leads to ``replicas``.

    Returns:
        None when a ``Value`` target meets no ready pod, as far as is known: no value would lead
        anywhere.
    """
    if target_type is not TargetType.VALUE:
        return target_milli * replicas
    return target_milli * replicas // ready_pods if ready_pods else None


def _composite(
    modifiers: Modifiers,
    readings: Mapping[str, Reading],
    failing: list[MetricPolicy],
    replicas: int,
    ready_pods: int | None,
) -> Reading | None:
    """Return the composite metric's stand-in, or None when there can be none."""
    value_milli = stand_in_milli(
        modifiers.metric_type, modifiers.target_milli, replicas, ready_pods
    )
    if value_milli is None:
        return None
    return _stand_in(COMPOSITE_METRIC, value_milli, readings[failing[0].spec.name])


def _composite_fallback(
    readings: Mapping[str, Reading],
    failing: list[MetricPolicy],
    replicas: int,
    stand_in: Reading | None,
    ready_pods: int | None,
) -> FallbackOutcome:
    if stand_in is None:
        step = _without_ready_pods(COMPOSITE_METRIC, ready_pods)
        return FallbackOutcome(readings=readings, condition=FALLBACK_EXISTS, steps=(step,))
    failed = readings[failing[0].spec.name]
    return FallbackOutcome(
        readings=readings,
        active_metrics=tuple(metric.spec.name for metric in failing),
        composite=stand_in,
        condition=FALLBACK_EXISTS,
        steps=(_fell_back(COMPOSITE_METRIC, replicas, failed),),
    )


def _left_to_formula(
    readings: Mapping[str, Reading], failing: list[MetricPolicy], if_nil: Reading | None
) -> FallbackOutcome:
    names = tuple(metric.spec.name for metric in failing)
    text = "{0} keeps failing: nil in the formula"
    steps = tuple(Step("fallback", None, None, "LeftToFormula", text, (name,)) for name in names)
    return FallbackOutcome(
        readings=readings,
        active_metrics=names,
        if_nil=if_nil,
        condition=FALLBACK_EXISTS,
        steps=steps,
    )


def _stand_in(name: str, value_milli: int, failed: Reading) -> Reading:
    """Return the reading that stands in for a failed one, as old as that."""
    return Reading(
        metric=name,
        sampled_at=failed.sampled_at,
        value=value_milli / 1000,
        values_milli=(value_milli,),
    )


def _fell_back(name: str, replicas: int, failed: Reading) -> Step:
    text = "{0} keeps failing ({1}): a value for {2} replicas stands in"
    return Step("fallback", None, replicas, "FellBack", text, (name, failed.error, replicas))


def _without_ready_pods(name: str, ready_pods: int | None) -> Step:
    text = "{0} keeps failing and no pod is ready, so nothing can stand in for it"
    if ready_pods is None:
        text = "{0} keeps failing and nobody knows the ready pods, so nothing can stand in for it"
    return Step("fallback", None, None, "NoReadyPods", text, (name,))
