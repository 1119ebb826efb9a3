"""Job decisions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from autoscaler.core.job_conditions import jobs_created_event
from autoscaler.core.jobs import (
    Job,
    JobCalculation,
    JobCounts,
    JobMemory,
    JobObservation,
    JobPod,
    JobPolicy,
    JobStrategy,
    QueueLoad,
    combine,
    count_jobs,
    decide_jobs,
    job_bounds,
    jobs_beyond_history,
    jobs_to_create,
    jobs_to_roll_out,
)
from autoscaler.core.model import MetricPolicy, MetricSource, MetricSpec, Reading, TargetType

NOW = 1_000.0
QUEUE = MetricPolicy(spec=MetricSpec(name="s0-q", target_milli=2000))
POLICY = JobPolicy(key="shop/mail", metrics=(QUEUE,), max_queue_jobs=10, generation="2")


def job(name: str, outcome: str = "", *phases: str, end: float | None = None, **more) -> Job:
    """Return a job with pods in these phases."""
    pods = tuple(JobPod(phase=phase) for phase in phases)
    more.setdefault("generation", "2")
    return Job(name=name, outcome=outcome, finished_at=end, pods=pods, **more)


def decide(policy: JobPolicy, *jobs: Job, reading: Reading | None = None, **more):
    """Decide on a queue of 7, or another reading."""
    reading = reading or Reading.of("s0-q", 7.0, NOW)
    seen = JobObservation(at=NOW, readings={reading.metric: reading}, jobs=jobs, **more)
    return decide_jobs(policy, JobMemory(), seen)


def test_a_queue_becomes_jobs() -> None:
    """A queue of 7 at 2 per job is worth 4 jobs; one runs already."""
    decision, memory = decide(POLICY, job("a", "", "Running"))
    assert decision.create == 3
    assert decision.counts == JobCounts(1, 0)
    assert decision.load == QueueLoad(7.0, 3.5, True)
    assert decision.active_triggers == ("s0-q",)
    assert [event.reason for event in decision.events] == ["ScaledJobActive"]
    assert memory.last_active_at == NOW
    assert decision.steps[0].render() == (
        "queue 7 worth 3.5 jobs; 1 run, 0 of them pending: 3 to create (default)"
    )
    assert jobs_created_event(3).message == "Created 3 jobs"


def test_an_empty_queue_creates_nothing() -> None:
    """Without work nothing is created and the conditions say so."""
    decision, memory = decide(POLICY, reading=Reading.of("s0-q", 0.0, NOW))
    assert decision.create == 0
    assert not decision.is_active
    assert memory == JobMemory(conditions=decision.conditions)
    assert [event.reason for event in decision.events] == ["ScaledJobInactive"]


def test_jobs_that_cannot_be_listed_stop_creation() -> None:
    """Not knowing what runs is not the same as nothing running."""
    decision, _ = decide(POLICY, list_error="503")
    assert (decision.create, decision.counts) == (0, None)
    assert "cannot be listed (503)" in decision.steps[0].render()


def test_errors_create_nothing_and_are_told() -> None:
    """A failed or missing reading is no queue; other triggers still count."""
    failed = Reading.failed("s0-q", "refused", NOW)
    decision, _ = decide(POLICY, reading=failed)
    assert decision.create == 0
    assert {c.type: c.reason for c in decision.conditions}["Ready"] == "TriggerError"
    other = MetricPolicy(spec=MetricSpec(name="s1-q", target_milli=1000), trigger_index=1)
    both = replace(POLICY, metrics=(QUEUE, other))
    partial, _ = decide(both)
    assert partial.create == 4
    assert {c.type: c.reason for c in partial.conditions}["Ready"] == "PartialTriggerError"


def test_only_queues_count() -> None:
    """Cpu and memory are no queues, and of a trigger's metrics only the first is one."""
    cpu = MetricPolicy(spec=MetricSpec(name="cpu", source=MetricSource.RESOURCE))
    by_value = MetricPolicy(
        spec=MetricSpec(name="s0-rate", target_milli=5000, target_type=TargetType.VALUE)
    )
    policy = replace(POLICY, metrics=(QUEUE, by_value, cpu), calculation=JobCalculation.SUM)
    readings = {name: Reading.of(name, 6.0, NOW) for name in ("s0-q", "s0-rate")}
    decision, _ = decide_jobs(policy, JobMemory(), JobObservation(at=NOW, readings=readings))
    assert decision.load == QueueLoad(6.0, 6.0, True)


