"""Proposals of External and Object metrics."""

from __future__ import annotations

import pytest

from autoscaler.core.model import (
    Behavior,
    HpaSettings,
    MetricPolicy,
    MetricSource,
    MetricSpec,
    Observation,
    Policy,
    PolicyType,
    Proposal,
    Reading,
    ScalingPolicy,
    ScalingRules,
    TargetType,
)
from autoscaler.core.proposal import describe, is_total, propose, tolerance_of

RULES = ScalingRules(policies=(ScalingPolicy(type=PolicyType.PODS, value=4, period_seconds=15),))


def ask(
    spec: MetricSpec,
    *values_milli: int,
    spec_replicas: int = 4,
    status_replicas: int = 4,
    ready_pods: int = 4,
    total_pods: int = 4,
    pods_error: str | None = None,
) -> Proposal:
    """Return the proposal for a total over the given replicas and pods."""
    policy = Policy()
    seen = Observation(
        at=0.0,
        spec_replicas=spec_replicas,
        status_replicas=status_replicas,
        ready_pods=ready_pods,
        total_pods=total_pods,
        pods_error=pods_error,
        readings={},
    )
    reading = Reading(metric=spec.name, sampled_at=0.0, values_milli=values_milli)
    return propose(MetricPolicy(spec=spec), reading, seen, policy, tolerance_of(policy))


def external(
    target_type: TargetType = TargetType.AVERAGE_VALUE, target: int = 10_000
) -> MetricSpec:
    """Return an External metric with a target of ten."""
    return MetricSpec(name="m", target_type=target_type, target_milli=target)


def test_average_value_divides_the_total_by_the_target() -> None:
    """68 jobs at 10 per replica need 7 replicas, whatever runs now."""
    proposal = ask(external(), 68_000)
    assert proposal.replicas == 7
    assert proposal.current_milli == 17_000


def test_average_value_within_tolerance_keeps_the_status_count() -> None:
    """Inside the tolerance the count in status is kept, not the one in spec."""
    assert ask(external(), 42_000, spec_replicas=9).replicas == 4


def test_average_value_at_zero_reports_no_average() -> None:
    """There is nothing to divide by, but the need is known."""
    proposal = ask(external(), 68_000, spec_replicas=0, status_replicas=0)
    assert (proposal.replicas, proposal.current_milli) == (7, None)


def test_negative_external_average_reads_as_overflow() -> None:
    """The HPA takes a negative sum for an overflow; Object metrics do not."""
    assert ask(external(), -1).replicas == 2**31 - 1
    assert ask(external(), -1).current_milli == 2**63 - 1
    own = MetricSpec(name="m", source=MetricSource.OBJECT, target_milli=10_000)
    assert ask(own, -20_000).replicas == -2


def test_value_scales_ready_pods_by_the_ratio() -> None:
    """Twice the target doubles the ready pods, not the replicas asked for earlier."""
    assert ask(external(TargetType.VALUE), 20_000, spec_replicas=10, ready_pods=2).replicas == 4


def test_value_within_tolerance_needs_no_pods() -> None:
    """On target, nothing changes even when no pod can be seen."""
    on_target = ask(external(TargetType.VALUE), 10_500, total_pods=0, ready_pods=0)
    assert on_target.replicas == 4
    assert ask(external(TargetType.VALUE), 20_000, total_pods=0).replicas is None


def test_value_at_zero_is_the_ratio() -> None:
    """From zero the ratio itself is the need."""
    assert ask(external(TargetType.VALUE), 25_000, spec_replicas=0, status_replicas=0).replicas == 3


def test_unknown_pods_fail_what_involves_them() -> None:
    """Nothing is made up for pods nobody sees; what needs none of them goes on."""
    by_value = external(TargetType.VALUE)
    failed = ask(by_value, 20_000, pods_error="the pods are hidden")
    assert (failed.replicas, failed.error) == (None, "the pods are hidden")
    assert failed.error_reason == "FailedGetExternalMetric"
    cpu = MetricSpec(name="m", source=MetricSource.RESOURCE, resource="cpu", target_milli=500)
    failed = ask(cpu, 20_000, pods_error="the pods are hidden")
    assert (failed.replicas, failed.error) == (None, "the pods are hidden")
    assert failed.error_reason == "FailedGetResourceMetric"
    assert ask(external(), 68_000, pods_error="hidden").replicas == 7
    assert ask(by_value, 10_500, pods_error="hidden").replicas == 4
    assert ask(by_value, 25_000, spec_replicas=0, pods_error="hidden").replicas == 3


def test_huge_values_end_at_int32() -> None:
    """A proposal never leaves the range of a replica count."""
    assert ask(external(TargetType.VALUE, 1), 2**63).replicas == 2**31 - 1
    assert ask(external(target=1), 2**62, 2**62, 2**62).replicas == 2**31 - 1


@pytest.mark.parametrize(
    ("spec", "values"), [(external(target=0), (1000,)), (external(), ())], ids=["target", "values"]
)
def test_nothing_to_compute_from_is_an_error(spec: MetricSpec, values: tuple[int, ...]) -> None:
    """A missing target or an empty answer is a failure, never zero replicas."""
    proposal = ask(spec, *values)
    assert proposal.replicas is None
    assert proposal.error_reason == "FailedGetExternalMetric"


def test_behavior_tolerances_replace_the_common_one_per_direction() -> None:
    """Each direction may have its own tolerance, unless the gate is off."""
    down = ScalingRules(policies=RULES.policies, tolerance=0.5)
    policy = Policy(behavior=Behavior(scale_up=RULES, scale_down=down))
    assert tolerance_of(policy) == (0.5, 1.1)
    up = ScalingRules(policies=RULES.policies, tolerance=0.0)
    policy = Policy(behavior=Behavior(scale_up=up, scale_down=RULES))
    assert tolerance_of(policy) == (0.9, 1.0)
    gated = HpaSettings(configurable_tolerance=False)
    policy = Policy(behavior=Behavior(scale_up=up, scale_down=down), hpa=gated)
    assert tolerance_of(policy) == (0.9, 1.1)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (MetricSpec(name="m", description="my words"), "my words"),
        (MetricSpec(name="m"), "external metric m(nil)"),
        (MetricSpec(name="m", source=MetricSource.OBJECT), "external metric m(nil)"),
        (
            MetricSpec(name="m", source=MetricSource.OBJECT, target_type=TargetType.VALUE),
            "object metric m",
        ),
        (MetricSpec(name="m", source=MetricSource.PODS), "pods metric m"),
        (MetricSpec(name="m", source=MetricSource.RESOURCE, resource="cpu"), "cpu resource"),
        (
            MetricSpec(
                name="m",
                source=MetricSource.RESOURCE,
                resource="cpu",
                target_type=TargetType.UTILIZATION,
            ),
            "cpu resource utilization (percentage of request)",
        ),
        (
            MetricSpec(
                name="m",
                source=MetricSource.CONTAINER_RESOURCE,
                resource="cpu",
                container="app",
                target_type=TargetType.UTILIZATION,
            ),
            "cpu container resource utilization (percentage of request)",
        ),
    ],
)
def test_metrics_have_the_hpas_words(spec: MetricSpec, words: str) -> None:
    """Reason texts read as those of the HPA."""
    assert describe(spec) == words


def test_totals_are_the_metrics_that_need_no_pods() -> None:
    """External and Object metrics can be read at zero replicas."""
    assert is_total(MetricPolicy(spec=external()))
    assert not is_total(MetricPolicy(spec=MetricSpec(name="m", source=MetricSource.PODS)))
