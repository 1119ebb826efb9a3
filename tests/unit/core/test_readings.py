"""Freshness of readings."""

from __future__ import annotations

from autoscaler.core.model import MetricPolicy, MetricSpec, Observation, Policy, Reading
from autoscaler.core.readings import NEVER_READ, STALE, usable_readings

POLICY = Policy(
    metrics=(
        MetricPolicy(spec=MetricSpec(name="s0-a"), freshness_seconds=60.0),
        MetricPolicy(spec=MetricSpec(name="s1-b")),
    )
)


def seen(at: float, *readings: Reading) -> Observation:
    """Return an observation of these readings."""
    return Observation(
        at=at, spec_replicas=1, status_replicas=1, readings={r.metric: r for r in readings}
    )


def test_fresh_readings_are_handed_through() -> None:
    """Nothing is copied when every metric has a fresh reading or an error."""
    observation = seen(1060.0, Reading.of("s0-a", 1.0, 1000.0), Reading.of("s1-b", 1.0, 5.0))
    assert usable_readings(POLICY, observation) is observation.readings
    failed = seen(9e9, Reading.failed("s0-a", "boom", 1000.0), Reading.of("s1-b", 1.0, 5.0))
    assert usable_readings(POLICY, failed) is failed.readings


def test_a_value_that_is_too_old_is_an_error() -> None:
    """An old value is not used, and the error says how old it is."""
    readings = usable_readings(
        POLICY, seen(1075.0, Reading.of("s0-a", 1.0, 1000.0), Reading.of("s1-b", 2.0, 0.0))
    )
    stale = readings["s0-a"]
    assert stale.value is None
    assert stale.values_milli == ()
    assert stale.error_reason == STALE
    assert stale.error == "the last value is 75 s old, freshness allows 60 s"
    assert readings["s1-b"].value == 2.0


def test_a_silent_source_counts_once_per_freshness_period() -> None:
    """Decisions in quick succession see the same failure; the next period makes it a new one."""
    at = [
        usable_readings(POLICY, seen(t, Reading.of("s0-a", 1.0, 1000.0), Reading.of("s1-b", 1, 0)))[
            "s0-a"
        ].sampled_at
        for t in (1061.0, 1119.0, 1121.0)
    ]
    assert at == [1060.0, 1060.0, 1120.0]


def test_a_freshness_of_zero_allows_only_the_present() -> None:
    """With freshness 0 any value from the past is an error."""
    metric = MetricPolicy(spec=MetricSpec(name="s0-a"), freshness_seconds=0.0)
    policy = Policy(metrics=(metric,))
    assert usable_readings(policy, seen(5.0, Reading.of("s0-a", 1.0, 5.0)))["s0-a"].error is None
    stale = usable_readings(policy, seen(6.0, Reading.of("s0-a", 1.0, 5.0)))["s0-a"]
    assert (stale.error_reason, stale.sampled_at) == (STALE, 5.0)


def test_a_metric_never_read_is_an_error() -> None:
    """A missing reading is an error, not a zero, and always the same one."""
    readings = usable_readings(POLICY, seen(10.0, Reading.of("s0-a", 1.0, 10.0)))
    assert readings["s1-b"].error_reason == NEVER_READ
    assert readings["s1-b"].sampled_at == 0.0
    assert usable_readings(POLICY, seen(20.0))["s1-b"] == readings["s1-b"]
