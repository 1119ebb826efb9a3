"""Decide and act: take a decision about jobs to the API server, and to the object's status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from autoscaler.controller.jobs.announce import JobAnnouncer
from autoscaler.controller.jobs.binding import JobBinding
from autoscaler.controller.jobs.ledger import JobLedger, Owner
from autoscaler.controller.jobs.observe import (
    observe_jobs,
    oldest_reading,
    unfinished,
    with_pods,
)
from autoscaler.controller.jobs.status import (
    CHECK_FAILED_REASON,
    job_status,
    last_decision,
    shown_conditions,
)
from autoscaler.controller.jobs.template import job_body
from autoscaler.controller.jobs.tracked import JobEntry, TrackedJob
from autoscaler.controller.jobs.writer import JobWriter, Outcomes
from autoscaler.controller.status import rejected, signature
from autoscaler.controller.status_writer import StatusWriter
from autoscaler.core.explain_jobs import explain_jobs
from autoscaler.core.jobs import Job, JobDecision, decide_jobs
from autoscaler.core.model import Reading
from autoscaler.errors import Forbidden, KubeError
from autoscaler.kube.jobs import pods_of_jobs
from autoscaler.kube.transport import KubeClient
from autoscaler.runtime.clock import Clock

HELD: Final = "the jobs refused before are asked for again after the next reading"

log = structlog.get_logger(__name__)


class JobActor:
    """Observes, decides and writes for one ScaledJob at a time.

    Args:
        client: Connection.
        ledger: What is known of jobs.
        writer: Creates and deletes them.
        announcer: Tells about it.
        statuses: Where statuses go.
        clock: The service's clock.
        status_seconds: Unimportant status changes are written at most this often.
    """

    def __init__(
        self,
        client: KubeClient,
        ledger: JobLedger,
        writer: JobWriter,
        announcer: JobAnnouncer,
        statuses: StatusWriter,
        *,
        clock: Clock,
        status_seconds: float,
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._writer = writer
        self._announcer = announcer
        self._statuses = statuses
        self._clock = clock
        self._status_seconds = status_seconds

    async def settle(self, tracked: TrackedJob) -> None:
        """Find out about jobs whose creation was not answered."""
        if tracked.unsettled:
            wanted = len(tracked.unsettled)
            self._announcer.created(tracked, wanted, await self._writer.settle(tracked.unsettled))

    async def act(
        self,
        tracked: TrackedJob,
        binding: JobBinding,
        readings: Mapping[str, Reading],
        trouble: KubeError | None,
    ) -> JobEntry:
        """Decide on what is known and do it.

        Args:
            tracked: The object.
            binding: Of the object.
            readings: By metric name.
            trouble: Why jobs may have changed without our knowing; nothing is done then.
        """
        meta = tracked.item.metadata
        owner = (meta.namespace, meta.name)
        jobs = self._ledger.jobs(owner, oldest_reading(readings), uid=meta.uid)
        jobs, pod_error = await self._with_pods(binding, owner, jobs)
        seen = observe_jobs(
            binding,
            readings,
            jobs,
            tracked.unsettled,
            self._clock.now(),
            list_error=str(trouble) if trouble else pod_error or None,
        )
        if isinstance(trouble, Forbidden):
            # Unlike an API server that is away for a moment, this is the user's to change.
            tracked.refusal = str(trouble)
        before = tracked.memory.conditions
        decision, tracked.memory = decide_jobs(binding.policy, tracked.memory, seen)
        entry = await self._carry_out(tracked, binding, owner, decision)
        tracked.journal.add(entry)
        self._announcer.decided(tracked, binding, entry, before)
        self._write_status(tracked, binding, entry)
        return entry

    def write_rejection(self, tracked: TrackedJob, message: str) -> None:
        """Write that the object cannot work, and why."""
        status = {"observedGeneration": tracked.item.metadata.generation}
        self._statuses.put(tracked.key, status, (rejected(message, CHECK_FAILED_REASON),))
        tracked.status_signature = None

    def forget(self, key: str) -> None:
        """Drop what a deleted object still wanted to say."""
        self._statuses.forget(key)

    async def _with_pods(
        self, binding: JobBinding, owner: Owner, jobs: list[Job]
    ) -> tuple[list[Job], str]:
        """Return the jobs with the pods that tell if they are pending, and why that failed."""
        names = unfinished(jobs) if binding.needs_pods else []
        if not names:
            return jobs, ""
        try:
            pods = await pods_of_jobs(self._client, owner[0], names)
        except KubeError as error:
            return jobs, str(error)
        return with_pods(jobs, pods, binding.policy.pending_pod_conditions), ""

    async def _carry_out(
        self, tracked: TrackedJob, binding: JobBinding, owner: Owner, decision: JobDecision
    ) -> JobEntry:
        """Create and delete what was decided; returns what became of it."""
        errors = []
        created = await self._create(tracked, decision)
        if created is None:
            errors.append(f"{HELD}: {tracked.refusal}")
            created = Outcomes()
        rolled_out = await self._delete(owner, decision.roll_out, binding.propagation_policy)
        if decision.roll_out:
            self._announcer.rolled_out(tracked, len(decision.roll_out), rolled_out)
        expired = await self._delete(owner, decision.delete)
        self._announcer.deleted(tracked, rolled_out.done + expired.done)
        errors += [one.error for one in (created, rolled_out, expired) if one.error]
        entry = JobEntry(
            decision=decision,
            created=created.done,
            deleted=rolled_out.done + expired.done,
            error="; ".join(errors),
        )
        if entry.created or entry.deleted:
            log.info(
                "jobs_changed",
                object=binding.policy.key,
                created=entry.created,
                deleted=entry.deleted,
                why=explain_jobs(decision),
            )
        return entry

    async def _create(self, tracked: TrackedJob, decision: JobDecision) -> Outcomes | None:
        """Create jobs; None when the same readings have been refused already."""
        if not decision.create:
            if decision.counts is not None:
                tracked.refused_at, tracked.refusal = None, ""
            return Outcomes()
        read_at = oldest_reading(tracked.readings)
        refused_at = tracked.refused_at
        if refused_at is not None and (read_at is None or read_at <= refused_at):
            return None
        # From the object as it is now: its labels change without a new generation.
        body = job_body(tracked.item)
        outcomes = await self._writer.create(body, decision.create, tracked.unsettled)
        self._announcer.created(tracked, decision.create, outcomes)
        tracked.refusal = outcomes.error
        tracked.refused_at = self._clock.now() if outcomes.failures else None
        return outcomes

    async def _delete(
        self, owner: Owner, names: Sequence[str], propagation_policy: str = "Background"
    ) -> Outcomes:
        views = [view for name in names if (view := self._ledger.view(owner, name)) is not None]
        if not views:
            return Outcomes()
        return await self._writer.delete(
            views,
            lambda job: self._ledger.deleted(owner, job),
            propagation_policy=propagation_policy,
        )

    def _write_status(self, tracked: TrackedJob, binding: JobBinding, entry: JobEntry) -> None:
        """Write what changed, at once if it is important, else rarely."""
        status = job_status(tracked, binding, entry)
        conditions = shown_conditions(tracked, binding)
        important = signature(conditions, status)
        now = self._clock.monotonic()
        is_due = now - tracked.status_at >= self._status_seconds
        is_news = entry.created > 0
        if important == tracked.status_signature and not is_due and not is_news:
            return
        if is_news:
            status["lastDecision"] = last_decision(entry)
        self._statuses.put(tracked.key, status, conditions)
        tracked.status_at, tracked.status_signature = now, important
