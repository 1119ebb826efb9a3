"""The job that is created, and what is shown of a ScaledJob."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.controller.jobs.observe import observe_jobs, oldest_reading, unfinished, with_pods
from autoscaler.controller.jobs.template import job_body, named
from autoscaler.controller.jobs.tracked import JobEntry, TrackedJob
from autoscaler.controller.jobs.views import job_explanation_text, job_summary
from autoscaler.controller.jobs.writer import Unsettled
from autoscaler.core.explain_jobs import explain_jobs, explain_jobs_json
from autoscaler.core.jobs import (
    Job,
    JobMemory,
    JobObservation,
    JobPod,
    JobPolicy,
    count_jobs,
    decide_jobs,
)
from autoscaler.core.model import MetricPolicy, MetricSpec, Reading
from autoscaler.kube.codec import CustomObject, ObjectMeta
from autoscaler.kube.jobs import PodOfJob

QUEUE = MetricPolicy(spec=MetricSpec(name="s0-q", target_milli=1000))
POLICY = JobPolicy(key="shop/mail", metrics=(QUEUE,), generation="2")


def scaled_job(template: dict[str, Any] | None = None, **metadata: Any) -> CustomObject:
    """Return a ScaledJob as stored."""
    meta = ObjectMeta(name="mail", namespace="shop", uid="u", generation=2, **metadata)
    spec = {"jobTargetRef": {"backoffLimit": 1, "template": template or {"spec": {}}}}
    raw = {"apiVersion": "flyball.dev/v1alpha1", "kind": "ScaledJob", "spec": spec}
    return CustomObject(metadata=meta, raw=raw)


def test_the_object_is_not_changed_by_making_a_job() -> None:
    """What is stored belongs to everybody."""
    template = {"metadata": None, "spec": {"restartPolicy": "", "containers": []}}
    item = scaled_job(template)
    body = job_body(item)
    assert item.raw["spec"]["jobTargetRef"]["template"] == template
    assert body["spec"]["backoffLimit"] == 1
    assert body["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"


def test_the_jobs_own_restart_policy_stays() -> None:
    """Only a missing one is filled in."""
    body = job_body(scaled_job({"spec": {"restartPolicy": "Never"}}))
    assert body["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_names_fit_into_a_label() -> None:
    """A long name is cut, and what is left still ends in a letter or digit."""
    body = job_body(scaled_job())
    assert named(body, "1a2b")["metadata"]["name"] == "mail-1a2b"
    assert "name" not in body["metadata"]
    long = {"metadata": {"generateName": "m" * 57 + "-x-"}}
    name = named(long, "1a2b")["metadata"]["name"]
    assert name == "m" * 57 + "-1a2b"
    assert len(name) <= 63


def test_unsettled_jobs_count_as_created() -> None:
    """A job that may exist is pending; one that has shown up counts once."""
    jobs = [Job(name="mail-1", has_begun=True, generation="2")]
    seen = observe_jobs(
        _Binding(),  # type: ignore[arg-type]
        {},
        jobs,
        ["mail-1", "mail-2"],
        5.0,
        list_error=None,
    )
    counts = count_jobs(POLICY, seen.jobs)
    assert (counts.running, counts.pending) == (2, 1)


class _Binding:
    policy = POLICY


def test_a_job_begins_when_its_pod_has_all_conditions() -> None:
    """The instant is the pod's, rounded up because the API cuts it to seconds."""
    ready = JobPod(phase="Running", conditions=frozenset({"Ready", "PodScheduled"}))
    waiting = JobPod(phase="Pending", conditions=frozenset({"PodScheduled"}))
    pods = [PodOfJob("a", ready, 10.0), PodOfJob("a", ready, 20.0), PodOfJob("b", waiting, 5.0)]
    first, second = with_pods([Job(name="a"), Job(name="b")], pods, ["Ready"])
    assert (first.begun_at, first.pods) == (11.0, (ready, ready))
    assert (second.begun_at, second.pods) == (None, (waiting,))
    done = [Job(name="c", outcome="Failed"), Job(name="d", is_gone=True), first]
    assert unfinished(done) == ["a"]


def test_the_oldest_reading_counts() -> None:
    """Of several readings the first one taken says how old they are."""
    readings = {"a": Reading.of("a", 1.0, 7.0), "b": Reading.failed("b", "no", 5.0)}
    assert oldest_reading(readings) == 5.0
    assert oldest_reading({}) is None


@pytest.mark.parametrize(
    ("jobs", "policy", "sentence"),
    [
        ((), POLICY, "creating 2 jobs: queue 2 worth 2 jobs"),
        (
            (Job(name="old", generation="1"),),
            POLICY,
            "creating 1 job, deleting 1 job of an older generation",
        ),
        (
            (Job(name="done", generation="2", outcome="Complete"), Job(name="a", generation="2")),
            JobPolicy(metrics=(QUEUE,), generation="2", successful_jobs_history_limit=0),
            "creating 1 job, deleting 1 job beyond the history limits",
        ),
        ((), JobPolicy(metrics=(QUEUE,), paused=True), "creating no jobs: paused by annotation"),
    ],
)
def test_a_decision_in_words(jobs: tuple[Job, ...], policy: JobPolicy, sentence: str) -> None:
    """One sentence says what is done and why."""
    readings = {"s0-q": Reading.of("s0-q", 2.0, 9.0)}
    seen = JobObservation(at=10.0, readings=readings, jobs=jobs)
    decision, _ = decide_jobs(policy, JobMemory(), seen)
    assert explain_jobs(decision).startswith(sentence)
    assert explain_jobs_json(decision)["summary"] == explain_jobs(decision)


def test_what_is_shown_before_and_after_a_decision() -> None:
    """Everything of interest is there for people, also while nothing is known yet."""
    tracked = TrackedJob("shop/mail", scaled_job(), 5)
    assert job_summary(tracked)["why"] == "not decided yet"
    tracked.problem = "spec.triggers: needs at least one trigger"
    assert "needs at least one trigger" in job_explanation_text(tracked)
    tracked.problem = ""
    tracked.readings = {"s0-q": Reading.of("s0-q", 2.0, 9.0)}
    tracked.unsettled["mail-x"] = Unsettled({}, 0.0)
    seen = JobObservation(at=10.0, readings=tracked.readings)
    for created, error in ((0, "refused"), (2, "")):
        decision, tracked.memory = decide_jobs(POLICY, tracked.memory, seen)
        tracked.journal.add(JobEntry(decision=decision, created=created, error=error))
    summary = job_summary(tracked)
    assert (summary["currentReplicas"], summary["desiredReplicas"]) == (0, 2)
    text = job_explanation_text(tracked)
    assert "asked for without an answer: mail-x" in text
    assert "s0-q: 2, read" in text
    assert "created 0, deleted 0: creating 2 jobs" in text
    assert "Active=True ScalerActive" in text
