"""Zero, idle, minimum and pause."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from autoscaler.core.activation import (
    PAUSED,
    Action,
    Activity,
    activate,
    activated_event,
    activity,
    deactivated_event,
    write_failed_event,
)
from autoscaler.core.fallback import COMPOSITE_METRIC, FallbackOutcome
from autoscaler.core.model import (
    Condition,
    Fallback,
    MetricPolicy,
    MetricSource,
    MetricSpec,
    Pause,
    Policy,
    Reading,
)
from autoscaler.core.modifiers import Composite

BASE = Policy(key="shop/web", scale_target="apps/v1.Deployment shop/web", cooldown_seconds=300.0)
BUSY = Activity(is_active=True, is_error=False, active_triggers=("s0-q",))
IDLE = Activity(is_active=False, is_error=False)
BROKEN = Activity(is_active=False, is_error=True)
PARTLY = Activity(is_active=True, is_error=True, active_triggers=("s0-q",))
NOW = 10_000.0


def run(policy: Policy, work: Activity, current: int, *, last=None, conditions=()):
    """Run the stage now."""
    return activate(
        policy,
        work,
        at=NOW,
        current_replicas=current,
        last_active_at=last,
        conditions=conditions,
    )


def reasons(found) -> dict[str, str]:
    """Return the reason of each condition."""
    return {condition.type: condition.reason for condition in found.conditions}


def external(*readings: Reading) -> tuple[Policy, FallbackOutcome]:
    """Return a policy with one external metric per reading."""
    metrics = tuple(
        MetricPolicy(spec=MetricSpec(name=reading.metric, activation_value=5.0))
        for reading in readings
    )
    outcome = FallbackOutcome(readings={reading.metric: reading for reading in readings})
    return replace(BASE, metrics=metrics), outcome


def work_of(policy: Policy, outcome: FallbackOutcome, **composite) -> Activity:
    """Return the activity without or with a composite."""
    given = Composite(metrics=policy.metrics, readings=outcome.readings, **composite)
    return activity(policy, outcome, given)


def test_a_trigger_is_active_above_its_activation_value() -> None:
    """The comparison is strict; a scaler's own verdict wins over it."""
    policy, outcome = external(
        Reading.of("at", 5.0, 1.0),
        Reading.of("above", 5.1, 1.0),
        Reading.of("says-no", 9.0, 1.0, active=False),
        Reading.of("says-yes", 0.0, 1.0, active=True),
    )
    found = work_of(policy, outcome)
    assert found.active_triggers == ("above", "says-yes")
    assert found.is_active
    assert not found.is_error


def test_a_failed_trigger_is_an_error_unless_something_stands_in() -> None:
    """A metric in fallback counts as active and is no error."""
    policy, outcome = external(Reading.failed("a", "x", 1.0), Reading.of("b", 0.0, 1.0))
    assert work_of(policy, outcome) == BROKEN
    covered = work_of(policy, replace(outcome, active_metrics=("a",)))
    assert covered == Activity(is_active=True, is_error=False, active_triggers=("a",))


def test_a_reading_without_single_value_is_not_active() -> None:
    """Nothing to compare is not activity."""
    policy, outcome = external(Reading(metric="a", sampled_at=1.0))
    assert not work_of(policy, outcome).is_active


def test_cpu_and_memory_alone_are_always_active() -> None:
    """Without external metrics nothing could ever wake the workload, so it stays awake."""
    metric = MetricPolicy(spec=MetricSpec(name="cpu", source=MetricSource.RESOURCE))
    only = replace(BASE, metrics=(metric,))
    found = work_of(only, FallbackOutcome(readings={}))
    assert found == Activity(is_active=True, is_error=False)
    policy, outcome = external(Reading.of("a", 0.0, 1.0))
    mixed = replace(policy, metrics=(*policy.metrics, metric))
    assert not work_of(mixed, outcome).is_active


def test_with_modifiers_only_the_composite_counts() -> None:
    """Triggers' own activation is ignored; an error anywhere makes the composite inactive."""
    policy, outcome = external(Reading.of("a", 99.0, 1.0))
    good = Reading.of(COMPOSITE_METRIC, 1.0, 1.0)
    readings = {**outcome.readings, COMPOSITE_METRIC: good}

    def found(reading: Reading, *, is_active: bool) -> Activity:
        given = Composite(
            metrics=policy.metrics,
            readings={**readings, COMPOSITE_METRIC: reading},
            is_active=is_active,
        )
        return activity(policy, outcome, given)

    assert found(good, is_active=True).active_triggers == (COMPOSITE_METRIC,)
    assert found(good, is_active=False) == IDLE
    assert found(Reading.failed(COMPOSITE_METRIC, "x", 1.0), is_active=False) == BROKEN


