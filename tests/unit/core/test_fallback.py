"""Fallback: counting failures and standing in."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from autoscaler.core.fallback import apply_fallback, track_health
from autoscaler.core.formula import compile_formula
from autoscaler.core.model import (
    Fallback,
    FallbackBehavior,
    Health,
    MetricPolicy,
    MetricSource,
    MetricSpec,
    Modifiers,
    Policy,
    Reading,
    TargetType,
)

SPEC = MetricSpec(name="m", target_milli=2500)
POLICY = Policy(
    metrics=(MetricPolicy(spec=SPEC),), fallback=Fallback(failure_threshold=2, replicas=6)
)
MODIFIERS = Modifiers(formula=compile_formula("a", ("a",)), target=0.5, target_milli=500)


def failed(at: float) -> Reading:
    """Return a failed reading."""
    return Reading.failed("m", "refused", at)


def outcome(policy: Policy, failures: int, *, current: int = 4, ready: int | None = 2):
    """Return a failed reading."""
    return apply_fallback(
        policy,
        {"m": Health(failures, 1)},
        {"m": failed(10.0)},
        current_replicas=current,
        ready_pods=ready,
    )


def test_a_failed_reading_counts_once() -> None:
    """Deciding again on the same failed reading does not count it again; a new one counts."""
    once = track_health(POLICY, {}, {"m": failed(10.0)})
    assert once == {"m": Health(1, 10_000)}
    assert track_health(POLICY, once, {"m": failed(10.0)}) is once
    twice = track_health(POLICY, once, {"m": failed(20.0)})
    assert twice == {"m": Health(2, 20_000)}


def test_one_success_forgets_all_failures() -> None:
    """A good reading resets the count, and stays no news afterwards."""
    after = track_health(POLICY, {"m": Health(7, 1)}, {"m": Reading.of("m", 1.0, 20.0)})
    assert after == {"m": Health()}
    assert track_health(POLICY, after, {"m": Reading.of("m", 2.0, 30.0)}) is after


def test_health_is_kept_for_present_external_metrics_only() -> None:
    """Without fallback there is no health; removed metrics are forgotten; cpu is never counted."""
    health = {"m": Health(1, 1), "gone": Health(9, 1)}
    assert track_health(replace(POLICY, fallback=None), health, {}) == {}
    empty: dict[str, Health] = {}
    assert track_health(replace(POLICY, fallback=None), empty, {}) is empty
    assert track_health(POLICY, health, {}) == {"m": Health(1, 1)}
    cpu = MetricPolicy(spec=MetricSpec(name="m", source=MetricSource.RESOURCE))
    assert track_health(replace(POLICY, metrics=(cpu,)), {}, {"m": failed(1.0)}) == {}


def test_nothing_stands_in_up_to_the_threshold() -> None:
    """At the threshold the error is still an error; the condition says so."""
    found = outcome(POLICY, 2)
    assert found.readings["m"].error == "refused"
    assert found.active_metrics == ()
    assert found.condition.reason == "NoFallbackFound"
    without = apply_fallback(
        replace(POLICY, fallback=None), {}, {"m": failed(1.0)}, current_replicas=1, ready_pods=1
    )
    assert without.condition is None
    assert without.readings["m"].error == "refused"


@pytest.mark.parametrize(
    ("behavior", "current", "replicas"),
    [
        (FallbackBehavior.STATIC, 4, 6),
        (FallbackBehavior.CURRENT_REPLICAS, 4, 4),
        (FallbackBehavior.CURRENT_REPLICAS_IF_HIGHER, 4, 6),
        (FallbackBehavior.CURRENT_REPLICAS_IF_HIGHER, 8, 8),
        (FallbackBehavior.CURRENT_REPLICAS_IF_LOWER, 4, 4),
        (FallbackBehavior.CURRENT_REPLICAS_IF_LOWER, 8, 6),
    ],
)
def test_the_behavior_chooses_the_replicas(behavior, current, replicas) -> None:
    """Over the threshold the value leads to the replicas the behavior wants."""
    policy = replace(POLICY, fallback=replace(POLICY.fallback, behavior=behavior))
    found = outcome(policy, 3, current=current)
    assert found.readings["m"].values_milli == (2500 * replicas,)
    assert found.readings["m"].error is None
    assert found.readings["m"].sampled_at == 10.0
    assert found.active_metrics == ("m",)
    assert found.condition.reason == "FallbackExists"
    assert found.steps[0].render() == (
        f"m keeps failing (refused): a value for {replicas} replicas stands in"
    )


def test_a_value_target_is_shared_by_the_ready_pods() -> None:
    """A ``Value`` target is divided by the ready pods; without any, the error stays."""
    spec = replace(SPEC, target_type=TargetType.VALUE)
    policy = replace(POLICY, metrics=(MetricPolicy(spec=spec),))
    assert outcome(policy, 3, ready=4).readings["m"].values_milli == (2500 * 6 // 4,)
    found = outcome(policy, 3, ready=0)
    assert found.readings["m"].error == "refused"
    assert found.active_metrics == ()
    assert found.condition.reason == "FallbackExists"
    assert "no pod is ready" in found.steps[0].render()
    unknown = outcome(policy, 3, ready=None)
    assert unknown.readings["m"].error == "refused"
    assert "nobody knows the ready pods" in unknown.steps[0].render()


def test_with_modifiers_the_composite_is_replaced() -> None:
    """Fractional targets of a formula work as whole ones; the readings stay what they are."""
    found = outcome(replace(POLICY, modifiers=MODIFIERS), 3)
    assert found.composite.values_milli == (3000,)
    assert found.readings["m"].error == "refused"
    assert found.active_metrics == ("m",)
    by_value = replace(MODIFIERS, metric_type=TargetType.VALUE)
    none = outcome(replace(POLICY, modifiers=by_value), 3, ready=0)
    assert none.composite is None
    assert none.active_metrics == ()
    unknown = outcome(replace(POLICY, modifiers=by_value), 3, ready=None)
    assert unknown.composite is None
    assert "nobody knows the ready pods" in unknown.steps[0].render()


def test_the_formula_may_deal_with_failures_itself() -> None:
    """With ``scalingModifiers`` nothing stands in, but a value is ready in case of nil."""
    fallback = replace(POLICY.fallback, behavior=FallbackBehavior.SCALING_MODIFIERS)
    found = outcome(replace(POLICY, fallback=fallback, modifiers=MODIFIERS), 3)
    assert found.composite is None
    assert found.if_nil.values_milli == (3000,)
    assert found.active_metrics == ("m",)
    assert found.steps[0].render() == "m keeps failing: nil in the formula"
