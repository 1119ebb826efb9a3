"""Histories that fill up: the kernel decides as exact replay, or says that it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from autoscaler.core.history import HISTORY_LIMIT
from autoscaler.core.model import (
    Activation,
    Behavior,
    HpaSettings,
    MetricPolicy,
    MetricSpec,
    Policy,
    PolicyType,
    Reading,
    ScalingPolicy,
    ScalingRules,
    SelectPolicy,
)
from simulations.engine.exact import TierSpec, replay
from simulations.engine.lanes import Group, Lane, run_lanes
from simulations.errors import SimulationError
from simulations.plant.parameters import Delay, Plant, Service, Signal, SignalKind, StartUp, Waiting
from simulations.policies.decided import DecidedAutoscaler, Watched
from simulations.policies.vectorised.autoscaler import VectorisedAutoscaler
from simulations.policies.vectorised.parameters import unsupported
from simulations.workload.load import Load, load_of
from simulations.workload.trace import Trace

STEPS = 1000
TICK_SECONDS = 5.0
LONGEST_WINDOW_SECONDS = int((HISTORY_LIMIT - 2) * TICK_SECONDS)
REPLICAS = 600
PLANT = Plant(
    service=Service(mean_seconds=0.01, concurrency=4),
    start_up=StartUp(container=Delay(median_seconds=10, p95_seconds=10)),
    waiting=Waiting(slo_seconds=0.2),
)
SIGNAL = Signal(
    name="rps",
    kind=SignalKind.REQUEST_RATE,
    lag_seconds=0.0,
    window_seconds=TICK_SECONDS,
    scrape_seconds=TICK_SECONDS,
)


def falling_and_rising() -> Load:
    """A load whose proposals move in one direction all the time, first down, then up."""
    values = np.interp(np.arange(STEPS), [0, 500, STEPS], [600_000.0, 10_000.0, 600_000.0])
    trace = Trace(name="ramps", start_at=1.7e9, step_seconds=TICK_SECONDS, values=values)
    return load_of(trace, step_seconds=TICK_SECONDS, seed=1)


def decided(
    behavior: Behavior | None, *, window: float = 0.0, target_milli: int = 1_000_000, factor=1.0
) -> DecidedAutoscaler:
    """A policy that decides on the rate, every tick, without tolerance."""
    spec = MetricSpec(name="s0-rps", target_milli=target_milli)
    policy = Policy(
        key="test/ramps",
        min_replicas=1,
        max_replicas=5000,
        metrics=(MetricPolicy(spec=spec),),
        behavior=behavior,
        activation=Activation.HPA,
        hpa=HpaSettings(tolerance=0.0, downscale_stabilization_seconds=window),
    )
    watched = [Watched(metric="s0-rps", signal="rps", factor=factor)]
    return DecidedAutoscaler(policy, watched, tick_seconds=TICK_SECONDS)


def rules(window: int | None, *policies: tuple[PolicyType, int, int]) -> ScalingRules:
    """Rules of one direction; without policies 100 % per 15 s."""
    chosen = policies or ((PolicyType.PERCENT, 100, 15),)
    return ScalingRules(
        policies=tuple(
            ScalingPolicy(type=kind, value=value, period_seconds=period)
            for kind, value, period in chosen
        ),
        select_policy=SelectPolicy.MIN,
        stabilization_window_seconds=window,
    )


def changed_every_tick(value: int, down_window: int | None = 0) -> Behavior:
    """Half an hour of changes counts, more of them than a history holds."""
    slowly = (PolicyType.PODS, value, 1800)
    return Behavior(scale_up=rules(0, slowly), scale_down=rules(down_window, slowly))


def assert_same_decisions(policies: list[DecidedAutoscaler]) -> list[DecidedAutoscaler]:
    """Compare the replicas after every step; return the policies with their memories."""
    load = falling_and_rising()
    group = Group(
        name="ramps",
        autoscaler=VectorisedAutoscaler(policies),
        lanes=[Lane(replicas=REPLICAS, seed=1)] * len(policies),
    )
    replicas = np.zeros((load.steps, len(policies)))

    def watch(step, tier):
        replicas[step] = tier.replicas

    run_lanes([group], load, PLANT, [SIGNAL], seed=1, lateness=None, watcher=watch)
    for lane, autoscaler in enumerate(policies):
        spec = TierSpec(
            name="web", plant=PLANT, autoscaler=autoscaler, signals=[SIGNAL], replicas=REPLICAS
        )
        run = replay([spec], load, seed=1)["web"]
        differs = np.flatnonzero(replicas[:, lane] != run.replicas)
        assert not differs.size, (lane, differs[0], autoscaler.policy)
    return policies


def test_changes_that_fill_the_history_count_as_in_the_core():
    """With a change at every tick of half an hour, old changes merge as the core merges them."""
    policies = assert_same_decisions(
        [decided(changed_every_tick(value)) for value in (150, 290, 330, 700)]
        + [decided(Behavior(scale_up=rules(0), scale_down=changed_every_tick(310).scale_down))]
    )

    fullest = max(len(policy.memory.scale_downs) for policy in policies)
    assert fullest == HISTORY_LIMIT, "no history was full"


def test_longest_windows_hold_as_in_the_core():
    """The longest window that is not refused holds a falling and a rising proposal exactly."""
    window = LONGEST_WINDOW_SECONDS
    both = Behavior(scale_up=rules(window), scale_down=rules(window))
    policies = assert_same_decisions(
        [
            decided(None, window=float(window)),
            decided(both),
            decided(Behavior(scale_up=rules(0), scale_down=rules(None)), window=float(window)),
        ]
    )

    # One fewer than can be: nothing is measured yet at the first tick.
    kept = {len(policy.memory.recommendations) for policy in policies}
    assert kept == {HISTORY_LIMIT - 1}


@pytest.mark.parametrize(
    "policy",
    [
        decided(None, window=LONGEST_WINDOW_SECONDS + TICK_SECONDS),
        decided(changed_every_tick(1, LONGEST_WINDOW_SECONDS + 5)),
        decided(Behavior(scale_up=rules(3600), scale_down=rules(0))),
        decided(Behavior(scale_up=rules(0), scale_down=rules(None)), window=3600.0),
    ],
    ids=["without behavior", "down", "up", "controller-wide"],
)
def test_longer_windows_are_refused(policy):
    """A window of more decisions than the core remembers one by one is left to exact replay."""
    assert unsupported(policy) == "windows of so many decisions"
    with pytest.raises(SimulationError, match="use exact replay"):
        VectorisedAutoscaler([policy])


def test_a_window_that_the_behavior_overrides_does_not_count():
    """The controller-wide window is not read where the behavior has one of its own."""
    policy = decided(Behavior(scale_up=rules(0), scale_down=rules(60)), window=3600.0)

    assert unsupported(policy) == ""


def test_values_the_kernel_does_not_know_are_refused():
    """Targets of zero and values below zero, which the HPA treats as failures, are named."""
    assert unsupported(decided(None, target_milli=0)) == "metrics without a target"
    assert unsupported(decided(None, factor=-1.0)) == "values below zero"


def test_a_clock_below_zero_is_refused_when_it_is_read():
    """What a clock reads is only known on the way; it stops the run rather than bend it."""
    base = decided(None)
    clock = Watched(metric="s0-rps", clock=lambda at: Reading.of("s0-rps", -2.0, at))
    policy = DecidedAutoscaler(base.policy, [clock], tick_seconds=TICK_SECONDS)
    group = Group(
        name="clock",
        autoscaler=VectorisedAutoscaler([policy]),
        lanes=[Lane(replicas=1, seed=1)],
    )

    with pytest.raises(SimulationError, match="s0-rps reads -2: the kernel has no values below"):
        run_lanes([group], falling_and_rising(), PLANT, [], seed=1, lateness=None)
