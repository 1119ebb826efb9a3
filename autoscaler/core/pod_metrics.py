"""Proposals from per-pod samples: Pods, Resource and ContainerResource metrics.

The HPA corrects the ratio for pods it knows nothing about: missing samples are assumed to be on
target when scaling down and idle when scaling up, unready pods idle when scaling up. If the
correction turns the direction round, nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec

from autoscaler.core.model import (
    INT32_MAX,
    HpaSettings,
    MetricSource,
    MetricSpec,
    Pod,
    PodSample,
    TargetType,
)
from autoscaler.core.readiness import PodGroups, group_pods
from autoscaler.core.requests import MissingRequest, request_milli


class Unusable(Exception):
    """The samples give no proposal; the text says why."""


class PodProposal(msgspec.Struct, frozen=True):
    """Replicas and the values the HPA reports beside them.

    Attributes:
        average_milli: Average of the real samples.
        utilization: Whole percent of the requests; None for average-value targets.
    """

    replicas: int
    average_milli: int
    utilization: int | None = None


Ratio = Callable[[Mapping[str, int]], float]


def replicas(
    spec: MetricSpec,
    samples: Sequence[PodSample],
    *,
    pods: Sequence[Pod],
    at: float,
    current: int,
    settings: HpaSettings,
    tolerance: tuple[float, float],
) -> PodProposal:
    """Return the replicas a per-pod metric asks for.

    Args:
        spec: A Pods, Resource or ContainerResource metric.
        samples: What the metrics API returned, at most one per pod.
        pods: Pods matching the selector.
        at: Now, epoch seconds.
        current: ``spec.replicas``.
        settings: Readiness settings.
        tolerance: Lowest and highest ratio that changes nothing.

    Raises:
        Unusable: There is nothing to compute from.
    """
    if not samples:
        raise Unusable(f"the metrics API returned no samples for {spec.resource or spec.name}")
    if not pods:
        raise Unusable("the selector of the scale target matches no pods")
    by_pod = {sample.pod: sample for sample in samples}
    is_cpu = spec.source is not MetricSource.PODS and spec.resource == "cpu"
    groups = group_pods(pods, by_pod, is_cpu=is_cpu, at=at, settings=settings)
    usage = {
        name: sample.value_milli
        for name, sample in by_pod.items()
        if name not in groups.ignored and name not in groups.unready
    }
    if not usage:
        raise Unusable("no pod has a sample that counts; the pods may be starting or unready")
    if spec.target_type is TargetType.UTILIZATION:
        return _by_utilization(spec, usage, groups, pods=pods, current=current, tolerance=tolerance)
    target = spec.target_milli

    def ratio(values: Mapping[str, int]) -> float:
        return _average(values) / float(target)

    wanted = _corrected(
        usage, groups, ratio, lambda _name: target, current=current, tolerance=tolerance
    )
    return PodProposal(wanted, _average(usage))


def _by_utilization(
    spec: MetricSpec,
    usage: Mapping[str, int],
    groups: PodGroups,
    *,
    pods: Sequence[Pod],
    current: int,
    tolerance: tuple[float, float],
) -> PodProposal:
    assert spec.resource is not None
    try:
        requests = {pod.name: request_milli(pod, spec.resource, spec.container) for pod in pods}
    except MissingRequest as why:
        raise Unusable(str(why)) from why
    target = spec.target_milli

    def utilization(values: Mapping[str, int]) -> int:
        used = requested = 0
        for name, value in values.items():
            if name in requests:
                used += value
                requested += requests[name]
        if requested == 0:
            raise Unusable("no sample belongs to a pod of the scale target")
        return _truncated(100 * used, requested)

    def on_target(name: str) -> int:
        return _truncated(requests[name] * max(100, target), 100)

    wanted = _corrected(
        usage,
        groups,
        lambda values: utilization(values) / float(target),
        on_target,
        current=current,
        tolerance=tolerance,
    )
    known = [value for name, value in usage.items() if name in requests]
    return PodProposal(wanted, _truncated(sum(known), len(known)), utilization(usage))


def _corrected(
    usage: Mapping[str, int],
    groups: PodGroups,
    ratio: Ratio,
    on_target: Callable[[str], int],
    *,
    current: int,
    tolerance: tuple[float, float],
) -> int:
    """Apply the ratio with invented samples for the pods nothing is known about."""
    measured = ratio(usage)
    up_with_unready = bool(groups.unready) and measured > 1.0
    if not up_with_unready and not groups.missing:
        if tolerance[0] <= measured <= tolerance[1]:
            return current
        return min(math.ceil(measured * groups.counted), INT32_MAX)
    filled = dict(usage)
    if measured < 1.0:
        filled.update((name, on_target(name)) for name in groups.missing)
    elif measured > 1.0:
        filled.update(dict.fromkeys(groups.missing, 0))
    if up_with_unready:
        filled.update(dict.fromkeys(groups.unready, 0))
    corrected = ratio(filled)
    if tolerance[0] <= corrected <= tolerance[1]:
        return current
    if (measured < 1.0 < corrected) or (corrected < 1.0 < measured):
        return current
    wanted = min(math.ceil(corrected * len(filled)), INT32_MAX)
    if (corrected < 1.0 and wanted > current) or (corrected > 1.0 and wanted < current):
        return current
    return wanted


def _average(values: Mapping[str, int]) -> int:
    return _truncated(sum(values.values()), len(values))


def _truncated(dividend: int, divisor: int) -> int:
    """Divide integers rounding toward zero."""
    quotient = abs(dividend) // divisor
    return quotient if dividend >= 0 else -quotient
