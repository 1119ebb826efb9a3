"""Invariants of ``decide()``: they hold for every policy and every life of a scale target."""

from __future__ import annotations

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from autoscaler.core.decide import decide
from autoscaler.core.explain import explain, explain_json, explain_table
from autoscaler.core.history import HISTORY_LIMIT
from autoscaler.core.memory import decode_memory, encode_memory
from autoscaler.core.model import (
    Activation,
    Behavior,
    Fallback,
    FallbackBehavior,
    HpaSettings,
    Memory,
    MetricPolicy,
    MetricSpec,
    Policy,
    PolicyType,
    ScalingPolicy,
    ScalingRules,
)
from tests.property.lives import (
    START,
    Tick,
    counts,
    live,
    look,
    policies,
    rules,
    ticks,
    values,
)

fallbacks = st.none() | st.builds(
    Fallback,
    failure_threshold=st.integers(0, 3),
    replicas=st.integers(0, 70),
    behavior=st.sampled_from(
        [
            FallbackBehavior.STATIC,
            FallbackBehavior.CURRENT_REPLICAS,
            FallbackBehavior.CURRENT_REPLICAS_IF_HIGHER,
            FallbackBehavior.CURRENT_REPLICAS_IF_LOWER,
        ]
    ),
)


@given(policy=policies(fallbacks=fallbacks), replicas=counts, life=ticks())
def test_desired_is_within_minimum_and_maximum(policy, replicas, life) -> None:
    """Above the maximum never; below the minimum only at, or on the way to, zero or idle."""
    for moment in live(policy, replicas, life):
        desired, current = moment.decision.desired_replicas, moment.seen.spec_replicas
        assert desired <= policy.max_replicas
        if policy.activation is Activation.HPA:
            assert desired >= policy.min_replicas or current == desired == 0
        elif desired < max(1, policy.min_replicas):
            assert not moment.decision.is_active
            assert desired <= current
            is_resting = desired == current <= (policy.idle_replicas or 0)
            codes = {step.code for step in moment.decision.steps}
            assert is_resting or "Deactivated" in codes


@given(policy=policies(), replicas=counts, life=ticks(), last=ticks(min_size=1, max_size=1),
       low=values, high=values, index=st.integers(0, 2))  # fmt: skip
def test_desired_is_monotone_in_a_single_metric(
    *, policy, replicas, life, last, low, high, index
) -> None:
    """With everything else equal, a higher value never leads to fewer replicas."""
    assume(low <= high)
    memory, count, at = Memory(), replicas, START
    for moment in live(policy, replicas, life):
        memory, count, at = moment.after, moment.seen.spec_replicas, moment.seen.at
    others = [last[0].values[i % len(last[0].values)] for i in range(3)]
    results = []
    for value in (low, high):
        others[index] = value
        tick = Tick(seconds=0.0, values=tuple(others))
        decision, _ = decide(policy, memory, look(policy, at + 16.0, count, tick))
        results.append(decision.desired_replicas)
    assert results[0] <= results[1]


@given(policy=policies(fallbacks=fallbacks), replicas=counts, life=ticks())
def test_the_same_input_gives_the_same_output(policy, replicas, life) -> None:
    """Nothing but the arguments counts, and the memory loses nothing when it is stored."""
    for moment in live(policy, replicas, life):
        again = decide(policy, decode_memory(encode_memory(moment.before)), moment.seen)
        assert again == (moment.decision, moment.after)


@given(
    up=rules(),
    value=st.integers(1, 10),
    period=st.sampled_from([15, 60, 300]),
    percent=st.booleans(),
    replicas=st.integers(1, 60),
    activation=st.sampled_from([Activation.DIRECT, Activation.HPA]),
    life=ticks(max_size=20),
)
def test_scaling_down_obeys_its_policy_in_any_window(
    *, up, value, period, percent, replicas, activation, life
) -> None:
    """Never fewer than the policy allows from the count at the start of any of its periods."""
    kind = PolicyType.PERCENT if percent else PolicyType.PODS
    down = ScalingRules(
        policies=(ScalingPolicy(type=kind, value=value, period_seconds=period),),
        stabilization_window_seconds=0,
    )
    policy = msgspec.structs.replace(
        _one_metric(activation), behavior=Behavior(scale_up=up, scale_down=down)
    )
    past: list[tuple[float, int]] = [(START - 1e6, replicas)]
    for tick, moment in zip(life, live(policy, replicas, life), strict=True):
        decision, at = moment.decision, moment.seen.at
        if decision.desired_replicas < decision.current_replicas:
            base = [count for when, count in past if when <= at - period][-1]
            allowed = base - value if not percent else int(base * (1.0 - value / 100.0))
            assert decision.desired_replicas >= allowed
        if not tick.write_fails:
            past.append((at, decision.desired_replicas))


@given(policy=policies(fallbacks=fallbacks), replicas=counts, life=ticks())
def test_no_scale_to_zero_while_active_or_failing(policy, replicas, life) -> None:
    """Zero is reached only when every trigger was read and none has work."""
    for moment in live(policy, replicas, life):
        decision = moment.decision
        if decision.desired_replicas == 0 < decision.current_replicas:
            covered = set(decision.active_triggers)
            failed = {
                name for name, reading in moment.seen.readings.items() if reading.error is not None
            }
            assert failed <= covered
            if policy.activation is not Activation.HPA:
                assert not decision.is_active


