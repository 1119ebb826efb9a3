"""What a decision amounts to for KEDA: a count that is known, or a reason."""

from __future__ import annotations

from collections.abc import Mapping

from autoscaler.core.decide import decide
from autoscaler.core.fallback import FALLBACK_EXISTS
from autoscaler.core.model import (
    Memory,
    MetricPolicy,
    MetricSpec,
    Observation,
    Pause,
    Policy,
    Reading,
)
from autoscaler.external.served import Trouble, Verdict, verdict_of

NOW = 1_000.0


def metric(name: str, freshness_seconds: float | None = None) -> MetricPolicy:
    """Return a metric whose target is five for each replica."""
    spec = MetricSpec(name=name, target_milli=5_000)
    return MetricPolicy(spec=spec, freshness_seconds=freshness_seconds)


def told(
    policy: Policy,
    readings: Mapping[str, Reading],
    *,
    current: int = 0,
    memory: Memory | None = None,
) -> Verdict:
    """Return what KEDA is told about a target with ``current`` replicas."""
    seen = Observation(at=NOW, spec_replicas=current, status_replicas=current, readings=readings)
    decision, _ = decide(policy, memory or Memory(), seen)
    return verdict_of(policy, decision, readings)


def test_a_metric_that_was_never_read_is_no_zero():
    """Nothing read is nothing known, however long it lasts."""
    verdict = told(Policy(metrics=(metric("jobs"),)), {})
    assert verdict.trouble is Trouble.UNAVAILABLE
    assert verdict.why == "jobs: metric jobs has not been read yet"


def test_one_failing_and_one_unread_metric_are_no_zero():
    """Every metric of the policy counts, not only those something was read of."""
    policy = Policy(metrics=(metric("jobs"), metric("mails")))
    verdict = told(policy, {"jobs": Reading.failed("jobs", "status 503", NOW)})
    assert verdict.trouble is Trouble.UNAVAILABLE
    assert verdict.why == "jobs: status 503; mails: metric mails has not been read yet"


def test_readings_of_metrics_the_policy_no_longer_has_say_nothing():
    """A value under another name does not make an unread metric a known one."""
    verdict = told(Policy(metrics=(metric("jobs"),)), {"old": Reading.of("old", 0, NOW)})
    assert verdict.trouble is Trouble.UNAVAILABLE


def test_a_value_that_is_too_old_is_no_zero():
    """What freshness does not allow any more is not known."""
    policy = Policy(metrics=(metric("jobs", freshness_seconds=30),))
    verdict = told(policy, {"jobs": Reading.of("jobs", 0, NOW - 60)})
    assert verdict.trouble is Trouble.UNAVAILABLE
    assert "the last value is 60 s old" in verdict.why


def test_a_zero_that_was_read_is_told():
    """One known metric is enough at a known count, as for the HPA."""
    policy = Policy(metrics=(metric("jobs"), metric("mails")))
    assert told(policy, {"jobs": Reading.of("jobs", 0, NOW)}) == Verdict(replicas=0)


def test_a_paused_count_is_told_whatever_can_be_read():
    """The annotation says how many; no metric is needed for that."""
    policy = Policy(metrics=(metric("jobs"),), pause=Pause(paused=True, replicas=3))
    assert told(policy, {}) == Verdict(replicas=3)


def test_a_fallback_that_was_removed_stands_in_no_longer():
    """The condition stays in memory; the policy has no fallback that could stand for anything."""
    memory = Memory(conditions=(FALLBACK_EXISTS,))
    verdict = told(Policy(metrics=(metric("jobs"),)), {}, current=4, memory=memory)
    assert verdict.trouble is Trouble.UNAVAILABLE