@pytest.mark.parametrize(("minimum", "replicas"), [(0, 1), (1, 1), (4, 4)])
def test_work_leaves_zero(minimum, replicas) -> None:
    """From zero the way goes to max(1, minimum), with KEDA's event."""
    found = run(replace(BASE, min_replicas=minimum), BUSY, 0, last=1.0)
    assert (found.action, found.replicas, found.last_active_at) == (Action.SCALE, replicas, NOW)
    assert found.events[0].message == (
        f"Scaled apps/v1.Deployment shop/web from 0 to {replicas}, triggered by s0-q"
    )
    assert reasons(found) == {"Ready": "ScaledObjectReady", "Active": "ScalerActive"}
    assert (found.step.before, found.step.after) == (0, replicas)


def test_work_leaves_idle() -> None:
    """Below the minimum in idle mode counts as idle; above it the metrics decide."""
    policy = replace(BASE, min_replicas=3, idle_replicas=1)
    assert run(policy, BUSY, 1).replicas == 3
    assert run(policy, BUSY, 2).action is Action.SCALE
    assert run(policy, BUSY, 3).action is Action.METRICS


def test_work_keeps_the_cooldown_from_starting() -> None:
    """While there is work the metrics decide and the time of activity moves on."""
    found = run(BASE, BUSY, 3, last=1.0)
    assert (found.action, found.replicas, found.last_active_at) == (Action.METRICS, 3, NOW)
    assert found.events == ()


def test_partial_errors_are_told_and_do_not_count_as_activity() -> None:
    """Some triggers work, some fail: scaling goes on, Ready is Unknown."""
    found = run(BASE, PARTLY, 3, last=1.0)
    assert (found.action, found.last_active_at) == (Action.METRICS, 1.0)
    assert reasons(found) == {"Active": "ScalerActive", "Ready": "PartialTriggerError"}


def test_forced_activation_acts_as_work() -> None:
    """The annotation wakes the workload, and condition and event say why."""
    found = run(replace(BASE, force_activation=True), IDLE, 0)
    assert found.action is Action.SCALE
    assert found.events[0].message.endswith("caused by forced activation annotation")
    assert found.conditions[1].message.endswith("forced by annotation")


def test_without_work_the_cooldown_runs_first() -> None:
    """Until the cooldown is over the metrics decide, and somebody comes back when it ends."""
    found = run(BASE, IDLE, 3, last=NOW - 200)
    assert found.action is Action.METRICS
    assert found.requeue_after_seconds == pytest.approx(100, abs=0.01)
    assert reasons(found)["Active"] == "ScalerCooldown"
    assert found.step.render() == "no work; the cooldown lasts 100 s more"
    again = run(BASE, IDLE, 3, last=NOW - 200, conditions=found.conditions)
    assert again.conditions is found.conditions
    assert run(BASE, IDLE, 3, last=NOW - 300).action is Action.METRICS
    later = run(BASE, IDLE, 3, last=NOW - 300 - found.requeue_after_seconds % 1)
    assert later.action is Action.SCALE


@pytest.mark.parametrize(
    ("policy", "current", "target"),
    [
        (BASE, 3, 0),
        (replace(BASE, min_replicas=3, idle_replicas=0), 5, 0),
        (replace(BASE, min_replicas=3, idle_replicas=1), 5, 1),
        (replace(BASE, min_replicas=3, idle_replicas=1), 2, 1),
    ],
)
def test_after_the_cooldown_the_workload_rests(policy, current, target) -> None:
    """Without work it goes to zero or idle in one step, with KEDA's event."""
    found = run(policy, IDLE, current, last=NOW - 301)
    assert (found.action, found.replicas) == (Action.SCALE, target)
    assert found.events[0].message == (
        f"Deactivated apps/v1.Deployment shop/web from {current} to {target}"
    )
    assert reasons(found)["Active"] == "ScalerNotActive"


def test_the_initial_cooldown_counts_from_creation() -> None:
    """An object that never was active waits from its creation on."""
    policy = replace(BASE, created_at=NOW - 50, initial_cooldown_seconds=60.0)
    assert run(policy, IDLE, 3).requeue_after_seconds == pytest.approx(10, abs=0.01)
    assert run(replace(policy, created_at=NOW - 61), IDLE, 3).action is Action.SCALE


def test_a_minimum_is_kept_without_work() -> None:
    """With a minimum and no idle mode nothing goes below it."""
    policy = replace(BASE, min_replicas=2)
    raised = run(policy, IDLE, 0)
    assert (raised.action, raised.replicas, raised.events) == (Action.SCALE, 2, ())
    assert run(policy, IDLE, 5, last=1.0).action is Action.METRICS


