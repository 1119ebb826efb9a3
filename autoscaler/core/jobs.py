"""ScaledJob decisions: how many jobs to create, and which jobs to delete.

Queue length and ceiling come from each trigger, are combined over the active triggers, and a
strategy says how running and pending jobs count against them. Counts are KEDA's, except that jobs
which cannot be listed mean "create nothing" instead of "nothing is running".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from autoscaler.core.activation import is_active_reading
from autoscaler.core.job_conditions import job_conditions
from autoscaler.core.model import (
    Condition,
    DecisionEvent,
    MetricPolicy,
    MetricSource,
    MetricSpec,
    Reading,
    Step,
    TargetType,
)
from autoscaler.core.readings import fresh_readings

DEFAULT_MAX_JOBS: Final = 100
DEFAULT_HISTORY_LIMIT: Final = 100


class JobStrategy(StrEnum):
    """How running and pending jobs count (KEDA names)."""

    DEFAULT = "default"
    """Messages stay in the queue until their job is done: running jobs count against it."""
    CUSTOM = "custom"
    """A share of the running jobs and a fixed number count against it."""
    ACCURATE = "accurate"
    """Messages leave the queue when a job picks them up: only pending jobs count against it."""
    EAGER = "eager"
    """As many jobs as allowed, as long as there is work."""


class JobCalculation(StrEnum):
    """How several active triggers are combined (KEDA names)."""

    MAX = "max"
    MIN = "min"
    AVG = "avg"
    SUM = "sum"


class JobPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a user decided about one ScaledJob.

    Attributes:
        key: ``namespace/name``, for messages.
        min_jobs: Jobs always kept, work or not.
        max_queue_jobs: Jobs that may run for the queues, beyond ``min_jobs``.
        metrics: In trigger order; names unique.
        queue_length_deduction: ``custom``: subtracted from the ceiling.
        running_job_ratio: ``custom``: this share of the running jobs is subtracted too.
        pending_pod_conditions: A job is pending until one of its pods has all of them; empty =
            until one of its pods runs or has succeeded.
        generation: Of the object; jobs carry the one they were created from.
        deletes_on_rollout: Whether jobs of another generation are deleted, running ones too.
        paused: Nothing is created or deleted.
    """

    key: str = ""
    min_jobs: int = 0
    max_queue_jobs: int = DEFAULT_MAX_JOBS
    metrics: tuple[MetricPolicy, ...] = ()
    strategy: JobStrategy = JobStrategy.DEFAULT
    calculation: JobCalculation = JobCalculation.MAX
    queue_length_deduction: int = 0
    running_job_ratio: float = 0.0
    pending_pod_conditions: tuple[str, ...] = ()
    successful_jobs_history_limit: int = DEFAULT_HISTORY_LIMIT
    failed_jobs_history_limit: int = DEFAULT_HISTORY_LIMIT
    generation: str = ""
    deletes_on_rollout: bool = True
    paused: bool = False


def job_bounds(minimum: int | None, maximum: int | None) -> tuple[int, int]:
    """Return ``(min_jobs, max_queue_jobs)`` as KEDA derives them from the replica counts.

    Args:
        minimum: ``minReplicaCount``, None when absent.
        maximum: ``maxReplicaCount``, None when absent: then 100 jobs beyond the minimum.
    """
    wanted = minimum or 0
    if maximum is None:
        return wanted, DEFAULT_MAX_JOBS
    if wanted > maximum:
        return maximum, maximum
    return wanted, maximum - wanted


