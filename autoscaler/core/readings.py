"""Freshness: which readings may be used at this instant.

A metric that was never read, or whose last reading is older than its trigger allows, becomes an
error reading; it never becomes a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from autoscaler.core.model import MetricPolicy, Observation, Policy, Reading

NEVER_READ: Final = "NeverRead"
STALE: Final = "Stale"


def usable_readings(policy: Policy, seen: Observation) -> Mapping[str, Reading]:
    """Return one reading per metric of the policy, missing and stale ones as errors.

    Args:
        policy: Whose metrics are wanted.
        seen: The observation; readings of other metrics are kept as they are.

    Returns:
        ``seen.readings`` itself when every metric has a usable or an error reading already.
    """
    return fresh_readings(policy.metrics, seen.readings, seen.at)


def fresh_readings(
    metrics: Iterable[MetricPolicy], readings: Mapping[str, Reading], at: float
) -> Mapping[str, Reading]:
    """Return one reading per metric, missing and stale ones as errors.

    Args:
        metrics: The metrics wanted.
        readings: By metric name.
        at: Now, epoch seconds.

    Returns:
        ``readings`` itself when nothing has to be replaced.
    """
    changed: dict[str, Reading] | None = None
    for metric in metrics:
        name = metric.spec.name
        reading = readings.get(name)
        if reading is None:
            text = f"metric {name} has not been read yet"
            replacement = Reading.failed(name, text, 0.0, reason=NEVER_READ)
        elif _is_stale(metric, reading, at):
            replacement = _stale(metric, reading, at)
        else:
            continue
        if changed is None:
            changed = dict(readings)
        changed[name] = replacement
    return readings if changed is None else changed


def _is_stale(metric: MetricPolicy, reading: Reading, at: float) -> bool:
    limit = metric.freshness_seconds
    return limit is not None and reading.error is None and at - reading.sampled_at > limit


def _stale(metric: MetricPolicy, reading: Reading, at: float) -> Reading:
    """Return the error for a value that is too old.

    Its ``sampled_at`` moves on by one freshness period at a time, so that a source nobody hears
    from counts as one more failure per period, however often a decision is made.
    """
    limit = metric.freshness_seconds
    assert limit is not None
    age = at - reading.sampled_at
    periods = int(age / limit) if limit else 0
    return Reading.failed(
        reading.metric,
        f"the last value is {age:.0f} s old, freshness allows {limit:g} s",
        reading.sampled_at + periods * limit,
        reason=STALE,
    )
