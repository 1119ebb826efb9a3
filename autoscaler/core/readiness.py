"""Which pods count for per-pod metrics: counted, missing, unready or ignored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from autoscaler.core.model import HpaSettings, Pod, PodSample


class PodGroups(msgspec.Struct, frozen=True, kw_only=True):
    """Pods matching the selector, each in exactly one group.

    Attributes:
        counted: How many have a sample that counts.
        ignored: Names of terminating and failed pods.
        unready: Names of pods whose sample says nothing yet.
        missing: Names of pods without a sample.
    """

    counted: int
    ignored: frozenset[str]
    unready: frozenset[str]
    missing: frozenset[str]


def group_pods(
    pods: Sequence[Pod],
    samples: Mapping[str, PodSample],
    *,
    is_cpu: bool,
    at: float,
    settings: HpaSettings,
) -> PodGroups:
    """Sort pods into groups; the first rule that fits decides.

    Args:
        pods: Pods matching the selector.
        samples: By pod name.
        is_cpu: CPU samples of starting pods are not trusted (:func:`is_cpu_unready`).
        at: Now, epoch seconds.
        settings: For the CPU initialization period and the initial readiness delay.
    """
    counted = 0
    ignored, unready, missing = set(), set(), set()
    for pod in pods:
        sample = samples.get(pod.name)
        if pod.is_terminating or pod.phase == "Failed":
            ignored.add(pod.name)
        elif pod.phase == "Pending":
            unready.add(pod.name)
        elif sample is None:
            missing.add(pod.name)
        elif is_cpu and is_cpu_unready(pod, sample, at=at, settings=settings):
            unready.add(pod.name)
        else:
            counted += 1
    return PodGroups(
        counted=counted,
        ignored=frozenset(ignored),
        unready=frozenset(unready),
        missing=frozenset(missing),
    )


def is_cpu_unready(pod: Pod, sample: PodSample, *, at: float, settings: HpaSettings) -> bool:
    """Say whether a pod's CPU sample may still show its start-up.

    A young pod needs a sample whose whole window lies after it became ready; an old pod is left
    out only if it is unready and has been since about its start.
    """
    if pod.ready is None or pod.started_at is None:
        return True
    started_ms = _ms(pod.started_at)
    changed_ms = _ms(pod.ready_changed_at or 0.0)
    if started_ms + _ms(settings.cpu_initialization_period_seconds) > _ms(at):
        return pod.ready == "False" or _ms(sample.sampled_at) < changed_ms + _ms(
            sample.window_seconds
        )
    delay_ms = _ms(settings.initial_readiness_delay_seconds)
    return pod.ready == "False" and started_ms + delay_ms > changed_ms


def _ms(seconds: float) -> int:
    """Return whole milliseconds, so that edges compare exactly."""
    return round(seconds * 1000)
