"""Events and metrics about an object: what changed since its last decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from autoscaler.controller.binding import Binding
from autoscaler.controller.journal import Entry, Outcome
from autoscaler.controller.objects import resource_of
from autoscaler.controller.status import CHECK_FAILED_REASON, READY, READY_REASON
from autoscaler.controller.tracked import Tracked
from autoscaler.core.model import Condition, DecisionEvent, Policy, Reading
from autoscaler.core.rescale import events_after_failure
from autoscaler.kube.events import EventRecorder, ObjectReference
from autoscaler.kube.resources import Resource
from autoscaler.runtime.clock import Clock
from autoscaler.telemetry.metrics import MetricLabels, Metrics

SWITCHES: Final = {
    "Fallback": ("ScaledObjectFallbackActivated", "ScaledObjectFallbackDeactivated"),
    "Paused": ("ScaledObjectPaused", "ScaledObjectUnpaused"),
}
"""Event reasons for a condition that became True, and for one that no longer is."""


class Announcer:
    """Writes events about objects and keeps their series current.

    Args:
        recorder: Where events go.
        metrics: Where numbers go.
        resource: Kind of the objects; the group is each object's own.
        clock: For not repeating events too often.
        repeat_seconds: The same event about an object is repeated at most this often.
    """

    def __init__(
        self,
        recorder: EventRecorder,
        metrics: Metrics,
        *,
        resource: Resource,
        clock: Clock,
        repeat_seconds: float,
    ) -> None:
        self._recorder = recorder
        self._metrics = metrics
        self._resource = resource
        self._clock = clock
        self._repeat_seconds = repeat_seconds

    def decided(
        self,
        tracked: Tracked,
        binding: Binding,
        entry: Entry,
        before: tuple[Condition, ...],
        after: tuple[Condition, ...],
    ) -> None:
        """Tell about a decision.

        Args:
            tracked: The object.
            binding: Of the object.
            entry: The decision and what became of it.
            before: Conditions until now.
            after: Conditions from now on.
        """
        decision, meta = entry.decision, tracked.item.metadata
        self._metrics.decided(
            meta.namespace,
            meta.name,
            at=decision.at,
            outcome=entry.outcome,
            current=decision.current_replicas,
            desired=decision.desired_replicas,
            is_active=decision.is_active,
            is_paused=binding.policy.pause.paused or binding.policy.pause.replicas is not None,
        )
        for event in _due(binding.policy, entry):
            self._event(tracked, event.type, event.reason, event.message)
        self._switches(tracked, before, after)

    def rejected(self, tracked: Tracked, message: str) -> None:
        """Tell that an object cannot work."""
        meta = tracked.item.metadata
        self._metrics.could_not_act(meta.namespace, meta.name, CHECK_FAILED_REASON)
        self._event(tracked, "Warning", CHECK_FAILED_REASON, message)

    def read(self, tracked: Tracked, binding: Binding, readings: Mapping[str, Reading]) -> None:
        """Tell about the readings that are new since the last decision."""
        meta = tracked.item.metadata
        for metric in binding.policy.metrics:
            name = metric.spec.name
            reading, before = readings.get(name), tracked.readings.get(name)
            if reading is None or (before and before.sampled_at == reading.sampled_at):
                continue
            labels = MetricLabels(
                namespace=meta.namespace,
                name=meta.name,
                metric=name,
                scaler=metric.trigger_type,
                trigger_index=metric.trigger_index,
            )
            if reading.error is not None:
                self._metrics.reading_failed(labels, reading.error_reason)
                if before is None or before.error is None:
                    text = f"{binding.describe(name)}: {reading.error}"
                    self._event(tracked, "Warning", "KEDAScalerFailed", text)
            elif reading.value is not None:
                active = reading.active
                if active is None:
                    active = reading.value > metric.spec.activation_value
                self._metrics.read(labels, reading.value, is_active=active)

    def forget(self, namespace: str, name: str) -> None:
        """Remove the series of a deleted object."""
        self._metrics.forget(namespace, name)

    def _switches(
        self, tracked: Tracked, before: tuple[Condition, ...], after: tuple[Condition, ...]
    ) -> None:
        old = {c.type: c.status for c in before}
        for condition in after:
            known = old.get(condition.type)
            is_on = condition.status == "True"
            if known == condition.status:
                continue
            if condition.type == READY and is_on:
                self._event(tracked, "Normal", READY_REASON, condition.message)
            elif condition.type in SWITCHES and (is_on or known == "True"):
                started, ended = SWITCHES[condition.type]
                kind = "Warning" if is_on and condition.type == "Fallback" else "Normal"
                self._event(tracked, kind, started if is_on else ended, condition.message)

    def _event(self, tracked: Tracked, type_: str, reason: str, message: str) -> None:
        now = self._clock.monotonic()
        # A rescale is always news, however alike two of them read.
        repeats = type_ == "Warning" and not tracked.should_record(
            reason, message, now=now, repeat_seconds=self._repeat_seconds
        )
        if not repeats:
            about = ObjectReference.to(
                resource_of(self._resource, tracked.item), tracked.item.metadata
            )
            self._recorder.record(about, type_, reason, message)


def _due(policy: Policy, entry: Entry) -> tuple[DecisionEvent, ...]:
    """Return the events of a decision that are true, considering what became of it."""
    match entry.outcome:
        case Outcome.FAILED if entry.decision.is_rescale:
            return events_after_failure(entry.decision, entry.error, policy=policy)
        case Outcome.SHADOW:
            return tuple(event for event in entry.decision.events if event.type != "Normal")
        case _:
            return entry.decision.events
