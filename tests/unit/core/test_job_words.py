"""What a decision about jobs says: its sentence, its JSON, its events."""

from __future__ import annotations

import pytest

from autoscaler.core.explain_jobs import explain_jobs, explain_jobs_json
from autoscaler.core.job_conditions import jobs_refused_event, roll_out_events
from autoscaler.core.jobs import JobCounts, JobDecision
from autoscaler.core.model import Step


@pytest.mark.parametrize(
    ("decision", "sentence"),
    [
        (JobDecision(at=1.0), "creating no jobs"),
        (JobDecision(at=1.0, create=1), "creating 1 job"),
        (
            JobDecision(at=1.0, create=2, roll_out=("a",), delete=("b", "c")),
            (
                "creating 2 jobs, deleting 1 job of an older generation, "
                "deleting 2 jobs beyond the history limits"
            ),
        ),
        (
            JobDecision(at=1.0, steps=(Step("queue", None, None, "empty", "nothing waits"),)),
            "creating no jobs: nothing waits",
        ),
    ],
)
def test_a_decision_is_one_sentence(decision: JobDecision, sentence: str) -> None:
    """It says what is done, then why."""
    assert explain_jobs(decision) == sentence


def test_unknown_counts_are_null_and_known_ones_are_numbers() -> None:
    """A list of jobs that failed is not the same as no jobs."""
    assert explain_jobs_json(JobDecision(at=1.0))["runningJobs"] is None
    known = explain_jobs_json(JobDecision(at=1.0, counts=JobCounts(3, 1)))
    assert (known["runningJobs"], known["pendingJobs"]) == (3, 1)


def test_refused_jobs_are_counted_with_their_cause() -> None:
    """The event names how many of how many, and why."""
    event = jobs_refused_event(2, 5, "quota exceeded")
    assert (event.type, event.reason) == ("Warning", "KEDAJobCreateFailed")
    assert event.message == "Failed to create 2 of 5 jobs: quota exceeded"


def test_a_roll_out_is_reported_as_it_went() -> None:
    """Completed when all jobs went, failed with counts and cause when not."""
    begun, done = roll_out_events(2, 2, "")
    assert (begun.reason, done.reason) == (
        "ScaledJobRolloutCleanupStarted",
        "ScaledJobRolloutCleanupCompleted",
    )
    _, failed = roll_out_events(2, 1, "forbidden")
    assert (failed.type, failed.reason) == ("Warning", "ScaledJobRolloutCleanupFailed")
    assert failed.message == "Deleted 1 of 2 jobs of an older generation: forbidden"
