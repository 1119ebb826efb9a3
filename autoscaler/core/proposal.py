"""One metric to one replica proposal, as the HPA computes it for each kind of metric.

The arithmetic is the HPA's to the rounding: integer thousandths in, doubles in the order written,
the tolerance per metric. Pods and (Container)Resource metrics are in
:mod:`autoscaler.core.pod_metrics`.
"""

from __future__ import annotations

import math
from typing import Final

from autoscaler.core import pod_metrics
from autoscaler.core.model import (
    INT32_MAX,
    MetricPolicy,
    MetricSource,
    MetricSpec,
    Observation,
    Policy,
    Proposal,
    Reading,
    TargetType,
)

INT64_MAX: Final = 2**63 - 1

FAILURE_REASONS: Final = {
    MetricSource.EXTERNAL: "FailedGetExternalMetric",
    MetricSource.OBJECT: "FailedGetObjectMetric",
    MetricSource.PODS: "FailedGetPodsMetric",
    MetricSource.RESOURCE: "FailedGetResourceMetric",
    MetricSource.CONTAINER_RESOURCE: "FailedGetContainerResourceMetric",
}
NO_PODS: Final = "the selector of the scale target matches no pods"

Tolerance = tuple[float, float]
"""Lowest and highest usage ratio that changes nothing, both inclusive."""


def tolerance_of(policy: Policy) -> Tolerance:
    """Return the ratios between which the policy's metrics change nothing."""
    settings = policy.hpa
    down = up = settings.tolerance
    behavior = policy.behavior
    if behavior is not None and settings.configurable_tolerance:
        if behavior.scale_down.tolerance is not None:
            down = behavior.scale_down.tolerance
        if behavior.scale_up.tolerance is not None:
            up = behavior.scale_up.tolerance
    return 1.0 - down, 1.0 + up


def describe(spec: MetricSpec) -> str:
    """Return the metric's description in the HPA's reason texts."""
    if spec.description:
        return spec.description
    source = spec.source
    if source is MetricSource.EXTERNAL or (
        source is MetricSource.OBJECT and spec.target_type is TargetType.AVERAGE_VALUE
    ):
        return f"external metric {spec.name}(nil)"
    if source is MetricSource.OBJECT or source is MetricSource.PODS:
        return f"{source.lower()} metric {spec.name}"
    if spec.target_type is not TargetType.UTILIZATION:
        return f"{spec.resource} resource"
    where = "container resource" if spec.container else "resource"
    return f"{spec.resource} {where} utilization (percentage of request)"


def is_total(metric: MetricPolicy) -> bool:
    """Say whether a metric can be read without pods (External or Object)."""
    return metric.spec.source in {MetricSource.EXTERNAL, MetricSource.OBJECT}


def propose(
    metric: MetricPolicy, reading: Reading, seen: Observation, policy: Policy, tolerance: Tolerance
) -> Proposal:
    """Return the replicas one metric asks for, or why it cannot say.

    Args:
        metric: Whose target counts.
        reading: After freshness, fallback and smoothing.
        seen: Replicas and pods.
        policy: For the controller-wide readiness settings.
        tolerance: Result of :func:`tolerance_of`.
    """
    spec = metric.spec
    source = spec.source
    if reading.error is not None:
        return failure(spec, reading.error)
    if spec.target_milli <= 0:
        return failure(spec, f"metric {spec.name} has no positive target")
    if source is MetricSource.EXTERNAL or source is MetricSource.OBJECT:
        return _from_total(spec, reading, seen, tolerance)
    if seen.pods_error is not None:
        return failure(spec, seen.pods_error)
    try:
        outcome = pod_metrics.replicas(
            spec,
            reading.samples,
            pods=seen.pods,
            at=seen.at,
            current=seen.spec_replicas,
            settings=policy.hpa,
            tolerance=tolerance,
        )
    except pod_metrics.Unusable as why:
        return failure(spec, str(why))
    return Proposal(
        spec.name,
        outcome.replicas,
        describe(spec),
        current_milli=outcome.average_milli,
        current_utilization=outcome.utilization,
    )


def failure(spec: MetricSpec, error: str) -> Proposal:
    """Return the proposal of a metric that has none."""
    return Proposal(
        spec.name,
        None,
        describe(spec),
        error=error,
        error_reason=FAILURE_REASONS[spec.source],
    )


def _from_total(
    spec: MetricSpec, reading: Reading, seen: Observation, tolerance: Tolerance
) -> Proposal:
    if not reading.values_milli:
        return failure(spec, f"the source returned no value for metric {spec.name}")
    if spec.target_type is TargetType.AVERAGE_VALUE:
        return _average_value(spec, reading, seen, tolerance)
    return _value(spec, reading, seen, tolerance)


def _average_value(
    spec: MetricSpec, reading: Reading, seen: Observation, tolerance: Tolerance
) -> Proposal:
    """Total divided by the target; pods and their readiness play no role."""
    usage = 0
    is_external = spec.source is MetricSource.EXTERNAL
    for value in reading.values_milli:
        usage += value
        if usage > INT64_MAX or (is_external and usage < 0):
            # The HPA takes a negative running sum for an overflow.
            usage = INT64_MAX
            break
    target = float(spec.target_milli)
    status = seen.status_replicas
    if status > 0:
        ratio = usage / (target * status)
        average = usage if usage >= INT64_MAX else math.ceil(usage / status)
        if tolerance[0] <= ratio <= tolerance[1]:
            return Proposal(spec.name, status, describe(spec), average)
    else:
        average = None
    wanted = math.ceil(usage / target)
    return Proposal(spec.name, min(wanted, INT32_MAX), describe(spec), average)


def _value(spec: MetricSpec, reading: Reading, seen: Observation, tolerance: Tolerance) -> Proposal:
    """Ratio to the target times the ready pods (at zero replicas: the ratio itself)."""
    usage = max(min(sum(reading.values_milli), INT64_MAX), -INT64_MAX)
    ratio = usage / float(spec.target_milli)
    current = seen.spec_replicas
    if current == 0:
        wanted = math.ceil(ratio)
    elif tolerance[0] <= ratio <= tolerance[1]:
        wanted = current
    elif seen.pods_error is not None:
        return failure(spec, seen.pods_error)
    elif seen.total_pods == 0:
        return failure(spec, NO_PODS)
    else:
        wanted = math.ceil(ratio * seen.ready_pods)
    return Proposal(spec.name, min(wanted, INT32_MAX), describe(spec), usage)
