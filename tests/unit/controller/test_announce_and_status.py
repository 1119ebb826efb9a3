"""What is told about an object: events on changes, series, and the status that matters."""

from __future__ import annotations

import itertools
from typing import Any

from autoscaler.api.parse import parse_object
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.collect.resolve import ResolvedTrigger
from autoscaler.controller.announce import Announcer
from autoscaler.controller.binding import Binding
from autoscaler.controller.journal import Entry, Outcome
from autoscaler.controller.observe import observe, unread_metrics, unreadable
from autoscaler.controller.status import explained, signature, status_of, with_ready
from autoscaler.controller.target_pods import GRACE_SECONDS, TargetPods
from autoscaler.controller.targets import TargetRef
from autoscaler.controller.tracked import Tracked
from autoscaler.core.model import (
    Condition,
    Decision,
    DecisionEvent,
    Health,
    Memory,
    MetricPolicy,
    MetricSpec,
    Pod,
    Policy,
    Reading,
)
from autoscaler.errors import Unreachable
from autoscaler.kube.codec import CustomObject, ObjectMeta, SlimMeta
from autoscaler.kube.pods import PodView
from autoscaler.kube.resources import DEPLOYMENTS, SCALED_OBJECTS
from autoscaler.kube.scale import ScaleView
from autoscaler.kube.store import Store
from autoscaler.runtime.clock import ManualClock
from autoscaler.telemetry.metrics import Metrics

RAW: dict[str, Any] = {
    "apiVersion": "flyball.dev/v1alpha1",
    "kind": "ScaledObject",
    "metadata": {"name": "web", "namespace": "shop", "generation": 3},
    "spec": {
        "scaleTargetRef": {"name": "web"},
        "triggers": [{"type": "redis", "name": "jobs", "metadata": {}}],
    },
}


def binding(**policy: Any) -> Binding:
    """Return a binding with one metric ``s0``."""
    obj = parse_object(RAW)
    assert isinstance(obj, ScaledObject)
    metric = MetricPolicy(
        spec=MetricSpec(name="s0", target_milli=1000), trigger="jobs", trigger_type="redis"
    )
    return Binding(
        obj=obj,
        target=TargetRef(DEPLOYMENTS, "shop", "web"),
        policy=Policy(key="shop/web", metrics=(metric,), **policy),
        readers=(),
        pod_selector="app=web",
        needs_pods=False,
        resolved=(ResolvedTrigger(auth={}, env={}),),
    )


def tracked(**status: Any) -> Tracked:
    """Return what is kept about the object."""
    meta = ObjectMeta(name="web", namespace="shop", generation=3)
    return Tracked(CustomObject(metadata=meta, raw={**RAW, "status": status}), 5)


