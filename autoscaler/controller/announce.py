"""Events and metrics about an object: what changed since its last decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from autoscaler.controller.binding import Binding
from autoscaler.controller.journal import Entry, Outcome
from autoscaler.controller.objects import resource_of
from autoscaler.controller.status import CHECK_FAILED_REASON, READY, READY_REASON
from autoscaler.controller.tracked import Tracked, TrackedItem
from autoscaler.controller.triggers import HasTriggers
from autoscaler.core.model import Condition, DecisionEvent, Policy, Reading
from autoscaler.core.rescale import events_after_failure
from autoscaler.kube.events import EventRecorder, ObjectReference
from autoscaler.kube.resources import Resource
from autoscaler.runtime.clock import Clock
from autoscaler.telemetry.metrics import MetricLabels, Metrics

SWITCHES: Final = {
    READY: (READY_REASON, ""),
    "Fallback": ("ScaledObjectFallbackActivated", "ScaledObjectFallbackDeactivated"),
    "Paused": ("ScaledObjectPaused", "ScaledObjectUnpaused"),
}
"""Event reasons for a condition that became True, and for one that no longer is; empty = none."""


class ReadingSeries(Protocol):
    """Where the numbers of readings go."""

    def read(self, labels: MetricLabels, value: float, *, is_active: bool) -> None:
        """Note a good reading."""
        ...

    def reading_failed(self, labels: MetricLabels, reason: str) -> None:
        """Note a failed reading."""
        ...


class News:
    """Tells what is new about objects of one kind: readings, conditions, whatever else happens.

    Args:
        recorder: Where events go.
        series: Where the numbers of readings go.
        resource: Kind of the objects; the group is each object's own.
        switches: Event reasons for a condition that became True, and for one that no longer is.
        clock: For not repeating events too often.
        repeat_seconds: The same event about an object is repeated at most this often.
    """

    def __init__(
        self,
        recorder: EventRecorder,
        series: ReadingSeries,
        *,
        resource: Resource,
        switches: Mapping[str, tuple[str, str]],
        clock: Clock,
        repeat_seconds: float,
    ) -> None:
        self._recorder = recorder
        self._series = series
        self._resource = resource
        self._switches = switches
        self._clock = clock
        self._repeat_seconds = repeat_seconds

    def read(
        self, tracked: TrackedItem[Any], binding: HasTriggers, readings: Mapping[str, Reading]
    ) -> None:
        """Tell about the readings that are new since the last decision."""
        meta = tracked.item.metadata
        for metric in binding.metrics:
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
                kind=self._resource.kind.lower(),
            )
            if reading.error is not None:
                self._series.reading_failed(labels, reading.error_reason)
                if before is None or before.error is None:
                    text = f"{binding.describe(name)}: {reading.error}"
                    self.event(tracked, "Warning", "KEDAScalerFailed", text)
            elif reading.value is not None:
                active = reading.active
                if active is None:
                    active = reading.value > metric.spec.activation_value
                self._series.read(labels, reading.value, is_active=active)

    def switched(
        self,
        tracked: TrackedItem[Any],
        before: tuple[Condition, ...],
        after: tuple[Condition, ...],
    ) -> None:
        """Tell about conditions that became something else."""
        old = {c.type: c.status for c in before}
        for condition in after:
            known = old.get(condition.type)
            is_on = condition.status == "True"
            if known == condition.status or condition.type not in self._switches:
                continue
            started, ended = self._switches[condition.type]
            if is_on and started:
                kind = "Warning" if condition.type == "Fallback" else "Normal"
                self.event(tracked, kind, started, condition.message)
            elif known == "True" and ended:
                self.event(tracked, "Normal", ended, condition.message)

    def event(self, tracked: TrackedItem[Any], type_: str, reason: str, message: str) -> None:
        """Record an event; a warning that was recorded lately is not repeated."""
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


class Announcer(News):
    """Writes events about ScaledObjects and keeps their series current; arguments as above."""

    def __init__(
        self,
        recorder: EventRecorder,
        metrics: Metrics,
        *,
        resource: Resource,
        clock: Clock,
        repeat_seconds: float,
    ) -> None:
        super().__init__(
            recorder,
            metrics,
            resource=resource,
            switches=SWITCHES,
            clock=clock,
            repeat_seconds=repeat_seconds,
        )
        self._metrics = metrics

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
            self.event(tracked, event.type, event.reason, event.message)
        self.switched(tracked, before, after)

    def rejected(self, tracked: Tracked, message: str) -> None:
        """Tell that an object cannot work."""
        meta = tracked.item.metadata
        self._metrics.could_not_act(meta.namespace, meta.name, CHECK_FAILED_REASON)
        self.event(tracked, "Warning", CHECK_FAILED_REASON, message)

    def forget(self, namespace: str, name: str) -> None:
        """Remove the series of a deleted object."""
        self._metrics.forget(namespace, name)


def _due(policy: Policy, entry: Entry) -> tuple[DecisionEvent, ...]:
    """Return the events of a decision that are true, considering what became of it."""
    match entry.outcome:
        case Outcome.FAILED if entry.decision.is_rescale:
            return events_after_failure(entry.decision, entry.error, policy=policy)
        case Outcome.SHADOW:
            return tuple(event for event in entry.decision.events if event.type != "Normal")
        case _:
            return entry.decision.events
