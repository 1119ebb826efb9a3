"""Recorded API answers and pods to observations; shared by the replays of whole syncs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler.api.hpa import default_hpa_spec
from autoscaler.core.model import (
    Container,
    HpaSettings,
    MetricPolicy,
    MetricSource,
    Observation,
    Pod,
    PodSample,
    Policy,
    Proposal,
    Reading,
)
from autoscaler.core.proposal import propose, tolerance_of
from autoscaler.core.quantity import to_milli


def settings_of(config: Mapping[str, Any]) -> HpaSettings:
    """Return the recorded controller's flags."""
    return HpaSettings(
        tolerance=config["tolerance"],
        downscale_stabilization_seconds=config["downscale_stabilization_seconds"],
        cpu_initialization_period_seconds=config["cpu_initialization_period_seconds"],
        initial_readiness_delay_seconds=config["initial_readiness_delay_seconds"],
        scale_to_zero=config["feature_gate_HPAScaleToZero"],
        configurable_tolerance=config["feature_gate_HPAConfigurableTolerance"],
    )


def raw_metrics(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the metric blocks as stored."""
    metrics: list[dict[str, Any]] = default_hpa_spec(spec)["metrics"]
    return metrics


def block_of(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a metric block that its type names."""
    kind = raw["type"]
    block: Mapping[str, Any] = raw[kind[0].lower() + kind[1:]]
    return block


def pod_of(recorded: Mapping[str, Any], at: float) -> Pod:
    """Return a recorded pod; ages become instants."""

    def instant(field: str) -> float | None:
        return None if recorded.get(field) is None else at - recorded[field]

    level = recorded.get("pod_level_requests")
    return Pod(
        name=recorded["name"],
        phase=recorded["phase"],
        ready=recorded["ready_condition"],
        ready_changed_at=instant("ready_condition_changed_seconds_ago"),
        started_at=instant("started_seconds_ago"),
        is_terminating=bool(recorded.get("being_deleted")),
        containers=tuple(
            Container(
                name=container["name"],
                requests_milli=milli(container.get("requests") or {}),
                is_sidecar=bool(container.get("restartable_init_container")),
                is_init=bool(container.get("plain_init_container")),
            )
            for container in recorded.get("containers") or ()
        ),
        requests_milli=None if level is None else milli(level),
    )


def milli(amounts: Mapping[str, str]) -> dict[str, int]:
    """Turn quantities into thousandths."""
    return {name: to_milli(text) for name, text in amounts.items()}


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Say whether a recorded pod counts as running and ready."""
    return bool(pod["phase"] == "Running" and pod["ready_condition"] == "True")


def container_usage(
    containers: list[dict[str, Any]], resource: str, container: str | None
) -> int | None:
    """Return a pod's usage of a resource, None when the metrics API does not give it whole."""
    if container is not None:
        containers = [part for part in containers if part["name"] == container]
    values = [part["usage"].get(resource) for part in containers]
    if not values or None in values:
        return None
    return sum(to_milli(value) for value in values)


def total_reading(name: str, answer: Mapping[str, Any], at: float) -> Reading:
    """Return the reading of an External or Object metric."""
    if "error" in answer:
        return Reading.failed(name, answer["error"], at)
    values = tuple(to_milli(value) for value in answer.get("values") or ())
    return Reading(metric=name, sampled_at=at, values_milli=values)


def api_reading(metric: MetricPolicy, raw: Mapping[str, Any], case: Any, at: float) -> Reading:
    """Return what the recorded metrics APIs answer for one metric."""
    spec, block, api = metric.spec, block_of(raw), case["metrics_api"]
    selector = block.get("metric", {}).get("selector") or {}
    if any(item["operator"] == "Bogus" for item in selector.get("matchExpressions") or ()):
        return Reading.failed(spec.name, "no valid label selector operator", at)
    match spec.source:
        case MetricSource.EXTERNAL:
            answer = api["external"][block["metric"]["name"]]
            return total_reading(spec.name, answer, at)
        case MetricSource.OBJECT:
            described = block["describedObject"]
            key = f"{described['kind']}/{described['name']}/{block['metric']['name']}"
            answer = api.get("object", {}).get(key, {"error": "no such metric"})
            return total_reading(spec.name, answer, at)
        case MetricSource.PODS:
            answer = api["pods"][block["metric"]["name"]]
            samples = [
                PodSample(pod=item["pod"], value_milli=to_milli(item["value"]), sampled_at=at)
                for item in answer.get("samples") or ()
            ]
        case _:
            answer = api["resource"]
            samples = []
            for item in answer.get("pod_metrics") or ():
                usage = container_usage(item["containers"], spec.resource or "", spec.container)
                if usage is not None:
                    samples.append(
                        PodSample(
                            pod=item["pod"],
                            value_milli=usage,
                            sampled_at=at - item["sample_seconds_ago"],
                            window_seconds=item["window_seconds"],
                        )
                    )
    if "error" in answer:
        return Reading.failed(spec.name, answer["error"], at)
    return Reading(metric=spec.name, sampled_at=at, samples=tuple(samples))


def proposals_of(policy: Policy, seen: Observation) -> list[Proposal]:
    """Return every metric's proposal, also where a sync would not ask."""
    tolerance = tolerance_of(policy)
    return [
        propose(metric, seen.readings[metric.spec.name], seen, policy, tolerance)
        for metric in policy.metrics
    ]
