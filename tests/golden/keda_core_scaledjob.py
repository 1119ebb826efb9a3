"""Replay of ``scaledjob``: queue length, combination, strategies and the whole job decision."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from autoscaler.api.fields import parse_timestamp
from autoscaler.api.rules import parse_number
from autoscaler.controller.jobs.template import Maker, job_body
from autoscaler.core.job_conditions import job_conditions, jobs_created_event
from autoscaler.core.jobs import (
    DEFAULT_HISTORY_LIMIT,
    Job,
    JobCalculation,
    JobCounts,
    JobPod,
    JobPolicy,
    JobStrategy,
    QueueLoad,
    average_target,
    combine,
    count_jobs,
    job_bounds,
    job_ceiling,
    jobs_beyond_history,
    jobs_to_create,
    queue_load,
)
from autoscaler.core.model import MetricSpec, TargetType
from autoscaler.kube.codec import CustomObject, ObjectMeta
from autoscaler.kube.jobs import GENERATION, NAME_LABEL
from tests.golden.keda_core_shapes import Raw, conditions_of, milli
from tests.golden.replay import Case, Differs, NotCovered, Outcome, replays


def strategy_of(raw: Raw) -> dict[str, Any]:
    """Return the policy fields of a ``scalingStrategy``; an unknown word is the default, as there.

    A share that is no number makes ``custom`` the default strategy as well.
    """
    name = raw.get("strategy") or "default"
    share = parse_number(raw.get("customScalingRunningJobPercentage") or "nan")
    if name not in set(JobStrategy) or (name == "custom" and math.isnan(share)):
        name = "default"
    return {
        "strategy": JobStrategy(name),
        "queue_length_deduction": raw.get("customScalingQueueLengthDeduction") or 0,
        "running_job_ratio": 0.0 if math.isnan(share) else share,
        "pending_pod_conditions": tuple(raw.get("pendingPodConditions") or ()),
        "calculation": calculation_of(raw.get("multipleScalersCalculation")),
    }


def calculation_of(word: str | None) -> JobCalculation:
    """Return the calculation; an unknown word is ``max``, as there."""
    return JobCalculation(word) if word in set(JobCalculation) else JobCalculation.MAX


@replays("keda/scaledjob")
def replay_scaledjob(case: Case, document: Case) -> Outcome:
    """Replay one of the four areas."""
    match case["area"]:
        case "decision":
            return _decision(case)
        case "queue-length":
            return _queue_length(case)
        case "multiple-scalers":
            return _multiple_scalers(case)
        case "executor":
            return _executor(case)
        case area:
            return NotCovered(f"scaledjob {area}")


def _lacks_deduction(strategy: Raw) -> bool:
    """Say whether KEDA crashes on the strategy: ``custom`` without a deduction."""
    share = strategy.get("customScalingRunningJobPercentage")
    is_custom = strategy.get("strategy") == "custom"
    has_share = bool(share) and _is_float(share)
    return is_custom and has_share and strategy.get("customScalingQueueLengthDeduction") is None


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_nan_share(strategy: Raw) -> bool:
    share = strategy.get("customScalingRunningJobPercentage") or ""
    return strategy.get("strategy") == "custom" and share.lower() == "nan"


def _decision(case: Case) -> Outcome:
    given, expected = case["input"], case["expect"]
    minimum, most = job_bounds(given["minReplicaCount"], given["maxReplicaCount"])
    policy = JobPolicy(
        min_jobs=minimum, max_queue_jobs=most, **strategy_of(given["scalingStrategy"])
    )
    counts = JobCounts(given["runningJobs"], given["pendingJobs"])
    ceiling, wanted = job_ceiling(
        policy, QueueLoad(given["scaleTo"], given["maxScale"], True), counts
    )
    if _lacks_deduction(given["scalingStrategy"]) and counts.running >= minimum:
        assert "panic" in expected
        if not _is_nan_share(given["scalingStrategy"]):
            assert policy.strategy is JobStrategy.CUSTOM
        return Differs("job-deduction-is-optional")
    if _is_nan_share(given["scalingStrategy"]):
        assert policy.strategy is JobStrategy.DEFAULT
        return Differs("job-share-is-a-number")
    assert (minimum, most) == (expected["minReplicaCount"], expected["maxReplicaCount"])
    used = policy.strategy if counts.running >= minimum else expected["strategyUsed"]
    assert used == expected["strategyUsed"], f"strategy {policy.strategy}"
    assert (ceiling, wanted) == (expected["effectiveMaxScale"], expected["scaleTo"])
    return None


def _queue_length(case: Case) -> Outcome:
    given, expected = case["input"], case["expect"]
    specs = [
        MetricSpec(
            name=raw["metricName"],
            target_type=TargetType(raw["targetType"]),
            target_milli=milli(raw["target"]),
        )
        for raw in given["metricSpecs"]
    ]
    values = [(raw["metricName"], milli(raw["quantity"])) for raw in given["metrics"]]
    length, most = queue_load(specs, values, given["maxReplicaCount"])
    found = (length, most, average_target(specs))
    wanted = tuple(expected[key] for key in ("queueLength", "maxValue", "targetAverageValue"))
    assert all(map(_is_close, found, wanted)), f"{found} != {wanted}"
    return None


def _is_close(found: float, wanted: float) -> bool:
    return math.isclose(found, wanted, rel_tol=1e-12, abs_tol=1e-12)


def _multiple_scalers(case: Case) -> Outcome:
    given, expected = case["input"], case["expect"]
    policy = JobPolicy(
        min_jobs=given["minReplicaCount"],
        max_queue_jobs=given["maxReplicaCount"],
        calculation=calculation_of(given["multipleScalersCalculation"]),
    )
    loads = [
        QueueLoad(raw["queueLength"], raw["maxValue"], raw["isActive"]) for raw in given["scalers"]
    ]
    load = combine(policy, loads)
    assert load.is_active == expected["isActive"]
    assert math.ceil(load.queue_length) == expected["queueLength"]
    assert math.ceil(load.max_jobs) == expected["maxValue"]
    assert _is_close(load.max_jobs, expected["maxValueFloat"])
    return None


def _jobs(raw_jobs: list[Raw]) -> tuple[Job, ...]:
    return tuple(
        Job(
            name=raw["name"],
            outcome=raw["state"] if raw["state"] in ("Complete", "Failed") else "",
            finished_at=parse_timestamp(raw["completionTime"]) if raw["completionTime"] else None,
            pods=tuple(
                JobPod(
                    phase=pod["phase"],
                    conditions=frozenset(k for k, v in pod["conditions"].items() if v == "True"),
                )
                for pod in raw["pods"]
            ),
        )
        for raw in raw_jobs
    )


def _executor(case: Case) -> Outcome:
    """Compare counts, creations, deletions, conditions, events and the job that is created."""
    given, expected = case["input"], case["expect"]
    spec = given["scaledJob"]["spec"]
    strategy = spec.get("scalingStrategy") or {}
    minimum, most = job_bounds(spec.get("minReplicaCount"), spec.get("maxReplicaCount"))
    policy = JobPolicy(
        min_jobs=minimum,
        max_queue_jobs=most,
        successful_jobs_history_limit=spec.get("successfulJobsHistoryLimit", DEFAULT_HISTORY_LIMIT),
        failed_jobs_history_limit=spec.get("failedJobsHistoryLimit", DEFAULT_HISTORY_LIMIT),
        **strategy_of(strategy),
    )
    jobs = _jobs(given["jobs"])
    counts = count_jobs(policy, jobs)
    assert (counts.running, counts.pending) == (expected["runningJobs"], expected["pendingJobs"])
    load = QueueLoad(given["scaleTo"], given["maxScale"], given["isActive"])
    created = jobs_to_create(policy, load, counts) if load.is_active else 0
    if _lacks_deduction(strategy) and counts.running >= minimum:
        assert "panic" in expected
        assert 0 <= created <= most
        return Differs("job-deduction-is-optional")
    assert created == expected["created"], f"creates {created}, not {expected['created']}"
    assert list(jobs_beyond_history(policy, jobs)) == expected["deleted"]
    known, events = job_conditions(
        conditions_of(given["scaledJob"]["status"]["conditions"]),
        is_active=given["isActive"],
        is_error=given["isError"],
    )
    recorded = {c.type: c for c in conditions_of(expected["status"]["conditions"])}
    for condition in known:
        if condition.type in ("Ready", "Active"):
            assert condition == recorded[condition.type]
    creation = (jobs_created_event(created),) if created else ()
    shown = [f"{event.type} {event.reason} {event.message}" for event in (*creation, *events)]
    assert shown == expected["events"], f"{shown} != {expected['events']}"
    return _created_job(given["scaledJob"], expected["createdJob"]) if created else None


def _created_job(scaled_job: Raw, expected: Raw) -> Outcome:
    """Compare the job that is created with KEDA's, empty values left out."""
    meta = msgspec.convert(scaled_job["metadata"], ObjectMeta)
    maker = Maker("keda-operator", "{{KEDA_VERSION}}")
    body = job_body(CustomObject(metadata=meta, raw=scaled_job), maker)
    hides = NAME_LABEL in meta.labels or GENERATION in meta.annotations
    for kind, key in (("labels", NAME_LABEL), ("annotations", GENERATION)):
        ours = {NAME_LABEL: meta.name, GENERATION: str(meta.generation)}[key]
        assert body["metadata"][kind][key] == ours
        if hides:
            expected["metadata"][kind][key] = ours
    del body["apiVersion"], body["kind"]
    assert _without_empty(body) == _without_empty(expected)
    return Differs("job-stays-findable") if hides else None


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_empty(one) for key, one in value.items()}
        return {key: one for key, one in kept.items() if one not in ({}, "", None)}
    return [_without_empty(one) for one in value] if isinstance(value, list) else value
