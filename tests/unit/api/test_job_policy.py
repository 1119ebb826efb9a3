"""From a ScaledJob to the policy the core decides with."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.api.job_policy import scaled_job_policy
from autoscaler.api.parse import parse_object
from autoscaler.api.policy import TriggerMetrics
from autoscaler.api.problems import InvalidObject
from autoscaler.api.scaledjob import ScaledJob
from autoscaler.core.jobs import JobCalculation, JobPolicy, JobStrategy
from autoscaler.core.model import MetricSpec
from tests.unit.api.objects import FLYBALL, KEDA, scaled_job

VIDEOS = TriggerMetrics(
    index=0, type="redis", specs=(MetricSpec(name="s0-redis-videos", target_milli=1000),)
)


def _policy(
    spec: dict[str, Any] | None = None, *, api_version: str = FLYBALL, **metadata: Any
) -> JobPolicy:
    obj = parse_object(scaled_job(spec, api_version=api_version, **metadata))
    assert isinstance(obj, ScaledJob)
    return scaled_job_policy(obj, [VIDEOS])


def test_the_plainest_job_has_kedas_defaults() -> None:
    """Bounds, limits and strategy are KEDA's documented defaults."""
    policy = _policy(generation=4)
    assert policy.key == "shop/conversion"
    assert (policy.min_jobs, policy.max_queue_jobs) == (0, 100)
    assert (policy.strategy, policy.calculation) == (JobStrategy.DEFAULT, JobCalculation.MAX)
    assert (policy.successful_jobs_history_limit, policy.failed_jobs_history_limit) == (100, 100)
    assert (policy.generation, policy.deletes_on_rollout, policy.paused) == ("4", False, False)
    assert policy.metrics[0].spec is VIDEOS.specs[0]


@pytest.mark.parametrize(
    ("api_version", "rollout", "deletes"),
    [
        (FLYBALL, {}, False),
        (FLYBALL, {"rollout": {"strategy": "default"}}, False),
        (FLYBALL, {"rollout": {"strategy": "immediate"}}, True),
        (FLYBALL, {"rolloutStrategy": "immediate"}, True),
        (KEDA, {}, True),
        (KEDA, {"rollout": {"strategy": "default"}}, True),
        (KEDA, {"rollout": {"strategy": "gradual"}}, False),
        (KEDA, {"rolloutStrategy": "gradual"}, False),
    ],
)
def test_running_work_goes_only_where_that_is_asked_for(
    api_version: str, rollout: dict[str, Any], *, deletes: bool
) -> None:
    """Ours replaces running jobs when told to, KEDA's unless told not to."""
    assert _policy(rollout, api_version=api_version).deletes_on_rollout is deletes


def test_everything_written_reaches_the_policy() -> None:
    """Each field of the spec has its place."""
    policy = _policy(
        {
            "minReplicaCount": 2,
            "maxReplicaCount": 10,
            "successfulJobsHistoryLimit": 0,
            "failedJobsHistoryLimit": 7,
            "rollout": {"strategy": "gradual"},
            "scalingStrategy": {
                "strategy": "custom",
                "customScalingQueueLengthDeduction": 1,
                "customScalingRunningJobPercentage": "0.5",
                "pendingPodConditions": ["Ready"],
                "multipleScalersCalculation": "sum",
            },
        },
        annotations={"autoscaling.keda.sh/paused": "true"},
    )
    assert (policy.min_jobs, policy.max_queue_jobs) == (2, 8)
    assert (policy.successful_jobs_history_limit, policy.failed_jobs_history_limit) == (0, 7)
    assert (policy.strategy, policy.calculation) == (JobStrategy.CUSTOM, JobCalculation.SUM)
    assert (policy.queue_length_deduction, policy.running_job_ratio) == (1, 0.5)
    assert policy.pending_pod_conditions == ("Ready",)
    assert not policy.deletes_on_rollout
    assert policy.paused


@pytest.mark.parametrize(
    "strategy",
    [
        {"strategy": "fancy"},
        {"strategy": "custom"},
        {"strategy": "custom", "customScalingRunningJobPercentage": "half"},
        {"multipleScalersCalculation": "mean"},
    ],
)
def test_adopted_jobs_fall_back_where_keda_does(strategy: dict[str, str]) -> None:
    """Words KEDA does not understand mean its defaults on its own objects, a refusal on ours."""
    policy = _policy({"scalingStrategy": strategy}, api_version=KEDA)
    assert (policy.strategy, policy.calculation) == (JobStrategy.DEFAULT, JobCalculation.MAX)
    with pytest.raises(InvalidObject, match="scalingStrategy"):
        _policy({"scalingStrategy": strategy})


def test_usage_of_pods_is_no_queue() -> None:
    """Cpu and memory triggers are refused in our ScaledJobs and ignored in KEDA's."""
    cpu = {"triggers": [{"type": "cpu", "metadata": {"value": "60"}}]}
    assert parse_object(scaled_job(cpu, api_version=KEDA)) is not None
    with pytest.raises(InvalidObject, match=r"spec\.triggers\[0\]\.type"):
        parse_object(scaled_job(cpu))


def test_adopted_jobs_keep_kedas_bounds() -> None:
    """A minimum above the maximum is the maximum."""
    policy = _policy({"minReplicaCount": 9, "maxReplicaCount": 5}, api_version=KEDA)
    assert (policy.min_jobs, policy.max_queue_jobs) == (5, 5)


def test_metrics_are_checked() -> None:
    """A target of nothing is a problem of the trigger that brings it."""
    obj = parse_object(scaled_job())
    assert isinstance(obj, ScaledJob)
    empty = TriggerMetrics(index=0, specs=(MetricSpec(name="s0-x", target_milli=0),))
    with pytest.raises(InvalidObject, match=r"spec\.triggers\[0\]\.metadata"):
        scaled_job_policy(obj, [empty])
