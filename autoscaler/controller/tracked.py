"""What the controller keeps in memory about one object."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from typing_extensions import override

from autoscaler.api.triggers import Trigger
from autoscaler.controller.binding import Binding
from autoscaler.controller.journal import Entry, Journal
from autoscaler.core.edits import about_target, without_metrics
from autoscaler.core.model import Condition, Health, Memory, MetricSpec, Reading, Recommendation
from autoscaler.core.resume import Told
from autoscaler.kube.codec import CustomObject

EVENTS_REMEMBERED: Final = 64
B = TypeVar("B")
Fingerprint = tuple[str, int, tuple[tuple[str, str], ...]]


class TrackedItem(Generic[B]):
    """What is kept about one object of either kind; touched by one worker at a time.

    Attributes:
        item: The object as last seen.
        fingerprint: Of what ``binding`` (or ``problem``) was made from.
        binding: What is done for it; None while it cannot work.
        problem: Why it cannot work, for people; empty while it works.
        bound_at: When the binding was last checked, monotonic seconds.
        is_stale: Something it refers to changed; check the binding at the next reconcile.
        readings: Those of the last decision.
        status_signature: The important part of the status last written.
        status_at: When it was written, monotonic seconds.
    """

    __slots__ = (
        "binding",
        "bound_at",
        "events",
        "fingerprint",
        "is_stale",
        "item",
        "problem",
        "readings",
        "status_at",
        "status_signature",
    )

    def __init__(self, item: CustomObject) -> None:
        self.item = item
        self.fingerprint: Fingerprint | None = None
        self.binding: B | None = None
        self.problem = ""
        self.bound_at = 0.0
        self.is_stale = False
        self.readings: Mapping[str, Reading] = {}
        self.events: OrderedDict[tuple[str, str], float] = OrderedDict()
        self.status_signature: object = None
        self.status_at = 0.0

    def take_up(self, binding: B) -> None:
        """Work by a binding that was made anew."""
        self.binding = binding

    def should_record(
        self, reason: str, message: str, *, now: float, repeat_seconds: float
    ) -> bool:
        """Whether an event is news; remembers that it was recorded."""
        key = (reason, message)
        last = self.events.get(key)
        if last is not None and now - last < repeat_seconds:
            return False
        self.events[key] = now
        self.events.move_to_end(key)
        while len(self.events) > EVENTS_REMEMBERED:
            self.events.popitem(last=False)
        return True


class Tracked(TrackedItem[Binding]):
    """One ScaledObject between two reconciles.

    Attributes:
        memory: For the next decision; survives pauses and edits.
        journal: Past decisions.
        original_replicas: Of the target when the object took it over.
        known_by: The binding the memory is about; stays while the object cannot work.
        counted: When the readings behind the newest recommendation were sampled, by metric.
        denied_at: Since when a right is missing, ``loop.time()``; None = none is.
    """

    __slots__ = ("counted", "denied_at", "journal", "known_by", "memory", "original_replicas")

    def __init__(self, item: CustomObject, journal_length: int) -> None:
        super().__init__(item)
        self.memory = memory_from_status(item.status)
        self.journal: Journal[Entry] = Journal(journal_length)
        self.known_by: Binding | None = None
        self.counted: Mapping[str, float] = {}
        self.denied_at: float | None = None
        count = item.status.get("originalReplicaCount")
        self.original_replicas: int | None = count if isinstance(count, int) else None

    @override
    def take_up(self, binding: Binding) -> None:
        """Work by a binding that was made anew, without what is known about something else."""
        if self.known_by is not None:
            changed = _changed_metrics(self.known_by, binding)
            self.memory = without_metrics(self.memory, changed)
        memory = about_target(self.memory, binding.target.identity)
        if memory.recommendations is not self.memory.recommendations:
            self.counted = {}
        self.memory, self.known_by = memory, binding
        super().take_up(binding)


def _changed_metrics(before: Binding, after: Binding) -> set[str]:
    """Return the metrics whose trigger is written differently, or declares something else.

    A rotated password is none of that: the same is measured.
    """
    old = _declared(before)
    return {name for name, declared in _declared(after).items() if old.get(name) != declared}


def _declared(binding: Binding) -> dict[str, tuple[Trigger, MetricSpec]]:
    triggers = binding.obj.spec.triggers
    return {m.spec.name: (triggers[m.trigger_index], m.spec) for m in binding.metrics}


def fingerprint(item: CustomObject) -> Fingerprint:
    """Return what makes a new binding necessary when it changes."""
    meta = item.metadata
    return (meta.uid, meta.generation, tuple(sorted(meta.annotations.items())))


def memory_from_status(status: Mapping[str, Any]) -> Memory:
    """Return what a status preserves of a memory: activity, failures, conditions.

    With it a restarted service neither forgets a cooldown nor calls everything new.
    """
    desired = status.get("desiredReplicas")
    return Memory(
        last_active_at=_instant(status.get("lastActiveTime")),
        desired_replicas=desired if isinstance(desired, int) else None,
        conditions=conditions_of(status),
        health={
            name: Health(failures)
            for name, entry in _mapping(status.get("health")).items()
            if isinstance(failures := _mapping(entry).get("numberOfFailures"), int) and failures > 0
        },
    )


def told_by(status: Mapping[str, Any]) -> Told:
    """Return what a status says about the past."""
    last = _mapping(status.get("lastDecision"))
    rescaled_at = _instant(last.get("time")) or 0.0
    before, after = last.get("currentReplicas"), last.get("desiredReplicas")
    raised = None
    if isinstance(before, int) and isinstance(after, int) and before < after:
        raised = Recommendation(round(rescaled_at * 1000), after)
    return Told(
        memory=memory_from_status(status),
        at=max(rescaled_at, _instant(status.get("lastActiveTime")) or 0.0),
        raised=raised,
    )


def conditions_of(status: Mapping[str, Any]) -> tuple[Condition, ...]:
    """Return the conditions of a status as far as they are well formed."""
    listed = status.get("conditions")
    return tuple(
        Condition(
            type=str(entry["type"]),
            status=str(entry["status"]),
            reason=str(entry.get("reason") or ""),
            # Our messages name readings of that time; what still holds is said anew.
            message="" if entry["type"] == "Ready" else str(entry.get("message") or ""),
        )
        for entry in (listed if isinstance(listed, list) else ())
        if isinstance(entry, Mapping) and entry.get("type") and entry.get("status")
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _instant(value: object) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError:
        return None