def test_a_minimum_is_always_kept() -> None:
    """Missing warm jobs are created whatever the queue says."""
    policy = replace(POLICY, min_jobs=3)
    decision, _ = decide(policy, job("a", "", "Running"), reading=Reading.of("s0-q", 0.0, NOW))
    assert decision.create == 2
    assert decision.is_active


def test_a_paused_object_is_left_alone() -> None:
    """Nothing is created or deleted while paused; the condition comes and goes."""
    policy = replace(POLICY, paused=True, successful_jobs_history_limit=0)
    decision, memory = decide(policy, job("old", "Complete", generation="1"))
    assert (decision.create, decision.delete, decision.roll_out) == (0, (), ())
    assert {c.type: c.reason for c in decision.conditions}["Paused"] == "ScaledJobPaused"
    seen = JobObservation(at=NOW, readings={})
    resumed, _ = decide_jobs(POLICY, memory, seen)
    assert {c.type: c.reason for c in resumed.conditions}["Paused"] == "ScaledJobUnpaused"


def test_history_keeps_the_newest_of_each_outcome() -> None:
    """Beyond the limit the oldest go; failed jobs are ordered too, by end or else creation."""
    policy = replace(POLICY, successful_jobs_history_limit=1, failed_jobs_history_limit=2)
    jobs = (
        job("c2", "Complete", end=20.0),
        job("c1", "Complete", end=10.0),
        job("f3", "Failed", end=30.0),
        job("f1", "Failed", created_at=5.0),
        job("f2", "Failed", end=20.0),
        job("runs", "", "Running"),
    )
    assert jobs_beyond_history(policy, jobs) == ("c1", "f1")
    assert jobs_beyond_history(POLICY, jobs) == ()
    assert decide(policy, *jobs)[0].delete == ("c1", "f1")


def test_a_changed_spec_replaces_jobs_unless_gradual() -> None:
    """Jobs of another generation are rolled out, running ones too, and not deleted twice."""
    jobs = (
        job("new"),
        job("old", "", "Running", generation="1"),
        job("done", "Complete", generation="1", end=1.0),
    )
    assert jobs_to_roll_out(POLICY, jobs) == ("old", "done")
    assert jobs_to_roll_out(replace(POLICY, deletes_on_rollout=False), jobs) == ()
    decision, _ = decide(replace(POLICY, successful_jobs_history_limit=0), *jobs)
    assert decision.roll_out == ("old", "done")
    assert decision.delete == ()


def test_pending_is_what_has_not_begun() -> None:
    """A job is pending without a running or succeeded pod, or without the wanted conditions."""
    jobs = (
        job("none"),
        job("waits", "", "Pending", "Failed"),
        job("runs", "", "Pending", "Running"),
        job("ends", "", "Succeeded"),
        job("over", "Complete"),
    )
    assert count_jobs(POLICY, jobs) == JobCounts(4, 2)
    wants = replace(POLICY, pending_pod_conditions=("Ready", "Scheduled"))
    ready = JobPod(phase="Pending", conditions=frozenset(("Ready", "Scheduled", "More")))
    half = JobPod(phase="Running", conditions=frozenset(("Ready",)))
    assert count_jobs(wants, (Job(name="a", pods=(half, ready)),)) == JobCounts(1, 0)
    assert count_jobs(wants, (Job(name="a", pods=(half,)),)) == JobCounts(1, 1)


def test_a_queue_is_compared_with_the_jobs_of_its_time() -> None:
    """What became of a job after the queue was read is no reason to create another one."""
    jobs = (
        job("ended", "Complete", ended_at=NOW + 1),
        job("gone", is_gone=True, ended_at=NOW + 1),
        job("begun", has_begun=True, begun_at=NOW + 1),
        job("ended before", "Complete", ended_at=NOW - 1),
        job("gone before", is_gone=True, ended_at=NOW - 1),
        job("begun before", has_begun=True, begun_at=NOW - 1),
        job("begun for long", has_begun=True),
    )
    assert count_jobs(POLICY, jobs, NOW) == JobCounts(5, 3)
    assert count_jobs(POLICY, jobs, NOW + 2) == JobCounts(3, 0)
    assert count_jobs(POLICY, jobs) == JobCounts(3, 0)
    assert decide(POLICY, *jobs)[0].counts == JobCounts(5, 3)


