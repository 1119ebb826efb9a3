"""The observation of a ScaledJob: readings, and its jobs as far as they are known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from autoscaler.controller.jobs.binding import JobBinding
from autoscaler.core.jobs import Job, JobObservation
from autoscaler.core.model import Reading
from autoscaler.kube.jobs import PodOfJob

STAMP_SECONDS = 1.0
"""The API cuts times to seconds: what it dates may have happened that much later."""


def observe_jobs(
    binding: JobBinding,
    readings: Mapping[str, Reading],
    jobs: Sequence[Job],
    unsettled: Iterable[str],
    at: float,
    *,
    list_error: str | None,
) -> JobObservation:
    """Build the observation of a ScaledJob.

    Args:
        binding: Of the object.
        readings: By metric name.
        jobs: As known.
        unsettled: Names of jobs whose creation was not answered; they count as created.
        at: Now, epoch seconds.
        list_error: Why ``jobs`` may be wrong, else None.
    """
    known = {job.name for job in jobs}
    asked_for = (
        Job(name=name, created_at=at, generation=binding.policy.generation, is_leaving=True)
        for name in unsettled
        if name not in known
    )
    return JobObservation(at=at, readings=readings, jobs=(*jobs, *asked_for), list_error=list_error)


def with_pods(jobs: Iterable[Job], pods: Iterable[PodOfJob], wanted: Iterable[str]) -> list[Job]:
    """Return the jobs with their pods, begun since one of these had all wanted conditions."""
    conditions = frozenset(wanted)
    by_job: dict[str, list[PodOfJob]] = {}
    for pod in pods:
        by_job.setdefault(pod.job, []).append(pod)
    found = []
    for job in jobs:
        own = by_job.get(job.name, ())
        since = [one.changed_at for one in own if conditions <= one.pod.conditions]
        found.append(
            replace(
                job,
                pods=tuple(one.pod for one in own),
                begun_at=min(since) + STAMP_SECONDS if since else None,
            )
        )
    return found


def unfinished(jobs: Iterable[Job]) -> list[str]:
    """Return the names of the jobs whose pods may matter."""
    return [job.name for job in jobs if not (job.outcome or job.is_gone)]


def oldest_reading(readings: Mapping[str, Reading]) -> float | None:
    """Return when the oldest reading was taken, None without any."""
    return min((reading.sampled_at for reading in readings.values()), default=None)
