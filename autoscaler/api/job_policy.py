"""From a ScaledJob to the policy the core decides with.

Words KEDA does not know make it fall back to its defaults; the rules report them, and what is left
here follows KEDA.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from autoscaler.api.annotations import PAUSED, is_on
from autoscaler.api.policy import TriggerMetrics, check_metrics, metric_policies
from autoscaler.api.problems import InvalidObject
from autoscaler.api.rules import parse_number, scaled_job_problems
from autoscaler.api.scaledjob import DEFAULT_JOBS_HISTORY_LIMIT, ScaledJob, ScalingStrategy
from autoscaler.core.jobs import JobCalculation, JobPolicy, JobStrategy, job_bounds


def scaled_job_policy(obj: ScaledJob, triggers: Sequence[TriggerMetrics]) -> JobPolicy:
    """Return the policy of an object.

    Args:
        obj: As parsed.
        triggers: What its scalers declare, in trigger order.

    Raises:
        InvalidObject: The object breaks a rule, or its metrics do not fit together.
    """
    errors = [problem for problem in scaled_job_problems(obj) if not problem.is_warning]
    errors += check_metrics(triggers, needs_targets=True)
    if errors:
        raise InvalidObject(errors, subject=f"ScaledJob {obj.metadata.key}")
    spec = obj.spec
    min_jobs, max_queue_jobs = job_bounds(spec.min_replica_count, spec.max_replica_count)
    return JobPolicy(
        key=obj.metadata.key,
        min_jobs=min_jobs,
        max_queue_jobs=max_queue_jobs,
        metrics=tuple(metric_policies(spec.triggers, triggers)),
        **job_strategy(spec.scaling_strategy or ScalingStrategy()),
        successful_jobs_history_limit=_limit(spec.successful_jobs_history_limit),
        failed_jobs_history_limit=_limit(spec.failed_jobs_history_limit),
        generation=str(obj.metadata.generation),
        deletes_on_rollout=obj.deletes_on_rollout,
        paused=is_on(obj.metadata.annotations, PAUSED),
    )


def job_strategy(written: ScalingStrategy) -> dict[str, Any]:
    """Return the fields of ``JobPolicy`` that ``scalingStrategy`` decides.

    An unknown strategy, and ``custom`` without a number for its share, is the default strategy; an
    unknown calculation is ``max``.
    """
    share = parse_number(written.custom_scaling_running_job_percentage)
    name = written.strategy
    if name not in set(JobStrategy) or (name == JobStrategy.CUSTOM and math.isnan(share)):
        name = JobStrategy.DEFAULT
    calculation = written.multiple_scalers_calculation
    return {
        "strategy": JobStrategy(name),
        "calculation": JobCalculation(
            calculation if calculation in set(JobCalculation) else JobCalculation.MAX
        ),
        "queue_length_deduction": written.custom_scaling_queue_length_deduction or 0,
        "running_job_ratio": 0.0 if math.isnan(share) else share,
        "pending_pod_conditions": tuple(written.pending_pod_conditions),
    }


def _limit(written: int | None) -> int:
    return DEFAULT_JOBS_HISTORY_LIMIT if written is None else written
