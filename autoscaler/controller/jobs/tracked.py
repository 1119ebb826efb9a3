"""What the controller keeps in memory about one ScaledJob."""

from __future__ import annotations

import msgspec

from autoscaler.controller.jobs.binding import JobBinding
from autoscaler.controller.jobs.writer import Unsettled
from autoscaler.controller.journal import Journal
from autoscaler.controller.tracked import TrackedItem, memory_from_status
from autoscaler.core.jobs import JobDecision, JobMemory
from autoscaler.kube.codec import CustomObject


class JobEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A decision about jobs and what became of it.

    Attributes:
        created: Jobs really created.
        deleted: Jobs really deleted.
        error: Why not everything could be done, else empty.
    """

    decision: JobDecision
    created: int = 0
    deleted: int = 0
    error: str = ""

    @property
    def desired(self) -> int | None:
        """Jobs that run from now on; None when those that ran are not known."""
        counts = self.decision.counts
        return None if counts is None else counts.running + self.created

    @property
    def kind(self) -> tuple[object, ...]:
        """Whatever changed something is one of a kind; other decisions by what they say."""
        decision = self.decision
        if self.created or self.deleted:
            return (decision.at,)
        return (self.desired, decision.is_active, tuple(step.code for step in decision.steps))


class TrackedJob(TrackedItem[JobBinding]):
    """One ScaledJob between two reconciles.

    Attributes:
        key: Among the ScaledJobs of all groups.
        memory: For the next decision; survives pauses and edits.
        journal: Past decisions.
        unsettled: Jobs whose creation was not answered, by name.
        refused_at: When jobs were refused last, epoch seconds; the same readings do not ask again.
        refusal: Why; empty once jobs can be created again.
    """

    __slots__ = ("journal", "key", "memory", "refusal", "refused_at", "unsettled")

    def __init__(self, key: str, item: CustomObject, journal_length: int) -> None:
        super().__init__(item)
        self.key = key
        known = memory_from_status(item.status)
        self.memory = JobMemory(conditions=known.conditions, last_active_at=known.last_active_at)
        self.journal: Journal[JobEntry] = Journal(journal_length)
        self.unsettled: dict[str, Unsettled] = {}
        self.refused_at: float | None = None
        self.refusal = ""
