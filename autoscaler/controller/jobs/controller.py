"""The ScaledJob part of the service, wired together."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec

from autoscaler.collect.entries import EntryReader
from autoscaler.collect.poll import Collector
from autoscaler.controller.jobs.act import JobActor
from autoscaler.controller.jobs.announce import JobAnnouncer
from autoscaler.controller.jobs.binding import JobBinder
from autoscaler.controller.jobs.ledger import JobLedger, Owner
from autoscaler.controller.jobs.reconcile import KEY_PREFIX, JobReconciler
from autoscaler.controller.jobs.tracked import TrackedJob
from autoscaler.controller.jobs.views import job_explanation, job_explanation_text, job_summary
from autoscaler.controller.jobs.writer import JobWriter
from autoscaler.controller.objects import ScalingObjects, group_of, key_of
from autoscaler.controller.rebinding import Rebinder
from autoscaler.controller.reconcile import NextTurn
from autoscaler.controller.settings import ControllerSettings
from autoscaler.controller.status_writer import StatusWriter
from autoscaler.controller.tracked import fingerprint
from autoscaler.controller.triggers import TriggerBinder, uses_authentication
from autoscaler.controller.watches import Watches
from autoscaler.kube.codec import CustomObject
from autoscaler.kube.events import EventRecorder
from autoscaler.kube.resources import SCALED_JOBS, in_group
from autoscaler.kube.transport import KubeClient
from autoscaler.runtime.clock import Clock
from autoscaler.telemetry.job_metrics import JobMetrics
from autoscaler.telemetry.metrics import Metrics


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """What the service has for all kinds of objects.

    Attributes:
        enqueue: Asks for a reconcile of a key.
    """

    client: KubeClient
    watches: Watches
    collector: Collector
    entries: EntryReader
    triggers: TriggerBinder
    recorder: EventRecorder
    metrics: Metrics
    clock: Clock
    rng: random.Random
    settings: ControllerSettings
    enqueue: Callable[[str], None]


class JobController:
    """Everything about ScaledJobs; jobs are watched from the first ScaledJob on."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        settings = shared.settings
        self._objects = ScalingObjects(
            {
                group: shared.watches.custom(in_group(SCALED_JOBS, group))
                for group in settings.watch_keda.groups
            },
            settings.watch_keda,
        )
        self.statuses = StatusWriter(
            shared.client,
            self._objects,
            resource=SCALED_JOBS,
            clock=shared.clock,
            rng=shared.rng,
        )
        self._announcer = JobAnnouncer(
            shared.recorder,
            JobMetrics(shared.metrics),
            clock=shared.clock,
            repeat_seconds=settings.event_repeat_seconds,
        )
        self._reconciler: JobReconciler | None = None
        self._objects.on_change(self._object_changed)

    @property
    def tracked(self) -> dict[str, TrackedJob]:
        """What is kept about each ScaledJob, by key."""
        return {} if self._reconciler is None else self._reconciler.tracked

    async def reconcile(self, key: str) -> NextTurn:
        """Look at one ScaledJob and do what is needed; raises KubeError."""
        if self._reconciler is None:
            self._reconciler = self._build()
        return await self._reconciler.reconcile(key)

    def summaries(self) -> list[dict[str, Any]]:
        """Return a line about every ScaledJob."""
        return [job_summary(one) for one in self.tracked.values()]

    def explain(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return why a ScaledJob has the jobs it has, None when there is none of that name."""
        tracked = self._find(namespace, name)
        return job_explanation(tracked) if tracked else None

    def explain_text(self, namespace: str, name: str) -> str | None:
        """Return :meth:`explain` for people."""
        tracked = self._find(namespace, name)
        return job_explanation_text(tracked) if tracked else None

    def authentication_changed(self, group: str, namespace: str, name: str) -> None:
        """Look again at the objects that use an authentication (cluster-wide: no namespace)."""
        for key, tracked in self.tracked.items():
            if group_of(tracked.item) != group:
                continue
            if namespace and tracked.item.metadata.namespace != namespace:
                continue
            triggers = tracked.binding.obj.spec.triggers if tracked.binding else None
            if triggers is None or uses_authentication(triggers, name, is_cluster=not namespace):
                tracked.is_stale = True
                self._shared.enqueue(key)

    def _find(self, namespace: str, name: str) -> TrackedJob | None:
        """Return an object by name; of two of the same name the one of our own group."""
        keys = [
            KEY_PREFIX + key_of(namespace, name, group)
            for group in self._shared.settings.watch_keda.groups
        ]
        return next((self.tracked[key] for key in keys if key in self.tracked), None)

    def _build(self) -> JobReconciler:
        shared = self._shared
        store = shared.watches.jobs()
        ledger = JobLedger(store, shared.clock, self._jobs_changed)
        return JobReconciler(
            objects=self._objects,
            bindings=Rebinder(
                JobBinder(shared.triggers),
                shared.collector,
                shared.entries,
                shared.clock,
                shared.settings,
            ),
            collector=shared.collector,
            watches=shared.watches,
            ledger=ledger,
            actor=JobActor(
                shared.client,
                ledger,
                JobWriter(shared.client, store),
                self._announcer,
                self.statuses,
                clock=shared.clock,
                status_seconds=shared.settings.status_seconds,
            ),
            announcer=self._announcer,
            clock=shared.clock,
            settings=shared.settings,
        )

    def _object_changed(self, key: str, old: CustomObject | None, new: CustomObject | None) -> None:
        is_ours = (
            old is not None
            and new is not None
            and fingerprint(old) == fingerprint(new)
            and old.metadata.deletion_timestamp == new.metadata.deletion_timestamp
        )
        # What is left are changes of status, and those are written by ourselves.
        if not is_ours:
            self._shared.enqueue(KEY_PREFIX + key)

    def _jobs_changed(self, owner: Owner) -> None:
        for group in self._shared.settings.watch_keda.groups:
            key = KEY_PREFIX + key_of(*owner, group)
            if key in self.tracked:
                self._shared.enqueue(key)
