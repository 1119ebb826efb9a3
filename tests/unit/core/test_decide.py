"""The whole decision: activation, metrics, windows, limits, pauses and errors together."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from autoscaler.core.decide import decide
from autoscaler.core.formula import compile_formula
from autoscaler.core.model import (
    Activation,
    Fallback,
    HpaSettings,
    Median,
    Memory,
    MetricPolicy,
    MetricSource,
    MetricSpec,
    Modifiers,
    Pause,
    Policy,
    Recommendation,
    TargetType,
)
from tests.unit.core.scene import (
    START,
    Scene,
    codes,
    condition,
    metric,
    pods_per_minute,
    policy,
)

CPU = MetricPolicy(spec=MetricSpec(name="s1-cpu", source=MetricSource.RESOURCE, target_milli=500))


def test_direct_activation_goes_straight_to_the_need() -> None:
    """68 jobs at 10 per replica take a target from 0 to 7 in one step."""
    decision = Scene(policy()).decide(68.0)
    assert decision.desired_replicas == 7
    assert [event.reason for event in decision.events] == ["KEDAScaleTargetActivated"]
    assert "from 0 to 7" in decision.events[0].message
    assert decision.rescale_reason == "external metric s0-redis-jobs(nil) above target"


def test_minimum_activation_stops_at_the_minimum() -> None:
    """As KEDA: first to max(1, min), then the metrics take over."""
    scene = Scene(policy(activation=Activation.MINIMUM))
    assert scene.decide(68.0).desired_replicas == 1
    assert scene.decide(68.0, after=1.0).desired_replicas == 7


def test_direct_activation_obeys_the_behavior_but_not_below_the_minimum() -> None:
    """Policies limit the jump; the minimum is reached in any case."""
    limited = Scene(policy(behavior=pods_per_minute(3))).decide(68.0)
    assert limited.desired_replicas == 3
    assert limited.requeue_after_seconds == 60.0
    floor = Scene(policy(min_replicas=5, behavior=pods_per_minute(3))).decide(68.0)
    assert floor.desired_replicas == 5


def test_direct_activation_needs_no_resource_metrics_at_zero() -> None:
    """Without pods there is nothing to measure; that is no failure."""
    decision = Scene(policy(metrics=(metric(), CPU))).decide(25.0, None)
    assert decision.desired_replicas == 3
    assert [proposal.metric for proposal in decision.proposals] == ["s0-redis-jobs"]


def test_forced_activation_does_without_any_value() -> None:
    """With every read failing, a forced target gets its minimum."""
    decision = Scene(policy(min_replicas=2, force_activation=True)).decide(None)
    assert decision.desired_replicas == 2
    assert "FailedGetExternalMetric" in [event.reason for event in decision.events]


def test_direct_activation_is_bounded_by_the_maximum() -> None:
    """The jump from zero ends at the maximum and says so."""
    decision = Scene(policy(max_replicas=5)).decide(1_000.0)
    assert decision.desired_replicas == 5
    assert condition(decision, "ScalingLimited") == "True:TooManyReplicas"


def test_raising_to_the_minimum_may_go_further() -> None:
    """Without work by the activation value, metrics still count once the minimum is restored."""
    busy = MetricSpec(name="s0", target_milli=10_000, activation_value=100.0)
    decision = Scene(policy(min_replicas=3, metrics=(MetricPolicy(spec=busy),))).decide(68.0)
    assert decision.desired_replicas == 7
    assert [event.reason for event in decision.events] == ["SuccessfulRescale"]


def test_scaling_up_jumps_unless_the_doubling_limit_is_on() -> None:
    """Without behavior our default goes to the need at once; the HPA at most doubles."""
    assert Scene(policy(), 2).decide(150.0).desired_replicas == 15
    doubling = Scene(policy(hpa=HpaSettings(sync_period_seconds=15.0)), 3).decide(150.0)
    assert doubling.desired_replicas == 6
    assert doubling.requeue_after_seconds == 15.0
    free = Scene(policy(hpa=HpaSettings()), 3).decide(150.0)
    assert (free.desired_replicas, free.requeue_after_seconds) == (6, None)


def test_the_cooldown_runs_before_zero() -> None:
    """Inactive, the target keeps what the metrics leave until the cooldown is over."""
    scene = Scene(policy(hpa=replace(policy().hpa, downscale_stabilization_seconds=0.0)))
    scene.decide(68.0)
    cooling = scene.decide(0.0, after=10.0)
    assert (cooling.desired_replicas, condition(cooling, "Active")) == (1, "False:ScalerCooldown")
    waiting = scene.decide(0.0, after=10.0)
    assert waiting.desired_replicas == 1
    assert waiting.requeue_after_seconds == pytest.approx(40.001)
    done = scene.decide(0.0, after=41.0)
    assert done.desired_replicas == 0
    assert [event.reason for event in done.events] == ["KEDAScaleTargetDeactivated"]
    resting = scene.decide(0.0, after=10.0)
    assert resting.desired_replicas == 0
    assert condition(resting, "ScalingActive") == "False:ScalingDisabled"


def test_the_last_step_to_zero_follows_the_behavior() -> None:
    """Ten replicas without work leave three per minute, and the end is announced."""
    own = policy(behavior=pods_per_minute(3), cooldown_seconds=0.0)
    scene = Scene(own, 10, Memory(recommendations=(Recommendation(0, 0),)))
    sizes = [scene.decide(0.0, after=30.0).desired_replicas for _ in range(8)]
    assert sizes == [7, 7, 4, 4, 1, 1, 0, 0]
    jumping = Scene(replace(own, zero_follows_behavior=False), 10)
    assert jumping.decide(0.0, after=1.0).desired_replicas == 0


def test_a_held_step_to_zero_still_obeys_the_maximum() -> None:
    """A window that holds more than the maximum is cut to it."""
    own = policy(behavior=pods_per_minute(3, down_window=300), cooldown_seconds=0.0)
    decision = Scene(own, 30).decide(0.0, after=1.0)
    assert decision.desired_replicas == 20
    assert decision.rescale_reason == "Current number of replicas above Spec.MaxReplicas"


def test_idle_replicas_are_held() -> None:
    """While idle and inactive nothing lifts the target to its minimum, unlike under KEDA."""
    scene = Scene(policy(min_replicas=5, idle_replicas=2), 2)
    assert scene.decide(0.0).desired_replicas == 2
    assert scene.decide(80.0, after=1.0).desired_replicas == 8


def test_a_hold_still_obeys_the_maximum() -> None:
    """Idle replicas above a lowered maximum come down."""
    decision = Scene(policy(min_replicas=9, max_replicas=3, idle_replicas=8), 8).decide(0.0)
    assert decision.desired_replicas == 3


@pytest.mark.parametrize(("replicas", "bound"), [(30, 20), (2, 4)])
def test_a_count_outside_the_bounds_is_corrected_without_metrics(replicas: int, bound: int) -> None:
    """The bounds do not need a reading, and no window delays them."""
    decision = Scene(policy(min_replicas=4), replicas).decide(None)
    assert decision.desired_replicas == bound
    assert decision.proposals == ()


def test_an_error_holds_and_names_the_metric() -> None:
    """A failed read keeps the replicas, and the derivation says which one failed and why."""
    decision = Scene(policy(), 7).decide(None)
    assert decision.desired_replicas == 7
    assert condition(decision, "ScalingActive") == "False:FailedGetExternalMetric"
    text = next(step.render() for step in decision.steps if step.stage == "combine")
    assert text == (
        "1 of 1 metrics failed (s0-redis-jobs: connection refused); "
        "replicas are not lowered on an error"
    )


def test_a_partial_error_lets_the_others_scale_up() -> None:
    """One failing metric blocks scaling down only."""
    scene = Scene(policy(metrics=(metric(), metric("s1"))), 5)
    up = scene.decide(None, 90.0)
    assert up.desired_replicas == 9
    assert condition(up, "ScalingActive") == "True:ValidMetricFound"
    assert scene.decide(None, 10.0, after=1.0).desired_replicas == 9


def test_without_metrics_nothing_is_decided() -> None:
    """A policy whose metrics are all gone holds its target."""
    bare = Policy(min_replicas=1, activation=Activation.HPA)
    assert Scene(bare, 5).decide().desired_replicas == 5


def test_an_unreadable_scale_decides_nothing() -> None:
    """The histories stay as they were; the condition and the event say why."""
    scene = Scene(policy(), 5)
    scene.decide(50.0)
    before = scene.memory
    decision = scene.decide(900.0, scale_error="the API server does not answer")
    assert decision.desired_replicas == decision.current_replicas == 5
    assert condition(decision, "AbleToScale") == "False:FailedGetScale"
    assert scene.memory == replace(before, conditions=decision.conditions)


def test_an_unusable_selector_holds() -> None:
    """Metrics are not asked when the pods of the target cannot be told."""
    decision = Scene(policy(), 5).decide(900.0, selector_error=("AmbiguousSelector", "two own it"))
    assert decision.desired_replicas == 5
    assert condition(decision, "ScalingActive") == "False:AmbiguousSelector"
    assert [event.reason for event in decision.events] == [
        "AmbiguousSelector",
        "FailedComputeMetricsReplicas",
    ]


def test_unknown_pods_hold_what_other_metrics_do_not_raise() -> None:
    """A metric that involves the pods fails: the others may raise, and nothing is lowered."""
    by_value = MetricPolicy(
        spec=MetricSpec(name="s1", target_type=TargetType.VALUE, target_milli=10_000)
    )
    at_once = replace(policy().hpa, downscale_stabilization_seconds=0.0)
    both = policy(metrics=(metric(), by_value), hpa=at_once)
    raised = Scene(both, 5).decide(90.0, 1.0, pods_error="the pods are hidden")
    assert raised.desired_replicas == 9
    scene = Scene(both, 5)
    for seconds in (0.0, 1.0):
        held = scene.decide(10.0, 1.0, after=seconds, pods_error="the pods are hidden")
    assert held.desired_replicas == 5
    assert condition(held, "ScalingActive") == "False:FailedGetExternalMetric"
    assert "FailedComputeMetricsReplicas" in [event.reason for event in held.events]
    assert any("the pods are hidden" in step.render() for step in held.steps)
    assert scene.decide(10.0, 1.0, after=1.0).desired_replicas == 1


def test_metrics_are_acted_on_once_per_sync_period() -> None:
    """In between the count is held, and the decision says until when."""
    scene = Scene(policy(hpa=replace(policy().hpa, sync_period_seconds=15.0)), 2)
    assert scene.decide(50.0).desired_replicas == 5
    held = scene.decide(90.0, after=5.0)
    assert (held.desired_replicas, held.requeue_after_seconds) == (5, 10.0)
    assert "SyncPeriod" in codes(held)
    assert scene.decide(90.0, after=10.0).desired_replicas == 9


def test_a_stabilization_window_says_when_it_ends() -> None:
    """Waiting exactly as long as asked makes the difference."""
    scene = Scene(policy(min_replicas=1, behavior=pods_per_minute(99, down_window=300)), 9)
    scene.decide(90.0)
    held = scene.decide(20.0, after=100.0)
    assert (held.desired_replicas, held.requeue_after_seconds) == (9, 200.0)
    assert condition(held, "AbleToScale") == "True:ScaleDownStabilized"
    assert scene.decide(20.0, after=199.999).desired_replicas == 9
    assert scene.decide(20.0, after=0.001).desired_replicas == 2


def test_an_up_window_says_when_it_ends() -> None:
    """The count found at first holds scaling up for the whole window."""
    scene = Scene(policy(min_replicas=1, behavior=pods_per_minute(99, up_window=30)), 2)
    held = scene.decide(90.0)
    assert (held.desired_replicas, held.requeue_after_seconds) == (2, 30.0)
    assert scene.decide(90.0, after=30.0).desired_replicas == 9


def test_a_held_decision_wakes_when_a_reading_goes_stale() -> None:
    """A reading about to be too old changes the answer earlier than the window does."""
    own = policy(
        min_replicas=1,
        metrics=(metric(freshness_seconds=40.0), metric("s1", freshness_seconds=30.0)),
        behavior=pods_per_minute(9, down_window=300),
    )
    held = Scene(own, 9).decide(20.0, None)
    assert held.requeue_after_seconds is None
    scene = Scene(own, 9)
    held = scene.decide(20.0, 20.0)
    assert held.requeue_after_seconds == pytest.approx(30.001)
    own = replace(own, behavior=pods_per_minute(9, up_window=300))
    held = Scene(own, 2).decide(90.0, None)
    assert (held.desired_replicas, held.requeue_after_seconds) == (2, pytest.approx(40.001))


def test_a_stale_or_missing_reading_is_an_error() -> None:
    """Data that is too old, or never came, holds the replicas."""
    own = policy(min_replicas=1, metrics=(metric(freshness_seconds=30.0),))
    scene = Scene(own, 9)
    seen = scene.see(20.0)
    stale, _ = decide(own, Memory(), replace(seen, at=seen.at + 31.0))
    missing, _ = decide(own, Memory(), replace(seen, readings={}))
    for decision in (stale, missing):
        assert decision.desired_replicas == 9
        assert decision.proposals[0].replicas is None


def test_a_pause_keeps_the_histories_going() -> None:
    """Nothing moves, but the window knows afterwards what happened meanwhile."""
    scene = Scene(policy(min_replicas=1, pause=Pause(paused=True)), 2)
    paused = scene.decide(90.0)
    assert paused.desired_replicas == 2
    assert paused.steps[-1].render() == "paused at 2; without the pause it would be 9"
    assert condition(paused, "Paused") == "True:ScaledObjectPaused"
    assert Recommendation(round(START * 1000), 9) in scene.memory.recommendations
    assert paused.requeue_after_seconds is None


def test_a_pause_may_name_its_replicas() -> None:
    """The target goes there, whatever the bounds, and stays."""
    scene = Scene(policy(min_replicas=1, pause=Pause(replicas=0)), 5)
    decision = scene.decide(90.0)
    assert decision.desired_replicas == 0
    assert decision.rescale_reason == "paused by annotation"
    assert scene.decide(90.0, after=1.0).desired_replicas == 0


def test_a_paused_hpa_holds() -> None:
    """The pause concerns a bare HPA policy as well."""
    own = policy(min_replicas=1, activation=Activation.HPA, pause=Pause(paused=True))
    assert Scene(own, 5).decide(90.0).desired_replicas == 5


@pytest.mark.parametrize(
    ("pause", "value", "reason", "text"),
    [
        (Pause(scale_out=True), 90.0, "True:ScaleUpLimit", "scaling out to 9 is paused"),
        (Pause(scale_in=True), 10.0, "True:ScaleDownLimit", "scaling in to 1 is paused"),
    ],
)
def test_one_direction_may_be_paused(pause: Pause, value: float, reason: str, text: str) -> None:
    """A paused direction is like a disabled one; the other stays free."""
    settings = replace(policy().hpa, downscale_stabilization_seconds=0.0)
    blocked = Scene(
        policy(min_replicas=1, pause=pause, hpa=settings),
        5,
        Memory(recommendations=(Recommendation(0, 5),)),
    ).decide(value)
    assert blocked.desired_replicas == 5
    assert condition(blocked, "ScalingLimited") == reason
    assert text in blocked.steps[-1].render()


def test_scaling_out_from_zero_may_be_paused() -> None:
    """A paused direction blocks activation too."""
    assert Scene(policy(pause=Pause(scale_out=True))).decide(90.0).desired_replicas == 0


def test_shadow_decides_as_usual_and_says_so() -> None:
    """The decision is complete; only whoever applies it refuses."""
    decision = Scene(policy(shadow=True), 2).decide(90.0)
    assert decision.desired_replicas == 9
    assert decision.steps[-1].render() == "shadow mode: 9 is recorded, the target stays at 2"


def test_smoothing_fallback_and_formula_take_part() -> None:
    """Values are smoothed, failures replaced, and the composite is what counts."""
    own = policy(
        metrics=(metric(trigger="jobs", smoothing=Median(samples=3)),),
        fallback=Fallback(failure_threshold=0, replicas=6),
        modifiers=Modifiers(
            formula=compile_formula("jobs * 2", ["jobs"]), target_milli=10_000, target=10.0
        ),
    )
    scene = Scene(own, 4)
    assert scene.decide(20.0).desired_replicas == 4
    scene.decide(90.0, after=1.0)
    smoothed = scene.decide(30.0, after=1.0)
    assert smoothed.proposals[0].metric == "composite-metric"
    assert smoothed.desired_replicas == 11
    assert "s0-redis-jobs" in scene.memory.smoothing
    fallen = scene.decide(None, after=1.0)
    assert condition(fallen, "Fallback") == "True:FallbackExists"
    assert fallen.proposals[0].replicas == 6


ZERO = HpaSettings(scale_to_zero=True, downscale_stabilization_seconds=0.0)
LONG_IDLE = Memory(recommendations=(Recommendation(0, 0),))


def test_a_bare_hpa_leaves_zero_only_if_it_went_there() -> None:
    """With the gate on, zero set by hand stays, and zero of our own is left again."""
    own = policy(activation=Activation.HPA, hpa=ZERO)
    by_hand = Scene(own).decide(90.0)
    assert (by_hand.desired_replicas, codes(by_hand)) == (0, ["ScalingDisabled"])
    scene = Scene(own, 1, LONG_IDLE)
    assert scene.decide(0.0).desired_replicas == 0
    assert scene.decide(90.0, after=1.0).desired_replicas == 4


def test_a_bare_hpa_leaves_zero_to_its_minimum() -> None:
    """A minimum raised while at zero is the least it wakes to, whatever the policies allow."""
    own = policy(activation=Activation.HPA, hpa=ZERO)
    scene = Scene(own, 1, LONG_IDLE)
    scene.decide(0.0)
    scene.policy = replace(own, min_replicas=3, behavior=pods_per_minute(1))
    decision = scene.decide(10.0, after=1.0)
    assert decision.desired_replicas == 3
    assert decision.steps[-1].render() == "at least 3 when active"


def test_a_bare_hpa_of_pod_metrics_stays_at_zero() -> None:
    """Without pods nothing could be measured, so a minimum of zero keeps it there."""
    scene = Scene(policy(activation=Activation.HPA, hpa=ZERO), 1, LONG_IDLE)
    scene.decide(0.0)
    scene.policy = replace(scene.policy, metrics=(CPU,))
    assert codes(scene.decide(None, after=1.0)) == ["ScalingDisabled"]


def test_a_bare_hpa_waits_for_its_sync_at_zero_too() -> None:
    """The sync period also holds a target at zero."""
    settings = replace(ZERO, sync_period_seconds=15.0)
    scene = Scene(policy(activation=Activation.HPA, hpa=settings), 1, LONG_IDLE)
    scene.decide(0.0)
    assert scene.decide(90.0, after=5.0).desired_replicas == 0
    assert scene.decide(90.0, after=10.0).desired_replicas == 4
