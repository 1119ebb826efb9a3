"""What may be told while nobody knows what the target has."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from autoscaler.core.decide import decide
from autoscaler.core.formula import compile_formula
from autoscaler.core.model import (
    Fallback,
    FallbackBehavior,
    Memory,
    MetricPolicy,
    MetricSpec,
    Modifiers,
    Observation,
    Pause,
    Policy,
    Reading,
)
from autoscaler.external.doubt import doubt

NOW = 1_000.0
JOBS = MetricPolicy(spec=MetricSpec(name="jobs", target_milli=5_000), trigger="jobs")
MAILS = MetricPolicy(spec=MetricSpec(name="mails", target_milli=5_000), trigger="mails")
FAILED = Reading.failed("jobs", "status 503", NOW)


def doubted(policy: Policy, readings: Mapping[str, Reading], *, failures: int = 1) -> str:
    """Return the doubt after a metric failed some times in a row."""
    memory = Memory()
    for second in range(failures):
        seen_readings = {
            name: reading
            if reading.error is None
            else Reading.failed(name, reading.error, NOW - failures + second)
            for name, reading in readings.items()
        }
        seen = Observation(at=NOW, spec_replicas=0, status_replicas=0, readings=seen_readings)
        _, memory = decide(policy, memory, seen)
    return doubt(policy, memory, seen_readings, NOW)


def falling_back(behavior: FallbackBehavior, *metrics: MetricPolicy) -> Policy:
    """Return a policy that falls back after its second failure."""
    fallback = Fallback(failure_threshold=1, replicas=6, behavior=behavior)
    return Policy(metrics=metrics or (JOBS,), fallback=fallback)


def test_metrics_that_were_all_read_leave_no_doubt():
    """A zero among them is as good as any other value."""
    readings = {"jobs": Reading.of("jobs", 0, NOW), "mails": Reading.of("mails", 9, NOW)}
    assert doubted(Policy(metrics=(JOBS, MAILS)), readings) == ""


@pytest.mark.parametrize("value", [0, 50])
def test_one_failing_metric_is_enough(value):
    """It may be the one that needs more than the others, whatever those say."""
    readings = {"jobs": FAILED, "mails": Reading.of("mails", value, NOW)}
    assert doubted(Policy(metrics=(JOBS, MAILS)), readings) == (
        "what the target has is not known, and not every metric could be read: jobs: status 503"
    )


def test_one_unread_metric_is_enough():
    """Not read yet is not known."""
    why = doubted(Policy(metrics=(JOBS, MAILS)), {"mails": Reading.of("mails", 9, NOW)})
    assert "jobs: metric jobs has not been read yet" in why


def test_without_metrics_there_is_nothing_to_go_by():
    """A source that declares none says nothing."""
    assert doubted(Policy(), {}) == "what the target has is not known, and there is no metric"


def test_a_fixed_fallback_stands_for_a_metric_once_it_applies():
    """It says how many; before its threshold is passed it says nothing."""
    policy = falling_back(FallbackBehavior.STATIC)
    assert "status 503" in doubted(policy, {"jobs": FAILED})
    assert doubted(policy, {"jobs": FAILED}, failures=2) == ""


def test_a_fallback_stands_only_for_metrics_that_have_passed_its_threshold():
    """Another metric that was never read stays in doubt."""
    policy = falling_back(FallbackBehavior.STATIC, JOBS, MAILS)
    assert "mails" in doubted(policy, {"jobs": FAILED}, failures=2)


@pytest.mark.parametrize(
    "behavior",
    [
        FallbackBehavior.CURRENT_REPLICAS,
        FallbackBehavior.CURRENT_REPLICAS_IF_HIGHER,
        FallbackBehavior.CURRENT_REPLICAS_IF_LOWER,
    ],
)
def test_a_fallback_that_goes_by_the_present_count_is_none(behavior):
    """There is no such count to go by."""
    why = doubted(falling_back(behavior), {"jobs": FAILED}, failures=2)
    assert why == (
        f"what the target has is not known, and fallback.behavior {behavior} goes by it: "
        "jobs: status 503"
    )


def test_a_formula_may_deal_with_a_metric_that_keeps_failing():
    """As far as its fallback leaves it to the formula; a formula that fails is no value."""
    formula = "jobs ?? mails"
    policy = _with_formula(falling_back(FallbackBehavior.SCALING_MODIFIERS, JOBS, MAILS), formula)
    readings = {"jobs": FAILED, "mails": Reading.of("mails", 9, NOW)}
    assert doubted(policy, readings, failures=2) == ""
    policy = _with_formula(Policy(metrics=(JOBS, MAILS)), "jobs / mails")
    readings = {"jobs": Reading.of("jobs", 9, NOW), "mails": Reading.of("mails", 0, NOW)}
    assert "and the formula fails: formula jobs / mails" in doubted(policy, readings)


@pytest.mark.parametrize("pause", [Pause(paused=True), Pause(scale_in=True), Pause(scale_out=True)])
def test_a_pause_keeps_what_nobody_knows(pause):
    """Whatever the metrics say, the count stays or moves in one direction only."""
    policy = Policy(metrics=(JOBS,), pause=pause)
    assert doubted(policy, {"jobs": Reading.of("jobs", 9, NOW)}) == (
        "what the target has is not known, and annotations ask to keep it"
    )


def test_a_pause_at_a_count_leaves_no_doubt():
    """The annotation says how many."""
    assert doubted(Policy(metrics=(JOBS,), pause=Pause(paused=True, replicas=3)), {}) == ""


def _with_formula(policy: Policy, source: str) -> Policy:
    formula = compile_formula(source, ("jobs", "mails"))
    return replace(policy, modifiers=Modifiers(formula=formula, target=5, target_milli=5_000))
