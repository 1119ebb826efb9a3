"""Reconcile: what is done about one ScaledJob when something about it may have changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog
from msgspec.structs import replace

from autoscaler.collect.poll import Collector
from autoscaler.controller.jobs.act import JobActor
from autoscaler.controller.jobs.announce import JobAnnouncer
from autoscaler.controller.jobs.binding import JobBinding
from autoscaler.controller.jobs.ledger import JobLedger
from autoscaler.controller.jobs.tracked import TrackedJob
from autoscaler.controller.objects import ScalingObjects
from autoscaler.controller.rebinding import Rebinder
from autoscaler.controller.reconcile import FIRST_READ_SECONDS, SOON_SECONDS, NextTurn
from autoscaler.controller.settings import ControllerSettings
from autoscaler.controller.status import READY, without_ready
from autoscaler.controller.watches import Watches
from autoscaler.core.model import Reading
from autoscaler.errors import ConfigError, Forbidden
from autoscaler.kube.codec import CustomObject
from autoscaler.kube.resources import JOBS
from autoscaler.runtime.clock import Clock, loop_seconds

KEY_PREFIX: Final = "scaledjob:"
"""Before the key of a ScaledJob where those of ScaledObjects are, too; no namespace has a colon."""
TROUBLE_SECONDS: Final = 1.0
"""When to look again whether jobs can be watched again (real seconds)."""

log = structlog.get_logger(__name__)


class JobReconciler:
    """Brings one ScaledJob at a time from what is known to what should be.

    Jobs are listed before a metric is first read, so that no reading is older than what is known
    of the jobs.
    """

    def __init__(
        self,
        *,
        objects: ScalingObjects,
        bindings: Rebinder[JobBinding],
        collector: Collector,
        watches: Watches,
        ledger: JobLedger,
        actor: JobActor,
        announcer: JobAnnouncer,
        clock: Clock,
        settings: ControllerSettings,
    ) -> None:
        self._objects = objects
        self._bindings = bindings
        self._collector = collector
        self._watches = watches
        self._ledger = ledger
        self._actor = actor
        self._announcer = announcer
        self._clock = clock
        self._settings = settings
        self.tracked: dict[str, TrackedJob] = {}

    async def reconcile(self, key: str) -> NextTurn:
        """Look at one object and do what is needed.

        Args:
            key: With :data:`KEY_PREFIX`.

        Raises:
            KubeError: The API server could not be asked; nothing was changed.
        """
        item = self._objects.get(key.removeprefix(KEY_PREFIX))
        is_going = item is not None and item.metadata.deletion_timestamp is not None
        if item is None or is_going or not self._objects.is_ours(item):
            self._forget(key)
            return NextTurn()
        tracked = self._track(key, item)
        try:
            if not self._watches.is_listed(JOBS):
                return NextTurn(loop_seconds=SOON_SECONDS)
            await self._actor.settle(tracked)
            binding = await self._bind(key, tracked)
        except (ConfigError, Forbidden) as error:
            self._reject(key, tracked, str(error))
            return NextTurn(loop_seconds=self._settings.retry_seconds)
        return await self._decide(key, tracked, binding)

    def _track(self, key: str, item: CustomObject) -> TrackedJob:
        tracked = self.tracked.get(key)
        if tracked is not None and tracked.item.metadata.uid != item.metadata.uid:
            # Deleted and created again since the last look.
            self._forget(key)
            tracked = None
        if tracked is None:
            plain = key.removeprefix(KEY_PREFIX)
            tracked = TrackedJob(plain, item, self._settings.journal_length)
            self.tracked[key] = tracked
        self._ledger.follow((item.metadata.namespace, item.metadata.name))
        tracked.item = item
        return tracked

    async def _bind(self, key: str, tracked: TrackedJob) -> JobBinding:
        was_bound = tracked.binding is not None
        binding = await self._bindings.bind(key, tracked)
        if not was_bound:
            # Whatever kept it from working is over; the next decision says what is true now.
            known = tracked.memory.conditions
            kept = tuple(c for c in known if c.type != READY or c.status == "True")
            tracked.memory = replace(tracked.memory, conditions=kept)
        return binding

    async def _decide(self, key: str, tracked: TrackedJob, binding: JobBinding) -> NextTurn:
        readings = self._collector.readings.of(key)
        self._announcer.read(tracked, binding, readings)
        tracked.readings = readings
        if self._awaits_reading(tracked, binding, readings):
            return NextTurn(loop_seconds=SOON_SECONDS)
        trouble = self._watches.trouble(JOBS)
        await self._actor.act(tracked, binding, readings, trouble)
        return NextTurn(
            self._bindings.next_lookup_seconds(tracked),
            loop_seconds=TROUBLE_SECONDS if trouble else None,
            has_failed=bool(tracked.unsettled),
        )

    def _awaits_reading(
        self, tracked: TrackedJob, binding: JobBinding, readings: Mapping[str, Reading]
    ) -> bool:
        """Whether to wait for the first readings; each is there soon, as a value or an error."""
        age = loop_seconds(self._clock, self._clock.monotonic() - tracked.bound_at)
        unread = any(name not in readings for name in binding.external_metrics)
        return unread and age < FIRST_READ_SECONDS and not binding.policy.paused

    def _reject(self, key: str, tracked: TrackedJob, message: str) -> None:
        """Stop working for an object and say why; its memory stays for when it works again."""
        self._collector.unregister(key)
        tracked.binding = None
        # That it works again will be news.
        tracked.memory = replace(
            tracked.memory, conditions=without_ready(tracked.memory.conditions)
        )
        if tracked.problem != message:
            log.info("object_rejected", object=key, why=message)
            self._announcer.rejected(tracked, message)
            tracked.problem = message
        self._actor.write_rejection(tracked, message)

    def _forget(self, key: str) -> None:
        self._collector.unregister(key)
        self._actor.forget(key.removeprefix(KEY_PREFIX))
        tracked = self.tracked.pop(key, None)
        if tracked is None:
            return
        self._bindings.forget(tracked)
        meta = tracked.item.metadata
        self._ledger.forget((meta.namespace, meta.name))
        self._announcer.forget(meta.namespace, meta.name)
        log.info("object_forgotten", object=key)
