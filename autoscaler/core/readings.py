"""Freshness: which readings may be used at this instant.

A metric that was never read, or whose last reading is older than its trigger allows, becomes an
error reading; it never becomes a number.
"""

from __future__ import annotations

from collections.abc import Mapping

from autoscaler.core.model import Observation, Policy, Reading

NEVER_READ = "NeverRead"
STALE = "Stale"


def usable_readings(policy: Policy, seen: Observation) -> Mapping[str, Reading]:
    """Return one reading per metric of the policy, missing and stale ones as errors.

    Args:
        policy: Whose metrics are wanted.
        seen: The observation; readings of other metrics are kept as they are.

    Returns:
        ``seen.readings`` itself when every metric has a usable or an error reading already.
    """
    readings = seen.readings
    changed: dict[str, Reading] | None = None
    for metric in policy.metrics:
        name = metric.spec.name
        reading = readings.get(name)
        if reading is None:
            replacement = Reading.failed(
                name, f"metric {name} has not been read yet", seen.at, reason=NEVER_READ
            )
        elif (
            metric.freshness_seconds is not None
            and reading.error is None
            and seen.at - reading.sampled_at > metric.freshness_seconds
        ):
            replacement = Reading.failed(
                name,
                f"metric {name}: last value is {seen.at - reading.sampled_at:.0f} s old, "
                f"freshness allows {metric.freshness_seconds:.0f} s",
                reading.sampled_at,
                reason=STALE,
            )
        else:
            continue
        if changed is None:
            changed = dict(readings)
        changed[name] = replacement
    return readings if changed is None else changed