class JobPod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod of a job: its phase and the conditions that are True."""

    phase: str
    conditions: frozenset[str] = frozenset()


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job of the ScaledJob.

    A queue that was read before a job took its work still contains that work. So a job also says
    since when we know that it has begun and ended; for an older reading it has not yet.

    Attributes:
        outcome: ``Complete`` or ``Failed`` once that condition is True, else empty.
        finished_at: When it finished (for failed jobs: when the condition turned True), epoch
            seconds; None when unknown.
        generation: Of the ScaledJob it was created from.
        pods: As far as they were looked at.
        has_begun: One of its pods runs or has succeeded, whether or not it is among ``pods``.
        begun_at: Since when we know that it has begun, epoch seconds; None = for long.
        ended_at: Since when we know that it has finished or is gone; None = for long.
        is_leaving: Not to be deleted: it is on its way out already, or somebody else's to delete.
        is_gone: It no longer exists and counts for older readings only.
    """

    name: str
    outcome: str = ""
    finished_at: float | None = None
    created_at: float = 0.0
    generation: str = ""
    pods: tuple[JobPod, ...] = ()
    has_begun: bool = False
    begun_at: float | None = None
    ended_at: float | None = None
    is_leaving: bool = False
    is_gone: bool = False


class JobObservation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known about a ScaledJob at one instant.

    Attributes:
        at: Now, epoch seconds.
        readings: By metric name; a missing entry is a metric never read yet.
        jobs: All jobs of the object, finished ones included.
        list_error: Why the jobs could not be listed; nothing is created or deleted then.
    """

    at: float
    readings: Mapping[str, Reading]
    jobs: tuple[Job, ...] = ()
    list_error: str | None = None


class JobMemory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the next decision needs from the past."""

    conditions: tuple[Condition, ...] = ()
    last_active_at: float | None = None


class QueueLoad(msgspec.Struct, frozen=True):
    """What one metric says, or all of them together.

    Attributes:
        queue_length: Work waiting.
        max_jobs: Jobs it is worth.
        is_active: Whether there is work at all.
    """

    queue_length: float
    max_jobs: float
    is_active: bool


class JobCounts(msgspec.Struct, frozen=True):
    """Unfinished jobs; ``pending`` ones are part of ``running``."""

    running: int
    pending: int


class JobDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What should be done, and why.

    Attributes:
        create: Jobs to create now.
        delete: Names of finished jobs beyond the history limits, oldest first.
        roll_out: Names of jobs of an older generation to delete.
        counts: None when the jobs could not be listed.
        load: All triggers together.
        events: Due now; :func:`jobs_created_event` is for whoever created the jobs.
    """

    at: float
    create: int = 0
    delete: tuple[str, ...] = ()
    roll_out: tuple[str, ...] = ()
    counts: JobCounts | None = None
    load: QueueLoad = QueueLoad(0.0, 0.0, False)
    is_active: bool = False
    active_triggers: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    events: tuple[DecisionEvent, ...] = ()
    steps: tuple[Step, ...] = ()


def decide_jobs(
    policy: JobPolicy, memory: JobMemory, seen: JobObservation
) -> tuple[JobDecision, JobMemory]:
    """Decide how many jobs to create and which ones to delete.

    Args:
        policy: What the user wants.
        memory: What the previous decision of this object returned; ``JobMemory()`` at first.
        seen: Everything known now.
    """
    readings = fresh_readings(policy.metrics, seen.readings, seen.at)
    loads = dict(_loads(policy, readings))
    is_error = any(
        readings[metric.spec.name].error is not None for metric in _queue_metrics(policy)
    )
    load = combine(policy, tuple(loads.values()))
    active = tuple(name for name, part in loads.items() if part.is_active)
    known, events = job_conditions(
        memory.conditions, is_active=load.is_active, is_error=is_error, paused=policy.paused
    )
    after = JobMemory(
        conditions=known, last_active_at=seen.at if load.is_active else memory.last_active_at
    )
    decision = JobDecision(
        at=seen.at,
        load=load,
        is_active=load.is_active,
        active_triggers=active,
        conditions=known,
        events=events,
    )
    if seen.list_error is not None:
        text = "the jobs cannot be listed ({0}): nothing is created"
        step = Step("jobs", None, None, "JobsUnreadable", text, (seen.list_error,))
        return msgspec.structs.replace(decision, steps=(step,)), after
    counts = count_jobs(policy, seen.jobs, _read_at(policy, readings))
    if policy.paused:
        step = Step("jobs", counts.running, counts.running, "Paused", "paused by annotation")
        return msgspec.structs.replace(decision, counts=counts, steps=(step,)), after
    create = jobs_to_create(policy, load, counts) if load.is_active else 0
    text = "queue {0:g} worth {1:g} jobs; {2} run, {3} of them pending: {4} to create ({5})"
    shown = (load.queue_length, load.max_jobs, counts.running, counts.pending, create)
    step = Step(
        "jobs", counts.running, counts.running + create, "Counted", text, (*shown, policy.strategy)
    )
    roll_out = jobs_to_roll_out(policy, seen.jobs)
    return (
        msgspec.structs.replace(
            decision,
            create=create,
            delete=tuple(n for n in jobs_beyond_history(policy, seen.jobs) if n not in roll_out),
            roll_out=roll_out,
            counts=counts,
            steps=(step,),
        ),
        after,
    )


def _queue_metrics(policy: JobPolicy) -> Iterator[MetricPolicy]:
    return (m for m in policy.metrics if m.spec.source is MetricSource.EXTERNAL)


def _loads(policy: JobPolicy, readings: Mapping[str, Reading]) -> Iterator[tuple[str, QueueLoad]]:
    """Yield what each metric with a value says, by name.

    Only the first metric of a trigger has a queue length, as in KEDA.
    """
    specs: dict[int, list[MetricSpec]] = {}
    for metric in _queue_metrics(policy):
        specs.setdefault(metric.trigger_index, []).append(metric.spec)
    for metric in _queue_metrics(policy):
        reading = readings[metric.spec.name]
        if reading.error is not None:
            continue
        declared = specs[metric.trigger_index]
        values = [(reading.metric, value) for value in reading.values_milli]
        length, max_jobs = queue_load(declared, values, policy.max_queue_jobs)
        yield (
            metric.spec.name,
            QueueLoad(length, max_jobs, is_active_reading(metric, reading)),
        )


def queue_load(
    specs: Sequence[MetricSpec], values: Sequence[tuple[str, int]], limit: int
) -> tuple[float, float]:
    """Return a trigger's queue length and the jobs it is worth.

    Args:
        specs: All metrics of the trigger; the queue is the first one.
        values: ``(metric name, thousandths)``.
        limit: Most jobs for the queues.
    """
    length = sum(value for name, value in values if name == specs[0].name) / 1000
    target = average_target(specs)
    return length, min(length / target, float(limit)) if target else 0.0


def average_target(specs: Sequence[MetricSpec]) -> float:
    """Return the mean target of a trigger's metrics; one that is no average counts as 0."""
    is_average = [spec.target_type is TargetType.AVERAGE_VALUE for spec in specs]
    targets = (
        spec.target_milli / 1000 if average else 0.0
        for spec, average in zip(specs, is_average, strict=True)
    )
    return sum(targets) / len(specs)


def combine(policy: JobPolicy, loads: Sequence[QueueLoad]) -> QueueLoad:
    """Return what the active metrics say together.

    A minimum of jobs above 0 makes the object active whatever the triggers say.
    """
    active = [load for load in loads if load.is_active]
    length = max_jobs = 0.0
    is_active = bool(active)
    match policy.calculation:
        case JobCalculation.MAX:
            largest = max(active, key=lambda load: load.queue_length, default=None)
            is_active = largest is not None and largest.queue_length > 0
            if largest is not None and is_active:
                length, max_jobs = largest.queue_length, largest.max_jobs
        case JobCalculation.MIN:
            for load in active:
                # An empty queue counts as "none seen yet", so one in front does not win.
                if length == 0 or load.queue_length < length:
                    length, max_jobs = load.queue_length, load.max_jobs
        case JobCalculation.AVG if active:
            length = sum(load.queue_length for load in active) / len(active)
            max_jobs = sum(load.max_jobs for load in active) / len(active)
        case _:
            length = sum(load.queue_length for load in active)
            max_jobs = sum(load.max_jobs for load in active)
    limit = float(policy.max_queue_jobs)
    return QueueLoad(length, min(max_jobs, limit), is_active or policy.min_jobs > 0)


