"""Events and series of ScaledJobs."""

from __future__ import annotations

from typing import Final

from autoscaler.controller.announce import News
from autoscaler.controller.jobs.binding import JobBinding
from autoscaler.controller.jobs.status import CHECK_FAILED_REASON, READY_REASON
from autoscaler.controller.jobs.tracked import JobEntry, TrackedJob
from autoscaler.controller.jobs.writer import Outcomes
from autoscaler.controller.status import READY
from autoscaler.core.job_conditions import (
    jobs_created_event,
    jobs_refused_event,
    roll_out_events,
)
from autoscaler.core.model import Condition, DecisionEvent
from autoscaler.kube.events import EventRecorder
from autoscaler.kube.resources import SCALED_JOBS
from autoscaler.runtime.clock import Clock
from autoscaler.telemetry.job_metrics import JobMetrics

SWITCHES: Final = {
    READY: (READY_REASON, ""),
    "Paused": ("ScaledJobPaused", "ScaledJobUnpaused"),
}
"""Event reasons for a condition that became True, and for one that no longer is; empty = none."""


class JobAnnouncer(News):
    """Writes events about ScaledJobs and keeps their series current.

    Args:
        recorder: Where events go.
        metrics: Where numbers go.
        clock: For not repeating events too often.
        repeat_seconds: The same warning about an object is repeated at most this often.
    """

    def __init__(
        self, recorder: EventRecorder, metrics: JobMetrics, *, clock: Clock, repeat_seconds: float
    ) -> None:
        super().__init__(
            recorder,
            metrics,
            resource=SCALED_JOBS,
            switches=SWITCHES,
            clock=clock,
            repeat_seconds=repeat_seconds,
        )
        self._metrics = metrics

    def created(self, tracked: TrackedJob, wanted: int, outcomes: Outcomes) -> None:
        """Tell about created jobs, those really created, and about refused ones, by cause."""
        meta = tracked.item.metadata
        if outcomes.done:
            self._metrics.created(meta.namespace, meta.name, outcomes.done)
            self._say(tracked, jobs_created_event(outcomes.done))
        for reason, (count, error) in outcomes.failures.items():
            self._metrics.not_created(meta.namespace, meta.name, reason, count)
            self._say(tracked, jobs_refused_event(count, wanted, str(error)))

    def deleted(self, tracked: TrackedJob, count: int) -> None:
        """Count deleted jobs."""
        if count:
            self._metrics.gone(tracked.item.metadata.namespace, tracked.item.metadata.name, count)

    def rolled_out(self, tracked: TrackedJob, wanted: int, outcomes: Outcomes) -> None:
        """Tell about jobs of an older generation that were deleted."""
        for event in roll_out_events(wanted, outcomes.done, outcomes.error):
            self._say(tracked, event)

    def decided(
        self,
        tracked: TrackedJob,
        binding: JobBinding,
        entry: JobEntry,
        before: tuple[Condition, ...],
    ) -> None:
        """Tell about a decision.

        Args:
            tracked: The object, conditions included.
            binding: Of the object.
            entry: The decision and what became of it.
            before: Conditions until now.
        """
        decision, meta = entry.decision, tracked.item.metadata
        counts = decision.counts
        self._metrics.decided(
            meta.namespace,
            meta.name,
            at=decision.at,
            running=entry.desired,
            pending=counts.pending + entry.created if counts else None,
            is_active=decision.is_active,
            is_paused=binding.policy.paused,
        )
        for event in decision.events:
            self._say(tracked, event)
        self.switched(tracked, before, tracked.memory.conditions)

    def rejected(self, tracked: TrackedJob, message: str) -> None:
        """Tell that an object cannot work."""
        self._metrics.could_not_act(tracked.item.metadata.namespace, tracked.item.metadata.name)
        self.event(tracked, "Warning", CHECK_FAILED_REASON, message)

    def forget(self, namespace: str, name: str) -> None:
        """Remove the series of a deleted object."""
        self._metrics.forget(namespace, name)

    def _say(self, tracked: TrackedJob, event: DecisionEvent) -> None:
        self.event(tracked, event.type, event.reason, event.message)