@pytest.mark.parametrize("policy", [BASE, replace(BASE, min_replicas=3, idle_replicas=0)])
def test_a_resting_workload_rests_on(policy) -> None:
    """At zero or idle without work nothing happens."""
    found = run(policy, IDLE, 0, last=1.0)
    assert (found.action, found.replicas) == (Action.HOLD, 0)


@pytest.mark.parametrize("fallback", [None, Fallback(failure_threshold=3, replicas=2)])
@pytest.mark.parametrize(("current", "action"), [(0, Action.HOLD), (3, Action.METRICS)])
def test_failing_triggers_lower_nothing(fallback, current, action) -> None:
    """With nothing but errors the workload keeps its replicas, cooldown over or not."""
    found = run(replace(BASE, fallback=fallback), BROKEN, current, last=1.0)
    assert (found.action, found.replicas, found.last_active_at) == (action, current, 1.0)
    expected = {"Active": "ScalerNotActive"}
    if fallback is None:
        expected["Ready"] = "TriggerError"
    assert reasons(found) == expected


def test_a_fallback_to_zero_does_not_end_on_errors_either() -> None:
    """KEDA goes to zero here before the threshold is even reached; the minimum is still kept."""
    policy = replace(BASE, fallback=Fallback(failure_threshold=3, replicas=0))
    assert run(policy, BROKEN, 3, last=1.0).action is Action.METRICS
    raised = run(replace(policy, min_replicas=2), BROKEN, 1)
    assert (raised.action, raised.replicas) == (Action.SCALE, 2)


def test_paused_objects_stay_or_go_where_told() -> None:
    """``paused`` holds; ``paused-replicas`` goes there once and holds then."""
    held = run(replace(BASE, pause=Pause(paused=True)), BUSY, 3, last=1.0)
    assert (held.action, held.replicas, held.last_active_at) == (Action.HOLD, 3, 1.0)
    assert PAUSED in held.conditions
    policy = replace(BASE, pause=Pause(paused=True, replicas=7))
    moved = run(policy, IDLE, 3)
    assert (moved.action, moved.replicas) == (Action.SCALE, 7)
    assert moved.step.render() == "paused by annotation at 7 replicas"
    assert run(policy, IDLE, 7).action is Action.HOLD


def test_paused_directions_are_respected() -> None:
    """Scaling out or in can be paused alone; the other direction goes on."""
    no_out = replace(BASE, pause=Pause(scale_out=True))
    found = run(no_out, BUSY, 0, last=1.0)
    assert (found.action, found.last_active_at) == (Action.HOLD, 1.0)
    assert reasons(found) == {
        "Paused": "ScaledObjectPaused",
        "Ready": "ScaledObjectReady",
        "Active": "ScalerActive",
    }
    assert run(no_out, IDLE, 3, last=1.0).action is Action.SCALE
    assert run(replace(no_out, min_replicas=2), IDLE, 0).action is Action.HOLD
    no_in = replace(BASE, pause=Pause(scale_in=True))
    assert run(no_in, IDLE, 3, last=1.0).action is Action.METRICS
    assert run(no_in, BUSY, 0).action is Action.SCALE


def test_conditions_change_with_their_status_only() -> None:
    """Other conditions stay in place; equal status keeps the old wording; unpausing is told."""
    hpa = Condition("AbleToScale", "True", "SucceededGetScale")
    old = Condition("Ready", "True", "ScaledObjectReady", "as before")
    found = run(BASE, BUSY, 3, conditions=(hpa, old, PAUSED))
    assert found.conditions[:2] == (hpa, old)
    assert found.conditions[2].reason == "ScaledObjectUnpaused"
    again = run(BASE, BUSY, 3, conditions=found.conditions)
    assert again.conditions is found.conditions


def test_events_name_the_object_when_the_target_is_unknown() -> None:
    """Without a known target the events still say what they are about."""
    policy = replace(BASE, scale_target="")
    assert deactivated_event(policy, 3, 0).message == "Deactivated shop/web from 3 to 0"
    assert activated_event(policy, 0, 5, ("a", "b")).message == (
        "Scaled shop/web from 0 to 5, triggered by a, b"
    )
    up, down = write_failed_event(policy, 0, 2), write_failed_event(policy, 2, 0)
    assert (up.type, up.reason) == ("Warning", "KEDAScaleTargetActivationFailed")
    assert down.reason == "KEDAScaleTargetDeactivationFailed"
    assert down.message == "Failed to deactivate shop/web from 2 to 0"