def count_jobs(policy: JobPolicy, jobs: Sequence[Job], at: float | None = None) -> JobCounts:
    """Count the unfinished jobs and those of them that have not really begun.

    Args:
        policy: Says what a pending job is.
        jobs: All of them.
        at: When the queues were read, epoch seconds: what became known of a job later does not
            count, because the queues' lengths do not know of it either. None = now.
    """
    unfinished = [job for job in jobs if _is_unfinished(job, at)]
    return JobCounts(len(unfinished), sum(_is_pending(policy, job, at) for job in unfinished))


def _is_unfinished(job: Job, at: float | None) -> bool:
    return not (job.outcome or job.is_gone) or _is_later(job.ended_at, at)


def _is_pending(policy: JobPolicy, job: Job, at: float | None) -> bool:
    if _is_later(job.begun_at, at):
        return True
    if policy.pending_pod_conditions:
        wanted = frozenset(policy.pending_pod_conditions)
        return not any(wanted <= pod.conditions for pod in job.pods)
    return not (job.has_begun or any(pod.phase in ("Running", "Succeeded") for pod in job.pods))


def _is_later(known_since: float | None, at: float | None) -> bool:
    return known_since is not None and at is not None and known_since > at


def _read_at(policy: JobPolicy, readings: Mapping[str, Reading]) -> float | None:
    """Return when the oldest of the queue lengths in use was read; without any, the last try."""
    queues = [readings[metric.spec.name] for metric in _queue_metrics(policy)]
    good = [reading.sampled_at for reading in queues if reading.error is None]
    return min(good or (reading.sampled_at for reading in queues), default=None)


def jobs_to_create(policy: JobPolicy, load: QueueLoad, counts: JobCounts) -> int:
    """Return how many jobs the work, the strategy and the bounds allow to create."""
    ceiling, wanted = job_ceiling(policy, load, counts)
    return max(0, min(wanted, ceiling))


def job_ceiling(policy: JobPolicy, load: QueueLoad, counts: JobCounts) -> tuple[int, int]:
    """Return how many more jobs the strategy allows (may be negative), and how many are wanted."""
    if counts.running < policy.min_jobs:
        missing = policy.min_jobs - counts.running
        return missing, missing
    running = counts.running - policy.min_jobs
    limit, pending = policy.max_queue_jobs, counts.pending
    wanted, most = math.ceil(load.queue_length), math.ceil(load.max_jobs)
    match policy.strategy:
        case JobStrategy.CUSTOM:
            share = int(running * policy.running_job_ratio)
            return min(most - policy.queue_length_deduction - share, limit), wanted
        case JobStrategy.ACCURATE:
            if most + running - pending > limit:
                return limit - running, wanted
            return most - pending, wanted
        case JobStrategy.EAGER:
            return min(limit - running - pending, most), limit
        case _:
            return most - running, wanted


def jobs_beyond_history(policy: JobPolicy, jobs: Sequence[Job]) -> tuple[str, ...]:
    """Return the finished jobs to delete: of each outcome, the oldest beyond the limit."""
    names: list[str] = []
    for outcome, limit in (
        ("Complete", policy.successful_jobs_history_limit),
        ("Failed", policy.failed_jobs_history_limit),
    ):
        finished = [job for job in jobs if job.outcome == outcome and _is_deletable(job)]
        finished.sort(key=_age)
        names += [job.name for job in finished[: max(0, len(finished) - limit)]]
    return tuple(names)


def _age(job: Job) -> tuple[float, str]:
    """Order by end; a job whose end is unknown by its beginning."""
    return (job.created_at if job.finished_at is None else job.finished_at, job.name)


def jobs_to_roll_out(policy: JobPolicy, jobs: Sequence[Job]) -> tuple[str, ...]:
    """Return the jobs of another generation to delete after a changed spec."""
    if not policy.deletes_on_rollout:
        return ()
    return tuple(
        job.name for job in jobs if job.generation != policy.generation and _is_deletable(job)
    )


def _is_deletable(job: Job) -> bool:
    return not (job.is_gone or job.is_leaving)
