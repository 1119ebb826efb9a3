"""Replay of whole lives of an HPA: every sync, with outages, restarts and hand-made changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from autoscaler.api.hpa import hpa_policy
from autoscaler.core.combine import combine
from autoscaler.core.decide import decide, record_rescale
from autoscaler.core.memory import decode_memory, encode_memory
from autoscaler.core.model import (
    Container,
    Memory,
    MetricPolicy,
    MetricSource,
    Observation,
    Pod,
    PodSample,
    Policy,
    Reading,
)
from autoscaler.core.quantity import to_milli
from tests.golden.hpa_observation import proposals_of, settings_of, total_reading
from tests.golden.replay import Case, Outcome, replays

OUTAGE = "the API server does not answer"
WRITE_ERROR = "admission webhook denied the request"
PODS_REQUEST = Container(name="app", requests_milli={"cpu": 500, "memory": to_milli("256Mi")})


@dataclass
class Life:
    """An HPA on its way through a case: what it was told and what it remembers."""

    policy: Policy
    memory: Memory = field(default_factory=Memory)
    scale_unreadable: bool = False
    scale_unwritable: bool = False


@replays(
    "hpa/trajectories-external-default",
    "hpa/trajectories-external-behavior",
    "hpa/trajectories-scale-to-zero",
    "hpa/trajectories-perturbed",
    "hpa/trajectories-pod-metrics",
)
def trajectory(case: Case, _document: Mapping[str, Any]) -> Outcome:
    """Every sync's result, conditions and reasons, and the final histories, equal the real ones.

    The memory goes through its serialised form between syncs, as over a restart of ours.
    """
    settings = settings_of(case["controller_config"])
    life = Life(hpa_policy(case["hpa_spec"], settings))
    for values in case["steps"]:
        step = dict(zip(case["step_columns"], values, strict=True))
        life.scale_unreadable = life.scale_unwritable = False
        for action in step["before_step"] or ():
            _befall(life, action)
        _sync(life, step, case.get("pod_columns", ()))
        life.memory = decode_memory(encode_memory(life.memory))
    memory = life.memory
    recorded = [[entry.at_ms, entry.replicas] for entry in memory.recommendations]
    assert recorded == case["final_recommendations"], recorded
    for name in ("scale_ups", "scale_downs"):
        events = [[event.at_ms, event.change] for event in getattr(memory, name)]
        assert events == case[f"final_{name[:-1]}_events"], events
    return None


def _befall(life: Life, action: Mapping[str, Any]) -> None:
    match action["action"]:
        case "controller_restarted":
            life.memory = replace(life.memory, recommendations=(), scale_ups=(), scale_downs=())
        case "hpa_deleted_seen_by_controller_then_recreated":
            life.memory = Memory()
        case "hpa_spec_replaced":
            life.policy = hpa_policy(action["hpa_spec"], life.policy.hpa)
        case "get_scale_fails_in_this_step":
            life.scale_unreadable = True
        case "update_scale_fails_in_this_step":
            life.scale_unwritable = True
        case other:
            assert other == "target_scaled_by_someone_else", other


def _sync(life: Life, step: Mapping[str, Any], pod_columns: Sequence[str]) -> None:
    policy = life.policy
    seen = observation_of(policy, step, pod_columns, is_readable=not life.scale_unreadable)
    if seen.scale_error is None:
        combined = combine(proposals_of(policy, seen), seen.spec_replicas)
        assert combined.replicas == step["metrics_proposal"], (step["t_ms"], combined)

    decision, memory = decide(policy, life.memory, seen)
    rescaled = decision.is_rescale and not life.scale_unwritable
    if decision.is_rescale:
        memory = record_rescale(policy, memory, decision, seen.at, succeeded=rescaled)
    life.memory = memory

    where = (step["t_ms"], decision)
    after = decision.desired_replicas if rescaled else decision.current_replicas
    assert after == step["spec_replicas_after"], where
    assert (memory.desired_replicas or 0) == step["status_desired_replicas"], where
    conditions = {item.type: f"{item.status}:{item.reason}" for item in memory.conditions}
    for column, kind in (
        ("able_to_scale", "AbleToScale"),
        ("scaling_active", "ScalingActive"),
        ("scaling_limited", "ScalingLimited"),
        ("scaled_to_zero", "ScaledToZero"),
    ):
        assert conditions.get(kind) == step[column], (kind, *where)
    if step["rescale_reason"] is not None:
        assert decision.is_rescale, where
        error = "" if rescaled else f"; error: {WRITE_ERROR}"
        assert f"{decision.rescale_reason}{error}" == step["rescale_reason"], where
    failed = any(event.type == "Warning" for event in decision.events)
    failed = failed or (decision.is_rescale and not rescaled)
    assert failed == step["reconcile_error"], where


def observation_of(
    policy: Policy, step: Mapping[str, Any], pod_columns: Sequence[str], *, is_readable: bool
) -> Observation:
    """Return what a policy sees at a recorded sync; ``is_readable`` = its scale can be read."""
    at = step["t_ms"] / 1000
    rows = [dict(zip(pod_columns, values, strict=True)) for values in step.get("pods") or ()]
    return Observation(
        at=at,
        spec_replicas=step["spec_replicas"],
        status_replicas=step["status_replicas"],
        readings={
            metric.spec.name: _reading(metric, value, rows, at)
            for metric, value in zip(policy.metrics, step["metric_values"], strict=True)
        },
        ready_pods=step["pods_running_and_ready"],
        total_pods=step["pods_total"],
        pods=tuple(_pod(row) for row in rows),
        scale_error=None if is_readable else OUTAGE,
    )


def _reading(metric: MetricPolicy, value: Any, rows: list[dict[str, Any]], at: float) -> Reading:
    if value != "from_pods":
        answer = value if isinstance(value, dict) else {"values": value}
        return total_reading(metric.spec.name, answer, at)
    column = "custom_value"
    if metric.spec.source is not MetricSource.PODS:
        column = f"{metric.spec.resource}_usage"
    samples = tuple(
        PodSample(
            pod=row["name"],
            value_milli=to_milli(row[column]),
            sampled_at=row["sample_at_s"],
            window_seconds=row["sample_window_s"],
        )
        for row in rows
        if row["sample_at_s"] is not None and row[column] is not None
    )
    return Reading(metric=metric.spec.name, sampled_at=at, samples=samples)


def _pod(row: Mapping[str, Any]) -> Pod:
    return Pod(
        name=row["name"],
        phase=row["phase"],
        ready=row["ready_condition"],
        ready_changed_at=row["ready_condition_changed_at_s"],
        started_at=row["started_at_s"],
        is_terminating=row["being_deleted"],
        containers=(PODS_REQUEST,),
    )
