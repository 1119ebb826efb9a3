"""What is known of the jobs of each ScaledJob, and since when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from autoscaler.core.jobs import Job
from autoscaler.kube.jobs import NAME_LABEL, JobView
from autoscaler.kube.store import Store
from autoscaler.runtime.clock import Clock

GONE_JOBS_MAX: Final = 1000
"""Jobs of one ScaledJob remembered after they are gone; a new reading makes them unimportant."""

Owner = tuple[str, str]
"""Namespace and name of a ScaledJob."""


class _Known(msgspec.Struct):
    """A job; ``None`` for an instant means: before the first list, so before any reading."""

    view: JobView
    begun_at: float | None = None
    ended_at: float | None = None
    is_gone: bool = False
    is_deleted: bool = False


class JobLedger:
    """Follows the jobs of all ScaledJobs and notes when each was first known to begin and to end.

    Args:
        store: All jobs with the label of a ScaledJob.
        clock: The clock that readings are dated by.
        on_change: Called with the ScaledJob whose jobs changed.
    """

    def __init__(
        self, store: Store[JobView], clock: Clock, on_change: Callable[[Owner], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._on_change = on_change
        self._known: dict[Owner, dict[str, _Known]] = {}
        self._gone: dict[Owner, int] = {}
        store.on_change(self._changed)

    def follow(self, owner: Owner) -> None:
        """Remember the jobs of a ScaledJob beyond their end, from now on."""
        self._gone.setdefault(owner, 0)

    def forget(self, owner: Owner) -> None:
        """Stop remembering jobs that are gone."""
        if self._gone.pop(owner, None):
            self._drop_gone(owner, None)

    def jobs(self, owner: Owner, read_at: float | None = None, *, uid: str = "") -> list[Job]:
        """Return the jobs of a ScaledJob, gone ones included as long as a reading is older.

        Args:
            owner: Whose.
            uid: Of the ScaledJob; jobs of a namesake are not its to delete.
            read_at: When the oldest of its readings was taken, epoch seconds.
        """
        if read_at is not None and self._gone.get(owner):
            self._drop_gone(owner, read_at)
        return [_job(known, uid) for known in self._of(owner)]

    def view(self, owner: Owner, name: str) -> JobView | None:
        """Return a job as stored."""
        found = self._store.get(f"{owner[0]}/{name}")
        return found if found is not None and found.belongs_to(owner[1]) else None

    def deleted(self, owner: Owner, job: JobView) -> None:
        """Note that a job was deleted by us: there is no need to do it again."""
        known = self._known.get(owner, {}).get(job.metadata.uid)
        if known is not None:
            known.is_deleted = True

    def _of(self, owner: Owner) -> Iterator[_Known]:
        known = self._known.get(owner, {}).values()
        return (one for one in known if one.view.belongs_to(owner[1]))

    def _changed(self, _key: str, old: JobView | None, new: JobView | None) -> None:
        owners = {_owner_of(view) for view in (old, new) if view is not None}
        if old is not None and (new is None or not _is_same(old, new)):
            self._left(_owner_of(old), old.metadata.uid)
        if new is not None:
            self._seen(_owner_of(new), new)
        for owner in owners:
            self._on_change(owner)

    def _seen(self, owner: Owner, view: JobView) -> None:
        now = self._clock.now() if self._store.has_synced else None
        known = self._known.setdefault(owner, {}).get(view.metadata.uid)
        if known is None:
            known = self._known[owner][view.metadata.uid] = _Known(view)
            had_begun = had_ended = False
        else:
            had_begun, had_ended = known.view.has_begun, bool(known.view.outcome)
        if view.has_begun and not had_begun:
            known.begun_at = now
        if view.outcome and not had_ended:
            known.ended_at = now
        known.view = view

    def _left(self, owner: Owner, uid: str) -> None:
        jobs = self._known.get(owner, {})
        known = jobs.get(uid)
        if known is None:
            return
        if not known.view.outcome:
            known.ended_at = self._clock.now()
        if owner in self._gone and known.ended_at is not None:
            known.is_gone = True
            self._gone[owner] += 1
            if self._gone[owner] > GONE_JOBS_MAX:
                oldest = next(uid for uid, one in jobs.items() if one.is_gone)
                self._drop(owner, oldest)
        else:
            del jobs[uid]
        if not jobs:
            del self._known[owner]

    def _drop_gone(self, owner: Owner, before: float | None) -> None:
        jobs = self._known.get(owner, {})
        for uid, known in list(jobs.items()):
            is_old = before is None or known.ended_at is None or known.ended_at <= before
            if known.is_gone and is_old:
                self._drop(owner, uid)
        if not jobs:
            self._known.pop(owner, None)

    def _drop(self, owner: Owner, uid: str) -> None:
        del self._known[owner][uid]
        if owner in self._gone:
            self._gone[owner] -= 1


def _owner_of(view: JobView) -> Owner:
    return view.metadata.namespace, view.metadata.labels.get(NAME_LABEL, "")


def _is_same(old: JobView, new: JobView) -> bool:
    return old.metadata.uid == new.metadata.uid and _owner_of(old) == _owner_of(new)


def _job(known: _Known, uid: str) -> Job:
    view = known.view
    is_leaving = known.is_deleted or view.metadata.deletion_timestamp is not None
    return Job(
        name=view.metadata.name,
        outcome=view.outcome,
        finished_at=view.finished_at,
        created_at=view.created_at,
        generation=view.generation,
        has_begun=view.has_begun,
        begun_at=known.begun_at,
        ended_at=known.ended_at,
        is_leaving=is_leaving or not view.is_deletable_by(uid),
        is_gone=known.is_gone,
    )