class Recorder:
    """Takes events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    def record(self, about: object, type_: str, reason: str, message: str) -> None:
        self.events.append((type_, reason, message))


class Desk:
    """An announcer with what it said."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.metrics = Metrics()
        self.clock = ManualClock()
        self.announcer = Announcer(
            self.recorder,  # type: ignore[arg-type]
            self.metrics,
            resource=SCALED_OBJECTS,
            clock=self.clock,
            repeat_seconds=300,
        )

    @property
    def reasons(self) -> list[str]:
        return [reason for _, reason, _ in self.recorder.events]

    def value(self, series: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(series, labels)


def decision(**fields: Any) -> Decision:
    """Return a decision from 1 to 3."""
    return Decision(**{"at": 100.0, "current_replicas": 1, "desired_replicas": 3, **fields})


RESCALED = DecisionEvent("Normal", "SuccessfulRescale", "New size: 3")
WARNED = DecisionEvent("Warning", "FailedGetExternalMetric", "no")


def test_events_of_a_decision_depend_on_what_became_of_it() -> None:
    """Only a written rescale is announced as one; warnings are true in any case."""
    expected = {
        Outcome.WRITTEN: ["SuccessfulRescale", "FailedGetExternalMetric"],
        Outcome.SHADOW: ["FailedGetExternalMetric"],
        Outcome.FAILED: ["FailedGetExternalMetric", "FailedRescale"],
    }
    for outcome, reasons in expected.items():
        desk = Desk()
        made = decision(events=(RESCALED, WARNED))
        entry = Entry(decision=made, outcome=outcome, error="conflict")
        desk.announcer.decided(tracked(), binding(), entry, (), ())
        assert desk.reasons == reasons


def test_conditions_are_announced_when_they_switch() -> None:
    """Ready, Fallback and Paused are events when they change, not while they stay."""
    desk = Desk()
    entry = Entry(decision=decision(desired_replicas=1), outcome=Outcome.UNCHANGED)
    states = [
        (),
        (Condition("Ready", "True"), Condition("Paused", "False"), Condition("Fallback", "False")),
        (Condition("Ready", "True"), Condition("Paused", "True"), Condition("Fallback", "True")),
        (Condition("Ready", "True"), Condition("Paused", "True"), Condition("Fallback", "True")),
        (Condition("Ready", "False"), Condition("Paused", "False"), Condition("Fallback", "False")),
    ]
    for before, after in itertools.pairwise(states):
        desk.announcer.decided(tracked(), binding(), entry, before, after)
    assert desk.reasons == [
        "ScaledObjectReady",
        "ScaledObjectPaused",
        "ScaledObjectFallbackActivated",
        "ScaledObjectUnpaused",
        "ScaledObjectFallbackDeactivated",
    ]


def test_failing_trigger_is_announced_when_it_begins() -> None:
    """The first failed reading is an event, the next ones are counted only."""
    desk, one, bound = Desk(), tracked(), binding()
    for at, reading in enumerate(
        [
            Reading.of("s0", 7, 1.0),
            Reading.failed("s0", "refused", 2.0, reason="MetricUnavailable"),
            Reading.failed("s0", "refused", 2.0, reason="MetricUnavailable"),
            Reading.failed("s0", "refused", 3.0, reason="MetricUnavailable"),
        ]
    ):
        desk.clock.advance(at)
        desk.announcer.read(one, bound, {"s0": reading})
        one.readings = {"s0": reading}
    assert desk.recorder.events == [
        ("Warning", "KEDAScalerFailed", 'trigger 0 (redis "jobs"): refused')
    ]
    failed = desk.value("flyball_readings_total", scaler="redis", outcome="MetricUnavailable")
    assert failed == 2
    labels = {"namespace": "shop", "name": "web", "metric": "s0", "scaler": "redis"}
    assert desk.value("flyball_metric_value", **labels) == 7


def test_ready_names_the_failing_triggers_and_does_not_grow() -> None:
    """The message is made anew from the readings each time."""
    bound = binding()
    readings = {"s0": Reading.failed("s0", "connection refused", 1.0)}
    stored = (Condition("Ready", "False", "TriggerError", "triggers fail"),)
    for _ in range(3):
        shown = explained(bound, with_ready(bound, stored), readings)
        assert shown[0].message == 'triggers fail: trigger 0 (redis "jobs"): connection refused'
    ready = explained(bound, with_ready(bound, ()), readings)
    assert (ready[0].status, ready[0].reason) == ("True", "ScaledObjectReady")
    shadow = with_ready(binding(shadow=True), ())
    assert "shadow" in shadow[0].message


def test_status_says_what_is_and_removes_what_was() -> None:
    """Metrics that no longer exist leave health and activity; empty fields are not written."""
    one = tracked(health={"old": {"numberOfFailures": 1}}, pausedReplicaCount=2)
    one.original_replicas = 0
    memory = Memory(last_active_at=1_700_000_000.0, health={"s0": Health(2, 5)})
    status = status_of(one, binding(), decision(active_triggers=("s0",)), memory)
    assert status["observedGeneration"] == 3
    assert status["originalReplicaCount"] == 0
    assert status["scaleTargetKind"] == "apps/v1.Deployment"
    assert status["lastActiveTime"] == "2023-11-14T22:13:20Z"
    assert status["externalMetricNames"] == ["s0"]
    assert status["health"] == {
        "s0": {"numberOfFailures": 2, "status": "Failing"},
        "old": None,
    }
    assert status["triggersActivity"] == {"s0": {"isActive": True}}
    assert status["pausedReplicaCount"] is None
    assert "compositeScalerName" not in status
    assert "authenticationsTypes" not in status


def test_times_and_counters_are_no_reason_to_write_at_once() -> None:
    """Only states, reasons and counts make a status urgent."""
    ready = (Condition("Ready", "True", "ScaledObjectReady", "fine"),)
    base = signature(ready, {"desiredReplicas": 3, "lastActiveTime": "a", "health": {"s0": 1}})
    later = signature(
        (Condition("Ready", "True", "ScaledObjectReady", "still fine"),),
        {"desiredReplicas": 3, "lastActiveTime": "b", "health": {"s0": 2}},
    )
    assert base == later
    assert base != signature(ready, {"desiredReplicas": 4})
    assert base != signature((Condition("Ready", "False", "TriggerError"),), {"desiredReplicas": 3})


def test_observation_counts_pods_only_when_needed() -> None:
    """Without a metric that needs pods none are looked at; without selector they cannot be."""
    view = ScaleView(spec_replicas=2, status_replicas=1, selector="", resource_version="7")
    readings = {"s0": Reading.of("s0", 1, 1.0)}
    plain = observe(binding(), view, readings, None, 5.0)
    assert (plain.spec_replicas, plain.status_replicas, plain.at) == (2, 1, 5.0)
    assert plain.selector_error is None
    needing = Binding(
        **{f: getattr(binding(), f) for f in Binding.__struct_fields__} | {"needs_pods": True}
    )
    pods = Store[PodView]()
    meta = SlimMeta(name="web-1", namespace="shop", resource_version="7")
    pod = PodView(metadata=meta, pod=Pod(name="web-1", phase="Running", ready="True"))
    pods.replace({"shop/web-1": pod}, "9")
    known = TargetPods(store=pods, failure=Unreachable("503"), hidden_seconds=GRACE_SECONDS - 1)
    found = observe(needing, view, readings, known, 5.0)
    assert (found.ready_pods, found.total_pods, found.pods_error) == (1, 1, None)
    hidden = TargetPods(store=pods, failure=Unreachable("503"), hidden_seconds=GRACE_SECONDS)
    found = observe(needing, view, readings, hidden, 5.0)
    assert (found.ready_pods, found.total_pods, found.pods) == (0, 0, ())
    assert found.pods_error == "the pods of the target cannot be watched: 503"
    blind = observe(needing, view, readings, None, 5.0)
    assert blind.selector_error is not None
    assert 'Deployment "shop/web"' in blind.selector_error[1]
    assert unreadable(4, readings, 5.0, "no").scale_error == "no"
    assert unread_metrics(binding(), {}) == ["s0"]
    assert unread_metrics(binding(), readings) == []
