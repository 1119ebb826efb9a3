"""The composite metric."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from autoscaler.core.fallback import FallbackOutcome
from autoscaler.core.formula import compile_formula
from autoscaler.core.model import (
    MetricPolicy,
    MetricSource,
    MetricSpec,
    Modifiers,
    Policy,
    Reading,
    TargetType,
)
from autoscaler.core.modifiers import COMPOSITE_METRIC, compose

CPU = MetricPolicy(
    spec=MetricSpec(name="cpu", source=MetricSource.CONTAINER_RESOURCE, container="web")
)


def policy(formula: str, activation: float = 0.0) -> Policy:
    """Return a policy with a formula over two triggers, beside cpu."""
    names = ("a", "b")
    return Policy(
        metrics=(
            CPU,
            *(MetricPolicy(spec=MetricSpec(name=f"s-{n}"), trigger=n) for n in names),
        ),
        modifiers=Modifiers(
            formula=compile_formula(formula, names),
            target=2.0,
            target_milli=2000,
            activation_target=activation,
            metric_type=TargetType.VALUE,
        ),
    )


def outcome(a: float | None, b: float | None, **more) -> FallbackOutcome:
    """Return a policy with a formula over two triggers, beside cpu."""
    readings = {
        f"s-{name}": Reading.failed(f"s-{name}", "refused", at, reason="Gone")
        if value is None
        else Reading.of(f"s-{name}", value, at)
        for name, value, at in (("a", a, 10.0), ("b", b, 20.0))
    }
    return FallbackOutcome(readings=readings, **more)


def test_without_modifiers_everything_is_handed_through() -> None:
    """An object without formula keeps its metrics and readings."""
    plain, given = replace(policy("a"), modifiers=None), outcome(1.0, 2.0)
    found = compose(plain, given, at=30.0)
    assert found.metrics is plain.metrics
    assert found.readings is given.readings
    assert found.is_active is None


def test_the_composite_replaces_external_metrics_only() -> None:
    """The formula's value is one metric; cpu and memory, also per container, stay beside it."""
    found = compose(policy("(a + b) / 2"), outcome(1.0, 2.0), at=30.0)
    composite, beside = found.metrics
    assert composite.spec.name == COMPOSITE_METRIC
    assert composite.spec.target_milli == 2000
    assert composite.spec.target_type is TargetType.VALUE
    assert beside is CPU
    reading = found.readings[COMPOSITE_METRIC]
    assert reading.values_milli == (1500,)
    assert reading.sampled_at == 10.0
    assert found.is_active is True


def test_thousandths_are_truncated() -> None:
    """The composite has three decimals, cut toward zero."""
    found = compose(policy("a / b"), outcome(5.0, 3.0), at=30.0)
    assert found.readings[COMPOSITE_METRIC].values_milli == (1666,)


@pytest.mark.parametrize(("activation", "is_active"), [(1.5, False), (1.499, True), (-1.0, True)])
def test_activation_is_strict(activation, is_active) -> None:
    """The composite is active above its activation target, not at it."""
    found = compose(policy("(a + b) / 2", activation), outcome(1.0, 2.0), at=30.0)
    assert found.is_active is is_active


def test_a_negative_composite_counts_as_zero() -> None:
    """The HPA arithmetic never sees less than nothing; activation goes by the plain value."""
    found = compose(policy("a - b", activation=-5.0), outcome(1.0, 9.0), at=30.0)
    assert found.readings[COMPOSITE_METRIC].values_milli == (0,)
    assert found.readings[COMPOSITE_METRIC].value == 0.0
    assert found.is_active is False


def test_any_failed_trigger_fails_the_composite() -> None:
    """Also a trigger the formula would not need right now, and also with ``??``."""
    for formula in ("a", "b ?? a"):
        found = compose(policy(formula), outcome(1.0, None), at=30.0)
        reading = found.readings[COMPOSITE_METRIC]
        assert reading.error == "trigger b: refused"
        assert reading.error_reason == "Gone"
        assert found.is_active is False


def test_the_formula_sees_nil_for_triggers_left_to_it() -> None:
    """A trigger in fallback that is left to the formula is nil there."""
    found = compose(policy("b ?? a"), outcome(4.0, None, active_metrics=("s-b",)), at=30.0)
    assert found.readings[COMPOSITE_METRIC].values_milli == (4000,)


def test_a_nil_result_takes_the_fallback_value() -> None:
    """Nil means the fallback's replicas, or an error when there are none."""
    stand_in = Reading.of(COMPOSITE_METRIC, 12.0, 10.0)
    both = outcome(None, None, active_metrics=("s-a", "s-b"), if_nil=stand_in)
    found = compose(policy("a ?? b"), both, at=30.0)
    assert found.readings[COMPOSITE_METRIC] is stand_in
    without = compose(policy("a ?? b"), replace(both, if_nil=None), at=30.0)
    assert without.readings[COMPOSITE_METRIC].error == "formula a ?? b: the result is nil"


def test_a_composite_in_fallback_is_not_computed() -> None:
    """The value that stands in for the composite is taken as it is."""
    stand_in = Reading.of(COMPOSITE_METRIC, 12.0, 10.0)
    given = outcome(None, None, active_metrics=("s-a",), composite=stand_in)
    found = compose(policy("a + b"), given, at=30.0)
    assert found.readings[COMPOSITE_METRIC] is stand_in
    assert found.is_active is True


@pytest.mark.parametrize(
    ("formula", "problem"),
    [
        ("a / (b - b)", "formula a / (b - b): the formula gives +Inf, not a finite number"),
        ("a * 1e300", "formula a * 1e300: 1e+300 is too large for a metric"),
    ],
)
def test_a_formula_without_usable_result_is_an_error(formula, problem) -> None:
    """A result that is no metric value is an error and never a number."""
    found = compose(policy(formula), outcome(1.0, 2.0), at=30.0)
    assert found.readings[COMPOSITE_METRIC].error == problem
    assert found.is_active is False
