"""Strategies for policies and for whole lives of a scale target under them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from autoscaler.core.decide import decide, record_rescale
from autoscaler.core.model import (
    Activation,
    Behavior,
    Decision,
    Fallback,
    HpaSettings,
    Memory,
    MetricPolicy,
    MetricSpec,
    Observation,
    Policy,
    PolicyType,
    Reading,
    ScalingPolicy,
    ScalingRules,
    SelectPolicy,
    TargetType,
)

START = 1_700_000_000.0

scaling_policies = st.builds(
    ScalingPolicy,
    type=st.sampled_from(PolicyType),
    value=st.integers(1, 120),
    period_seconds=st.sampled_from([1, 15, 60, 300]),
)


def rules(*, tolerates: bool = True) -> st.SearchStrategy[ScalingRules]:
    """Return scaling rules of one direction."""
    return st.builds(
        ScalingRules,
        policies=st.lists(scaling_policies, min_size=1, max_size=3).map(tuple),
        select_policy=st.sampled_from(SelectPolicy),
        stabilization_window_seconds=st.sampled_from([0, 15, 60, 300]),
        tolerance=st.sampled_from([None, 0.0, 0.3]) if tolerates else st.none(),
    )


behaviors = st.none() | st.builds(Behavior, scale_up=rules(), scale_down=rules())

metric_specs = st.builds(
    MetricSpec,
    name=st.just(""),
    target_type=st.sampled_from([TargetType.AVERAGE_VALUE, TargetType.VALUE]),
    target_milli=st.sampled_from([1, 700, 1_000, 10_000]),
    activation_value=st.sampled_from([0.0, 5.0, 50.0]),
)


@st.composite
def policies(
    draw: st.DrawFn,
    *,
    activations: Sequence[Activation] = tuple(Activation),
    fallbacks: st.SearchStrategy[Fallback | None] | None = None,
) -> Policy:
    """Draw a policy the API would accept."""
    specs = draw(st.lists(metric_specs, min_size=1, max_size=3))
    minimum = draw(st.integers(0, 6))
    idle = draw(st.none() | st.integers(0, minimum - 1)) if minimum else None
    return Policy(
        key="shop/orders",
        min_replicas=minimum,
        max_replicas=draw(st.integers(max(minimum, 1), 60)),
        idle_replicas=idle,
        metrics=tuple(
            MetricPolicy(
                spec=MetricSpec(
                    name=f"s{index}",
                    target_type=spec.target_type,
                    target_milli=spec.target_milli,
                    activation_value=spec.activation_value,
                ),
                trigger_index=index,
                freshness_seconds=draw(st.sampled_from([None, None, 90.0])),
            )
            for index, spec in enumerate(specs)
        ),
        fallback=draw(fallbacks) if fallbacks is not None else None,
        behavior=draw(behaviors),
        cooldown_seconds=draw(st.sampled_from([0.0, 30.0, 300.0])),
        created_at=START,
        activation=draw(st.sampled_from(activations)),
        zero_follows_behavior=draw(st.booleans()),
        hpa=HpaSettings(
            tolerance=draw(st.sampled_from([0.0, 0.1])),
            downscale_stabilization_seconds=draw(st.sampled_from([0.0, 60.0, 300.0])),
            sync_period_seconds=draw(st.sampled_from([0.0, 0.0, 15.0])),
            default_scale_up_limit=draw(st.booleans()),
            scale_to_zero=draw(st.booleans()),
        ),
    )


@dataclass(frozen=True)
class Tick:
    """What happens at one decision: time passed, values (None = the read failed), a failed write.

    Attributes:
        values: Cycled over the policy's metrics.
    """

    seconds: float
    values: tuple[float | None, ...]
    write_fails: bool = False


values = st.sampled_from([0.0, 0.0, 1.0, 4.5, 30.0, 60.0, 1_000.0, 1e7]) | st.floats(0, 1e9)


def ticks(
    *, failures: bool = True, max_size: int = 12, min_size: int = 0
) -> st.SearchStrategy[list[Tick]]:
    """Return lists of ticks."""
    one = st.none() | values if failures else values
    return st.lists(
        st.builds(
            Tick,
            seconds=st.sampled_from([0.0, 0.5, 1.0, 15.0, 30.0, 61.0, 400.0]),
            values=st.lists(one, min_size=1, max_size=3).map(tuple),
            write_fails=st.booleans() if failures else st.just(False),
        ),
        min_size=min_size,
        max_size=max_size,
    )


@dataclass(frozen=True)
class Moment:
    """One decision with everything around it."""

    before: Memory
    seen: Observation
    decision: Decision
    after: Memory


def look(policy: Policy, at: float, replicas: int, tick: Tick) -> Observation:
    """Return the observation of a tick, all pods ready."""
    return Observation(
        at=at,
        spec_replicas=replicas,
        status_replicas=replicas,
        ready_pods=replicas,
        total_pods=replicas,
        readings=readings_of(policy, at, tick.values),
    )


def readings_of(policy: Policy, at: float, given: Sequence[float | None]) -> Mapping[str, Reading]:
    """Return one reading per metric."""
    readings = {}
    for index, metric in enumerate(policy.metrics):
        name, value = metric.spec.name, given[index % len(given)]
        failed = Reading.failed(name, "connection refused", at, reason="MetricUnavailable")
        readings[name] = failed if value is None else Reading.of(name, value, at)
    return readings


def live(policy: Policy, replicas: int, life: Sequence[Tick]) -> Iterator[Moment]:
    """Decide and apply tick by tick."""
    memory, at = Memory(), START
    for tick in life:
        at += tick.seconds
        seen = look(policy, at, replicas, tick)
        decision, after = decide(policy, memory, seen)
        moment = Moment(memory, seen, decision, after)
        if decision.is_rescale:
            succeeded = not tick.write_fails
            after = record_rescale(policy, after, decision, at, succeeded=succeeded)
            if succeeded:
                replicas = decision.desired_replicas
        memory = after
        yield moment


counts = st.integers(0, 70)
