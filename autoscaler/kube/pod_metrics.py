"""Resource usage of pods from ``metrics.k8s.io``, as samples for the HPA arithmetic."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from autoscaler.core.model import PodSample
from autoscaler.core.quantity import to_milli
from autoscaler.errors import KubeError, MetricMalformed, QuantityError, shorten
from autoscaler.kube.metric_errors import as_metric_error
from autoscaler.kube.resources import POD_METRICS
from autoscaler.kube.transport import KubeClient

_DURATION_PART: Final = re.compile(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)")
_UNIT_SECONDS: Final = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0,
}  # fmt: skip
DEFAULT_WINDOW_SECONDS: Final = 60.0


class PodMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """What one pod used.

    Attributes:
        usage_milli: By container, then by resource; an amount that is no quantity is left out.
        sampled_at: End of the window, epoch seconds.
    """

    pod: str
    usage_milli: Mapping[str, Mapping[str, int]]
    sampled_at: float
    window_seconds: float


class _Usage(msgspec.Struct, frozen=True):
    name: str = ""
    usage: dict[str, str] = {}


class _Meta(msgspec.Struct, frozen=True):
    name: str = ""


class _PodMetrics(msgspec.Struct, frozen=True):
    metadata: _Meta
    timestamp: datetime | None = None
    window: str = ""
    containers: list[_Usage] = []


class _PodMetricsList(msgspec.Struct, frozen=True):
    items: list[_PodMetrics]


_decode = msgspec.json.Decoder(_PodMetricsList).decode


async def read_pod_metrics(
    client: KubeClient, namespace: str, selector: str
) -> tuple[PodMetrics, ...]:
    """Read the usage of the pods matching a selector.

    Args:
        client: Connection.
        namespace: Of the pods.
        selector: Textual label selector; empty = all pods of the namespace.

    Raises:
        MetricError: The metrics API does not answer, refuses, or answers nonsense.
    """
    path = POD_METRICS.path(namespace)
    params = {"labelSelector": selector} if selector else None
    try:
        body = await client.request("GET", path, params=params)
    except KubeError as exc:
        raise as_metric_error(exc) from exc
    try:
        found = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise MetricMalformed(f"GET {path}: not pod metrics: {shorten(str(exc))}") from exc
    return tuple(
        PodMetrics(
            pod=item.metadata.name,
            usage_milli={c.name: _amounts(c.usage) for c in item.containers},
            sampled_at=item.timestamp.timestamp() if item.timestamp else 0.0,
            window_seconds=_seconds(item.window),
        )
        for item in found.items
    )


def resource_samples(
    metrics: Sequence[PodMetrics], resource: str, container: str | None = None
) -> tuple[PodSample, ...]:
    """Return one sample for each pod that has one.

    A pod's sample is the sum over its containers; if any of them lacks the resource, or there are
    none, the pod has no sample. With ``container``, only that container counts.

    Args:
        metrics: As read.
        resource: ``cpu`` or ``memory``.
        container: Name, or None for whole pods.
    """
    samples = []
    for item in metrics:
        counted = item.usage_milli
        if container is not None:
            counted = {name: usage for name, usage in counted.items() if name == container}
        amounts = [usage[resource] for usage in counted.values() if resource in usage]
        if amounts and len(amounts) == len(counted):
            samples.append(
                PodSample(
                    pod=item.pod,
                    value_milli=sum(amounts),
                    sampled_at=item.sampled_at,
                    window_seconds=item.window_seconds,
                )
            )
    return tuple(samples)


def _amounts(usage: Mapping[str, str]) -> dict[str, int]:
    amounts = {}
    for name, text in usage.items():
        try:
            amounts[name] = to_milli(text)
        except QuantityError:
            continue
    return amounts


def _seconds(duration: str) -> float:
    """Return a Go duration such as ``1m0.5s`` in seconds; the default when it is none."""
    parts = _DURATION_PART.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        return DEFAULT_WINDOW_SECONDS
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
