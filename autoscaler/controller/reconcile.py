"""Reconcile: what is done about one object when something about it may have changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog
from msgspec.structs import replace

from autoscaler.collect.entries import EntryReader
from autoscaler.collect.poll import Collector
from autoscaler.controller.act import Actor
from autoscaler.controller.adoption import Adopter, with_origin
from autoscaler.controller.announce import Announcer
from autoscaler.controller.binding import Binder, Binding
from autoscaler.controller.claims import Claims
from autoscaler.controller.journal import Outcome
from autoscaler.controller.lifecycle import Lifecycle
from autoscaler.controller.objects import ScalingObjects
from autoscaler.controller.observe import unread_metrics
from autoscaler.controller.rebinding import Rebinder
from autoscaler.controller.repeats import counted_once
from autoscaler.controller.settings import ControllerSettings
from autoscaler.controller.snapshots import Snapshots
from autoscaler.controller.status import READY, explained, with_ready, without_ready
from autoscaler.controller.target_pods import TargetPods
from autoscaler.controller.targets import TargetGone
from autoscaler.controller.tracked import Tracked, told_by
from autoscaler.controller.watches import Watches
from autoscaler.core.model import Reading
from autoscaler.core.resume import after_absence
from autoscaler.errors import ConfigError, Forbidden
from autoscaler.kube.autoscalers import AUTOSCALERS
from autoscaler.kube.codec import CustomObject
from autoscaler.kube.scale import ScaleView
from autoscaler.runtime.clock import Clock, loop_seconds

FIRST_READ_SECONDS: Final = 15.0
"""How long a new metric may stay unread before deciding without it (real seconds)."""
SOON_SECONDS: Final = 0.25
"""When to look again for something that is on its way (real seconds)."""
DENIED_SECONDS: Final = 3.0
"""How long a denial has to last before it is one (real seconds): an API server that starts denies
everything until it has read its rules and tokens."""
DENIED_AGAIN_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)


class NextTurn:
    """When an object wants to be looked at again though nothing happens.

    Attributes:
        seconds: Of the service's clock; None = only when something happens.
        loop_seconds: Real seconds, for things that do not follow the service's clock.
        has_failed: The API server refused something: back off.
        patience_seconds: Real seconds the API server asked to wait; nothing shortens them.
    """

    __slots__ = ("has_failed", "loop_seconds", "patience_seconds", "seconds")

    def __init__(
        self,
        seconds: float | None = None,
        *,
        loop_seconds: float | None = None,
        has_failed: bool = False,
        patience_seconds: float | None = None,
    ) -> None:
        self.seconds = seconds
        self.patience_seconds = patience_seconds
        self.loop_seconds = loop_seconds
        self.has_failed = has_failed


class Reconciler:
    """Brings one object at a time from what is known to what should be.

    Level-based: whatever woke it, it looks at everything. Nothing here waits for a metric source;
    readings come from the collector's table.
    """

    def __init__(
        self,
        *,
        objects: ScalingObjects,
        claims: Claims,
        adopter: Adopter,
        lifecycle: Lifecycle,
        binder: Binder,
        collector: Collector,
        entries: EntryReader,
        watches: Watches,
        actor: Actor,
        announcer: Announcer,
        snapshots: Snapshots,
        clock: Clock,
        settings: ControllerSettings,
    ) -> None:
        self._objects = objects
        self._claims = claims
        self._adopter = adopter
        self._lifecycle = lifecycle
        self._bindings = Rebinder(binder, collector, entries, clock, settings)
        self._collector = collector
        self._watches = watches
        self._actor = actor
        self._announcer = announcer
        self._snapshots = snapshots
        self._clock = clock
        self._settings = settings
        self.tracked: dict[str, Tracked] = {}

    async def reconcile(self, key: str) -> NextTurn:
        """Look at one object and do what is needed.

        Raises:
            KubeError: The API server could not be asked; nothing was changed.
        """
        item = self._objects.get(key)
        is_going = item is not None and item.metadata.deletion_timestamp is not None
        if item is None or is_going or not self._objects.is_ours(item):
            self._forget(key)
            if item is not None:
                await self._let_go(key, item)
            return NextTurn()
        tracked = self._track(key, item)
        try:
            binding = await self._bind(key, tracked)
            if binding is None:
                return NextTurn(loop_seconds=self._settings.retry_seconds)
            return await self._decide(key, tracked, binding)
        except TargetGone as error:
            self._reject(key, tracked, f"spec.scaleTargetRef.name: {error}")
            return NextTurn(loop_seconds=self._settings.retry_seconds)
        except Forbidden as error:
            if self._is_passing(tracked):
                log.info("denied", object=key, error=str(error))
                return NextTurn(loop_seconds=DENIED_AGAIN_SECONDS)
            self._reject(key, tracked, str(error))
            return NextTurn(loop_seconds=self._settings.retry_seconds)

    def _is_passing(self, tracked: Tracked) -> bool:
        """Whether a denial may still be one of those every API server gives while it starts."""
        now = asyncio.get_running_loop().time()
        if tracked.denied_at is None:
            tracked.denied_at = now
        return now - tracked.denied_at < DENIED_SECONDS

    async def _let_go(self, key: str, item: CustomObject) -> None:
        """End with an object that is being deleted, or that somebody else acts on from now on."""
        try:
            if item.metadata.deletion_timestamp is None:
                await self._lifecycle.release(key, item)
            else:
                await self._lifecycle.end(key, item)
        except Forbidden as error:
            self._actor.write_rejection(Tracked(item, journal_length=1), str(error))
            raise

    def _track(self, key: str, item: CustomObject) -> Tracked:
        tracked = self.tracked.get(key)
        if tracked is not None and tracked.item.metadata.uid != item.metadata.uid:
            # Deleted and created again since the last look.
            self._forget(key)
            tracked = None
        if tracked is None:
            tracked = self.tracked[key] = Tracked(item, self._settings.journal_length)
            tracked.memory = self._snapshots.resume(item.metadata, told_by(item.status))
        tracked.item = item
        return tracked

    async def _bind(self, key: str, tracked: Tracked) -> Binding | None:
        """Return the object's binding, made anew if anything it depends on may have changed."""
        await self._watches.wait_listed(AUTOSCALERS)
        objection = self._claims.objection(key) or self._adopter.objection(key, tracked.item)
        if objection:
            self._reject(key, tracked, objection)
            return None
        was_bound = tracked.binding is not None
        item, foreseen = tracked.item, self._adopter.foreseen(tracked.item)
        tracked.item = foreseen
        try:
            binding = await self._bindings.bind(key, tracked)
        except ConfigError as error:
            self._reject(key, tracked, with_origin(str(error), item, foreseen))
            return None
        finally:
            tracked.item = item
        if not was_bound:
            # Whatever kept it from working is over; the next decision says what is true now.
            known = tracked.memory.conditions
            kept = tuple(c for c in known if c.type != READY or c.status == "True")
            tracked.memory = replace(tracked.memory, conditions=kept)
        tracked.item = await self._adopter.write_down(key, item, foreseen)
        for text in await self._adopter.remove(key, tracked.item):
            self._announcer.event(tracked, "Normal", "AutoscalerTakenOver", text)
        return binding

    async def _decide(self, key: str, tracked: Tracked, binding: Binding) -> NextTurn:
        readings = self._collector.readings.of(key)
        self._announcer.read(tracked, binding, readings)
        tracked.readings = readings
        pods = self._pods(key, binding)
        is_waiting = pods is not None and pods.is_awaited
        if is_waiting or self._awaits_reading(tracked, binding, readings):
            return NextTurn(loop_seconds=SOON_SECONDS)
        tracked.item = await self._lifecycle.hold(key, tracked.item, binding.target)
        if tracked.journal.latest is None:
            now = self._clock.now()
            tracked.memory = after_absence(binding.policy, tracked.memory, now)
        view = await self._actor.look(binding)
        if isinstance(view, ScaleView) and self._bindings.select(key, tracked, view):
            return NextTurn(loop_seconds=SOON_SECONDS)
        decided = await self._actor.scale(tracked, binding, readings, pods, view)
        if decided is None:
            return NextTurn(loop_seconds=SOON_SECONDS)
        entry, memory = decided
        memory = counted_once(tracked, binding, readings, memory)
        tracked.denied_at = None
        before = tracked.memory.conditions
        after = with_ready(binding, memory.conditions)
        tracked.memory = replace(memory, conditions=after)
        seen = tuple((name, reading.value) for name, reading in readings.items())
        tracked.journal.add(replace(entry, readings=seen))
        self._snapshots.note(
            tracked.item.metadata,
            tracked.memory,
            entry.decision.at,
            is_urgent=entry.outcome is Outcome.WRITTEN,
        )
        self._announcer.decided(tracked, binding, entry, before, after)
        shown = explained(binding, after, readings)
        self._actor.write_status(tracked, binding, entry, memory, shown)
        return NextTurn(
            self._next_seconds(tracked),
            loop_seconds=pods.look_again_seconds if pods is not None else None,
            has_failed=entry.outcome is Outcome.FAILED,
            patience_seconds=entry.retry_after_seconds,
        )

    def _pods(self, key: str, binding: Binding) -> TargetPods | None:
        """Return the target's pods if they matter.

        Raises:
            Forbidden: They do, and must not be watched.
        """
        if not binding.needs_pods or not binding.pod_selector:
            self._watches.release(key)
            return None
        pods = self._watches.pods(key, binding.target.namespace, binding.pod_selector)
        pods.check_allowed()
        return pods

    def _awaits_reading(
        self, tracked: Tracked, binding: Binding, readings: Mapping[str, Reading]
    ) -> bool:
        """Whether to wait for the first readings; each is there soon, as a value or an error."""
        policy = binding.policy
        if policy.pause.paused or policy.pause.replicas is not None:
            return False
        age = loop_seconds(self._clock, self._clock.monotonic() - tracked.bound_at)
        return age < FIRST_READ_SECONDS and bool(unread_metrics(binding, readings))

    def _next_seconds(self, tracked: Tracked) -> float | None:
        entry = tracked.journal.latest
        wishes = [
            entry.decision.requeue_after_seconds if entry else None,
            self._bindings.next_lookup_seconds(tracked),
        ]
        return min((wish for wish in wishes if wish is not None), default=None)

    def _reject(self, key: str, tracked: Tracked, message: str) -> None:
        """Stop working for an object and say why; its memory stays for when it works again."""
        self._collector.unregister(key)
        self._watches.release(key)
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
        tracked = self.tracked.pop(key, None)
        self._collector.unregister(key)
        self._watches.release(key)
        self._actor.forget(key)
        self._adopter.forget(key)
        if tracked is None:
            return
        self._bindings.forget(tracked)
        meta = tracked.item.metadata
        self._announcer.forget(meta.namespace, meta.name)
        self._snapshots.forget(meta.uid)
        log.info("object_forgotten", object=key)