def test_with_several_queues_the_oldest_reading_decides() -> None:
    """A failed trigger's readings do not count; with failures only, the last try does."""
    other = MetricPolicy(spec=MetricSpec(name="s1-q", target_milli=1000), trigger_index=1)
    policy = replace(POLICY, metrics=(QUEUE, other))
    jobs = (job("ended", "Complete", ended_at=NOW - 5),)

    def running(first: Reading, second: Reading) -> int:
        readings = {"s0-q": first, "s1-q": second}
        seen = JobObservation(at=NOW, readings=readings, jobs=jobs)
        counts = decide_jobs(policy, JobMemory(), seen)[0].counts
        assert counts is not None
        return counts.running

    old, new = Reading.of("s0-q", 1.0, NOW - 9), Reading.of("s1-q", 1.0, NOW)
    failed = Reading.failed("s0-q", "refused", NOW - 9)
    assert running(old, new) == 1
    assert running(failed, new) == 0
    assert running(failed, Reading.failed("s1-q", "refused", NOW)) == 1


def test_a_job_is_deleted_once() -> None:
    """What is leaving or gone is neither history nor rolled out."""
    policy = replace(POLICY, successful_jobs_history_limit=0)
    jobs = (
        job("leaving", "Complete", is_leaving=True, generation="1"),
        job("gone", is_gone=True, ended_at=NOW, generation="1"),
    )
    decision, _ = decide(policy, *jobs)
    assert (decision.delete, decision.roll_out) == ((), ())


@pytest.mark.parametrize(
    ("strategy", "created"),
    [
        (JobStrategy.DEFAULT, 2),
        (JobStrategy.CUSTOM, 3),
        (JobStrategy.ACCURATE, 5),
        (JobStrategy.EAGER, 5),
    ],
)
def test_strategies_count_running_jobs_differently(strategy, created) -> None:
    """The same queue and jobs give what each strategy stands for."""
    policy = replace(POLICY, strategy=strategy, queue_length_deduction=1, running_job_ratio=0.5)
    load = QueueLoad(6.0, 6.0, True)
    assert jobs_to_create(policy, load, JobCounts(4, 1)) == created


def test_accurate_stays_below_the_ceiling() -> None:
    """When the queue would go over the ceiling, only what is left of it is created."""
    policy = replace(POLICY, strategy=JobStrategy.ACCURATE)
    assert jobs_to_create(policy, QueueLoad(9.0, 9.0, True), JobCounts(4, 0)) == 6


@pytest.mark.parametrize(
    ("calculation", "length", "most"),
    [
        (JobCalculation.MAX, 6.0, 3.0),
        (JobCalculation.MIN, 2.0, 8.0),
        (JobCalculation.AVG, 4.0, 5.5),
        (JobCalculation.SUM, 8.0, 10.0),
    ],
)
def test_active_triggers_are_combined(calculation, length, most) -> None:
    """Inactive triggers do not count; the sum stays below the ceiling."""
    loads = (QueueLoad(6.0, 3.0, True), QueueLoad(2.0, 8.0, True), QueueLoad(99.0, 9.0, False))
    policy = replace(POLICY, calculation=calculation)
    assert combine(policy, loads) == QueueLoad(length, most, True)
    assert combine(policy, loads[2:]) == QueueLoad(0.0, 0.0, False)
    assert combine(policy, ()) == QueueLoad(0.0, 0.0, False)


def test_bounds_follow_keda() -> None:
    """The queue gets what the minimum leaves; without a maximum 100 beyond the minimum."""
    assert job_bounds(None, None) == (0, 100)
    assert job_bounds(10, None) == (10, 100)
    assert job_bounds(2, 10) == (2, 8)
    assert job_bounds(10, 3) == (3, 3)


@given(
    strategy=st.sampled_from(JobStrategy),
    minimum=st.integers(0, 20),
    limit=st.integers(0, 50),
    running=st.integers(0, 60),
    pending=st.integers(0, 60),
    queue=st.floats(0, 1000),
    worth=st.floats(0, 1000),
)
def test_jobs_never_exceed_minimum_plus_ceiling(
    *, strategy, minimum, limit, running, pending, queue, worth
) -> None:
    """Creation is never negative, and never leads beyond what the bounds allow."""
    policy = JobPolicy(min_jobs=minimum, max_queue_jobs=limit, strategy=strategy)
    load = QueueLoad(queue, min(worth, limit), True)
    counts = JobCounts(running, min(pending, running))
    created = jobs_to_create(policy, load, counts)
    assert created >= 0
    if created and strategy is JobStrategy.DEFAULT:
        assert running + created <= minimum + limit
    if running >= minimum:
        assert created <= limit