@given(
    threshold=st.integers(0, 4),
    wanted=st.integers(1, 50),
    replicas=st.integers(0, 50),
    good=st.integers(0, 2),
    failures=st.integers(0, 8),
    activation=st.sampled_from([Activation.DIRECT, Activation.MINIMUM]),
)
def test_fallback_only_after_its_threshold(
    *, threshold, wanted, replicas, good, failures, activation
) -> None:
    """A stand-in value appears with the first failure beyond the threshold, not before."""
    policy = msgspec.structs.replace(
        _one_metric(activation), fallback=Fallback(failure_threshold=threshold, replicas=wanted)
    )
    life = [Tick(10.0, (20.0,))] * good + [Tick(10.0, (None,))] * failures
    for count, moment in enumerate(live(policy, replicas, life), start=1):
        falls_back = count - good > threshold
        status = {item.type: item.status for item in moment.decision.conditions}
        assert status["Fallback"] == str(falls_back)
        for proposal in moment.decision.proposals:
            if count > good:
                assert (proposal.replicas is not None) == falls_back
        if count > good and not falls_back and moment.seen.spec_replicas <= policy.max_replicas:
            assert moment.decision.desired_replicas >= moment.seen.spec_replicas


@given(policy=policies(), replicas=counts, life=ticks())
def test_an_error_never_lowers_replicas(policy, replicas, life) -> None:
    """With any reading failed, the count stays or grows (unless it exceeds the maximum)."""
    for moment in live(policy, replicas, life):
        failed = any(reading.error for reading in moment.seen.readings.values())
        if failed and moment.seen.spec_replicas <= policy.max_replicas:
            assert moment.decision.desired_replicas >= moment.seen.spec_replicas


@given(policy=policies(fallbacks=fallbacks), replicas=counts, life=ticks())
def test_unknown_pods_never_lower_replicas(policy, replicas, life) -> None:
    """A metric that needs pods nobody sees is one that failed: the count stays or grows."""
    for moment in live(policy, replicas, life):
        seen = msgspec.structs.replace(
            moment.seen, ready_pods=0, total_pods=0, pods_error="the pods are hidden"
        )
        decision, _ = decide(policy, moment.before, seen)
        failed = any(proposal.replicas is None for proposal in decision.proposals)
        if failed and seen.spec_replicas <= policy.max_replicas:
            assert decision.desired_replicas >= seen.spec_replicas


@given(
    policy=policies(fallbacks=fallbacks),
    replicas=counts,
    life=ticks(min_size=10, max_size=20),
    rounds=st.integers(10, 40),
)
def test_memory_is_bounded(policy, replicas, life, rounds) -> None:
    """However long a target lives and however often it is decided on, memory stays small."""
    quick = [Tick(min(tick.seconds, 1.0), tick.values, tick.write_fails) for tick in life]
    for moment in live(policy, replicas, quick * rounds):
        memory = moment.after
        assert len(memory.recommendations) <= HISTORY_LIMIT
        assert len(memory.scale_ups) <= HISTORY_LIMIT
        assert len(memory.scale_downs) <= HISTORY_LIMIT
    assert len(encode_memory(memory)) < 16_384


@given(policy=policies(fallbacks=fallbacks), replicas=counts, life=ticks())
def test_a_decision_explains_itself(policy, replicas, life) -> None:
    """A rescale has steps that lead to it, and every sentence renders."""
    for moment in live(policy, replicas, life):
        decision = moment.decision
        text = explain(decision)
        assert ": " in text
        assert "{" not in text
        assert explain_table(decision)[-1].after == str(decision.desired_replicas)
        assert msgspec.json.encode(explain_json(decision))
        if decision.is_rescale:
            assert decision.steps
            assert any(step.after == decision.desired_replicas for step in decision.steps)
            assert any(event.type == "Normal" for event in decision.events)


@given(
    policy=policies(fallbacks=fallbacks),
    replicas=counts,
    life=ticks(min_size=1),
    part=st.floats(0.0, 0.999),
)
def test_nothing_changes_before_the_requeue(policy, replicas, life, part) -> None:
    """Held back, the same readings give the same count until the instant the decision names."""
    for moment in live(policy, replicas, life):
        decision, seen = moment.decision, moment.seen
        wait = decision.requeue_after_seconds
        if decision.is_rescale or decision.desired_replicas != seen.spec_replicas:
            continue
        if wait is None:
            # Not held back: the answer stands for as long as the readings are fresh.
            wait = 90.0 if any(own.freshness_seconds for own in policy.metrics) else 1e5
        waited = max(wait - 0.001, 0.0) * part
        later = msgspec.structs.replace(seen, at=seen.at + waited)
        again, _ = decide(policy, moment.after, later)
        assert again.desired_replicas == decision.desired_replicas, (wait, waited)


def _one_metric(activation: Activation) -> Policy:
    """Return a policy with one metric, ten per replica, that acts at once."""
    return Policy(
        key="shop/orders",
        min_replicas=0 if activation is not Activation.HPA else 1,
        max_replicas=60,
        metrics=(MetricPolicy(spec=MetricSpec(name="s0", target_milli=10_000)),),
        cooldown_seconds=0.0,
        created_at=START - 1e6,
        activation=activation,
        hpa=HpaSettings(downscale_stabilization_seconds=0.0, default_scale_up_limit=False),
    )
