"""Smoothing of one trigger's values before they are compared with a target.

Smoothing comes before fallback: an error passes through untouched, and a value that stands in for
failed readings is never averaged with real ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from msgspec.structs import replace

from autoscaler.core.model import Ewma, Median, Policy, Reading, SmoothingState


def smooth(
    policy: Policy, state: Mapping[str, SmoothingState], readings: Mapping[str, Reading]
) -> tuple[Mapping[str, Reading], Mapping[str, SmoothingState]]:
    """Replace values by their average or median where a trigger asks for it.

    Args:
        policy: Metrics without ``smoothing`` are left as they are.
        state: By metric name. Errors leave it alone; a reading seen before does not advance it.
        readings: After the freshness stage.

    Returns:
        Readings and state; the mappings given when nothing changes. State of metrics that are no
        longer smoothed is dropped.
    """
    smoothed = [metric for metric in policy.metrics if metric.smoothing is not None]
    if not smoothed:
        return readings, state if not state else {}
    after = dict(readings)
    states: dict[str, SmoothingState] = {}
    for metric in smoothed:
        name = metric.spec.name
        assert metric.smoothing is not None
        before, reading = state.get(name), readings[name]
        if reading.error is not None or reading.value is None:
            if before is not None:
                states[name] = before
            continue
        states[name] = known = _advance(metric.smoothing, before, reading.value, reading.sampled_at)
        after[name] = _with_value(reading, _value(metric.smoothing, known))
    return after, states


def _advance(
    rule: Ewma | Median, before: SmoothingState | None, value: float, sampled_at: float
) -> SmoothingState:
    """Return the state after a sample; the same state for a sample that is not newer."""
    at_ms = round(sampled_at * 1000)
    if before is None:
        return SmoothingState(at_ms, (value,))
    elapsed_ms = at_ms - before.sampled_at_ms
    if elapsed_ms <= 0:
        return before
    if isinstance(rule, Median):
        return SmoothingState(at_ms, (*before.values, value)[-rule.samples :])
    weight = 1.0 - 2.0 ** (-elapsed_ms / 1000 / rule.half_life_seconds)
    average = before.values[-1]
    return SmoothingState(at_ms, (average + weight * (value - average),))


def _value(rule: Ewma | Median, state: SmoothingState) -> float:
    if isinstance(rule, Median):
        return float(median(state.values[-rule.samples :]))
    return state.values[-1]


def _with_value(reading: Reading, value: float) -> Reading:
    return replace(reading, value=value, values_milli=(int(value * 1000),))
