"""What is kept about an object, and what a status preserves of it."""

from __future__ import annotations

from autoscaler.controller.tracked import EVENTS_REMEMBERED, Tracked, memory_from_status
from autoscaler.core.model import Condition, Health
from autoscaler.kube.codec import CustomObject, ObjectMeta


def tracked() -> Tracked:
    """Return a fresh one."""
    return Tracked(CustomObject(metadata=ObjectMeta(name="x"), raw={}), 5)


def test_status_preserves_activity_failures_and_conditions() -> None:
    """A restarted service takes over what the status says, without old messages of Ready."""
    memory = memory_from_status(
        {
            "lastActiveTime": "2026-01-01T00:00:00Z",
            "desiredReplicas": 4,
            "health": {
                "s0": {"numberOfFailures": 2, "status": "Failing"},
                "s1": {"numberOfFailures": 0, "status": "Happy"},
            },
            "conditions": [
                {"type": "Ready", "status": "False", "reason": "TriggerError", "message": "old"},
                {"type": "Active", "status": "True", "message": "kept"},
            ],
        }
    )
    assert memory.last_active_at == 1767225600.0
    assert memory.desired_replicas == 4
    assert memory.health == {"s0": Health(2)}
    assert memory.conditions == (
        Condition("Ready", "False", "TriggerError", ""),
        Condition("Active", "True", "", "kept"),
    )


def test_status_that_makes_no_sense_is_an_empty_memory() -> None:
    """Whatever somebody wrote into the status, the service starts."""
    memory = memory_from_status(
        {
            "lastActiveTime": "yesterday",
            "desiredReplicas": "four",
            "health": ["s0"],
            "conditions": ["Ready", {"type": "Ready"}, {"status": "True"}],
        }
    )
    assert memory.last_active_at is None
    assert memory.desired_replicas is None
    assert memory.health == {}
    assert memory.conditions == ()
    assert memory_from_status({"conditions": 5, "health": {"s0": 7}}).health == {}


def test_events_are_news_once_in_a_while() -> None:
    """The same event is recorded again only after the repeat time; memory of it is bounded."""
    one = tracked()
    assert one.should_record("R", "m", now=0, repeat_seconds=300)
    assert not one.should_record("R", "m", now=299, repeat_seconds=300)
    assert one.should_record("R", "other", now=299, repeat_seconds=300)
    assert one.should_record("R", "m", now=300, repeat_seconds=300)
    for number in range(2 * EVENTS_REMEMBERED):
        one.should_record("R", str(number), now=301, repeat_seconds=300)
    assert len(one.events) == EVENTS_REMEMBERED
