"""What is kept about an object, and what a status preserves of it."""

from __future__ import annotations

from msgspec.structs import replace

from autoscaler.api.parse import parse_object
from autoscaler.api.policy import TriggerMetrics, scaled_object_policy
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.controller.binding import Binding
from autoscaler.controller.targets import TargetRef
from autoscaler.controller.tracked import EVENTS_REMEMBERED, Tracked, memory_from_status
from autoscaler.core.model import (
    Condition,
    Health,
    MetricSpec,
    Recommendation,
    ScaleEvent,
    SmoothingState,
)
from autoscaler.kube.codec import CustomObject, ObjectMeta
from autoscaler.kube.resources import DEPLOYMENTS


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


def binding(*triggers: dict[str, object], target: str = "web") -> Binding:
    """Return the binding of an object as written, whose triggers declare one metric each."""
    obj = parse_object(
        {
            "apiVersion": "flyball.dev/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": "x", "namespace": "shop"},
            "spec": {"scaleTargetRef": {"name": target}, "triggers": list(triggers)},
        }
    )
    assert isinstance(obj, ScaledObject)
    metrics = tuple(
        TriggerMetrics(
            index=index, type=one.type, specs=(MetricSpec(name=f"s{index}-m", target_milli=5),)
        )
        for index, one in enumerate(obj.spec.triggers)
    )
    return Binding(
        obj=obj,
        target=TargetRef(DEPLOYMENTS, "shop", target),
        policy=scaled_object_policy(obj, metrics),
        readers=(),
        pod_selector="",
        needs_pods=False,
        resolved=(),
    )


def trigger(query: str) -> dict[str, object]:
    """Return a trigger as written."""
    metadata = {"serverAddress": "http://p", "query": query, "threshold": "1"}
    return {"type": "prometheus", "metadata": metadata}


def learned() -> Tracked:
    """Return one that works, with something known of two metrics and its target."""
    one = tracked()
    one.take_up(binding(trigger("a"), trigger("b")))
    state = SmoothingState(1, (40.0,))
    one.memory = replace(
        one.memory,
        health={"s0-m": Health(2, 1), "s1-m": Health(1, 1)},
        smoothing={"s0-m": state, "s1-m": state},
        recommendations=(Recommendation(1, 20),),
        scale_ups=(ScaleEvent(1, 19),),
    )
    one.counted = {"s0-m": 1.0}
    return one


def test_an_edited_trigger_has_no_average_and_no_failures() -> None:
    """Its metric may keep its name, but measures something else; others keep what is known."""
    one = learned()
    one.take_up(binding(trigger("c"), trigger("b")))
    assert (set(one.memory.health), set(one.memory.smoothing)) == ({"s1-m"}, {"s1-m"})
    assert one.memory.recommendations == (Recommendation(1, 20),)
    one.take_up(binding(trigger("b"), trigger("c")))
    assert (one.memory.health, one.memory.smoothing) == ({}, {})


def test_an_object_that_did_not_work_for_a_while_is_compared_with_when_it_did() -> None:
    """A Secret that was away for a moment costs no average; an edit meanwhile does."""
    for edited, kept in ((trigger("b"), {"s0-m", "s1-m"}), (trigger("c"), {"s0-m"})):
        one = learned()
        one.binding = None
        one.take_up(binding(trigger("a"), edited))
        assert (set(one.memory.health), set(one.memory.smoothing)) == (kept, kept)


def test_another_target_begins_without_histories() -> None:
    """And the readings at hand count for it, though they counted for the old one already."""
    one = learned()
    one.take_up(binding(trigger("a"), trigger("b"), target="other"))
    assert (one.memory.recommendations, one.memory.scale_ups) == ((), ())
    assert one.counted == {}
    assert set(one.memory.health) == {"s0-m", "s1-m"}
    assert one.memory.scale_target == "deployments.apps shop/other"
