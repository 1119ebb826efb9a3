"""Random policies and loads for the kernel's differential test."""

from __future__ import annotations

import random

import numpy as np

from autoscaler.core.formula import compile_formula
from autoscaler.core.model import (
    Activation,
    Behavior,
    HpaSettings,
    MetricPolicy,
    MetricSource,
    MetricSpec,
    Modifiers,
    Policy,
    PolicyType,
    ScalingPolicy,
    ScalingRules,
    SelectPolicy,
    TargetType,
)
from simulations.plant.parameters import (
    Delay,
    Faults,
    Plant,
    Service,
    Signal,
    SignalKind,
    StartUp,
    Termination,
    Waiting,
)
from simulations.policies.decided import DecidedAutoscaler, Watched
from simulations.workload.load import Load, load_of
from simulations.workload.trace import Trace

STEPS = 1440
STEP_SECONDS = 5.0
FORMULA_FREE = 0.5
"""Share of the structures without scaling modifiers."""
SIGNALS = {
    "rps": SignalKind.REQUEST_RATE,
    "queue": SignalKind.QUEUE_LENGTH,
    "inflight": SignalKind.CONCURRENCY,
    "busy": SignalKind.UTILIZATION,
}


def random_load(rng: random.Random) -> Load:
    """Steps, silences, bursts and gaps over two hours."""
    minutes = int(STEPS * STEP_SECONDS / 60)
    values = np.zeros(minutes)
    at = 0
    while at < minutes:
        length = rng.randint(3, 25)
        level = rng.choice([0.0, 0.0, 0.3, 5.0, 40.0, 150.0, 400.0])
        values[at : at + length] = level * rng.uniform(0.5, 1.5)
        at += length
    for _ in range(rng.randint(0, 3)):
        begin = rng.randrange(minutes)
        values[begin : begin + rng.randint(1, 8)] = np.nan
    if np.isnan(values).all():
        values[0] = 1.0
    trace = Trace(name="random", start_at=1.7e9, step_seconds=60.0, values=values)
    return load_of(trace, step_seconds=STEP_SECONDS, seed=rng.randrange(10**6))


def random_plant(rng: random.Random) -> Plant:
    """Plants that lanes can do."""
    median = rng.choice([2.0, 15.0, 90.0, 240.0])
    begin = rng.uniform(0, 5000)
    outages = ((begin, begin + rng.uniform(10, 900)),) if rng.random() < 0.4 else ()
    return Plant(
        service=Service(
            mean_seconds=rng.choice([0.05, 0.2, 1.0, 20.0]), concurrency=rng.choice([1, 4])
        ),
        start_up=StartUp(
            container=Delay(median_seconds=median, p95_seconds=median * rng.choice([1.0, 2.5])),
            probe_period_seconds=rng.choice([0.0, 10.0]),
        ),
        waiting=Waiting(
            slo_seconds=0.2,
            timeout_seconds=rng.choice([5.0, 30.0, 600.0]),
            buffer_requests=rng.choice([50.0, 10_000.0]),
        ),
        termination=Termination(drain_seconds=20.0),
        faults=Faults(metric_outages=outages),
    )


def random_signals(rng: random.Random) -> list[Signal]:
    """One signal of each kind."""
    return [
        Signal(
            name=name,
            kind=kind,
            lag_seconds=rng.choice([0.0, 3.0, 15.0]),
            window_seconds=rng.choice([15.0, 60.0, 120.0]),
            scrape_seconds=rng.choice([5.0, 15.0, 30.0]),
            phase_seconds=rng.choice([0.0, 4.0]),
            missed_ratio=rng.choice([0.0, 0.1]),
        )
        for name, kind in SIGNALS.items()
    ]


def random_policies(rng: random.Random, count: int) -> list[DecidedAutoscaler]:
    """Policies of one structure: the same kinds of metrics and stages, other numbers."""
    activation = rng.choice([Activation.MINIMUM, Activation.DIRECT, Activation.HPA])
    kinds = [_random_kind(rng) for _ in range(rng.choice([1, 1, 2, 3]))]
    has_behavior = rng.random() < 0.6
    settings = HpaSettings(
        default_scale_up_limit=rng.random() < 0.6,
        sync_period_seconds=rng.choice([0.0, 15.0, 30.0]),
    )
    tick = rng.choice([5.0, 15.0, 30.0])
    wake = rng.choice([None, 2 * tick]) if activation is Activation.MINIMUM else None
    zero_follows = rng.random() < 0.5
    formula = _random_formula(rng, kinds)
    return [
        _random_policy(
            rng,
            activation=activation,
            kinds=kinds,
            settings=settings,
            tick=tick,
            wake=wake,
            has_behavior=has_behavior,
            zero_follows=zero_follows,
            formula=formula,
            index=index,
        )
        for index in range(count)
    ]


def _random_kind(rng: random.Random) -> tuple[MetricSource, TargetType, str]:
    source = rng.choice([MetricSource.EXTERNAL] * 3 + [MetricSource.OBJECT, MetricSource.RESOURCE])
    if source is MetricSource.RESOURCE:
        return source, TargetType.UTILIZATION, "busy"
    target_type = rng.choice([TargetType.AVERAGE_VALUE, TargetType.AVERAGE_VALUE, TargetType.VALUE])
    return source, target_type, rng.choice(list(SIGNALS))


def _random_policy(
    rng, *, activation, kinds, settings, tick, wake, has_behavior, zero_follows, formula, index
):
    metrics, watched = [], []
    for number, (source, target_type, signal) in enumerate(kinds):
        name = f"s{number}-{signal}"
        target = (
            rng.randint(20, 95) if source is MetricSource.RESOURCE else rng.randint(200, 60_000)
        )
        spec = MetricSpec(
            name=name,
            source=source,
            target_type=target_type,
            target_milli=target,
            activation_value=rng.choice([0.0, 0.5, 20.0]),
            resource="cpu" if source is MetricSource.RESOURCE else None,
        )
        metrics.append(MetricPolicy(spec=spec, trigger=f"t{number}"))
        watched.append(Watched(metric=name, signal=signal, factor=rng.choice([1.0, 0.7, 3.0])))
    minimum = rng.choice([0, 0, 1, 3])
    if activation is Activation.HPA:
        minimum = max(1, minimum)
    idle = rng.choice([None, 0, 1]) if minimum == 3 else None
    policy = Policy(
        key=f"test/p{index}",
        min_replicas=minimum,
        max_replicas=minimum + rng.choice([1, 8, 60]),
        idle_replicas=idle,
        metrics=tuple(metrics),
        modifiers=None if formula is None else _random_modifiers(rng, formula),
        behavior=_random_behavior(rng) if has_behavior else None,
        cooldown_seconds=rng.choice([0.0, 60.0, 300.0]),
        initial_cooldown_seconds=rng.choice([0.0, 400.0]),
        created_at=1.7e9,
        activation=activation,
        zero_follows_behavior=zero_follows,
        hpa=HpaSettings(
            tolerance=rng.choice([0.0, 0.1, 0.3]),
            downscale_stabilization_seconds=rng.choice([0.0, 47.0, 60.0, 300.0]),
            default_scale_up_limit=settings.default_scale_up_limit,
            sync_period_seconds=settings.sync_period_seconds,
        ),
    )
    return DecidedAutoscaler(policy, watched, tick_seconds=tick, wake_seconds=wake)


FORMULAS = (
    "{a} / {x} + {y} * {a} ** 0.5",
    "max({a} / {x} + {y} * {b} ** 0.5, {b} / {z})",
    "({a} + {y} * ({b} / {x}) ** {w}) / {x}",
    "min({a}, {b} * {y}, {x}) - {z} / ({b} - {a})",
    '-{a} + max({y}, $env["{b}"], {x}) / {b}',
    "+{a} ** -{y} * {x}",
)


def _random_formula(rng, kinds):
    """Return the form of a formula over the external metrics, now and then, and its target type."""
    names = [f"t{number}" for number, kind in enumerate(kinds) if kind[0] is MetricSource.EXTERNAL]
    if not names or rng.random() < FORMULA_FREE:
        return None
    chosen = rng.choice([TargetType.AVERAGE_VALUE, TargetType.AVERAGE_VALUE, TargetType.VALUE])
    form = rng.choice(FORMULAS)
    return form, names, chosen


def _random_modifiers(rng, formula):
    form, names, metric_type = formula
    source = form.format(
        a=names[0],
        b=names[-1],
        x=rng.choice(["14", "1.5", "0.3"]),
        y=rng.choice(["0", "2", "0.7", "3.25"]),
        z=rng.choice(["5", "0.01"]),
        w=rng.choice(["0.5", "1.5", "0"]),
    )
    return Modifiers(
        formula=compile_formula(source, names),
        target=1.0,
        target_milli=rng.choice([500, 1000, 12_345]),
        activation_target=rng.choice([0.0, 0.5, 20.0]),
        metric_type=metric_type,
    )


def _random_behavior(rng: random.Random) -> Behavior:
    return Behavior(
        scale_up=_random_rules(rng, window=rng.choice([None, 0, 30, 120])),
        scale_down=_random_rules(rng, window=rng.choice([None, 0, 15, 90, 300, 601])),
    )


def _random_rules(rng: random.Random, *, window: int | None) -> ScalingRules:
    policies = tuple(
        ScalingPolicy(
            type=rng.choice(list(PolicyType)),
            value=rng.choice([1, 2, 4, 10, 50, 100]),
            period_seconds=rng.choice([15, 60, 300, 1800]),
        )
        for _ in range(rng.choice([0, 1, 1, 2, 3]))
    )
    return ScalingRules(
        policies=policies,
        select_policy=rng.choice(
            [SelectPolicy.MAX] * 4 + [SelectPolicy.MIN, SelectPolicy.DISABLED]
        ),
        stabilization_window_seconds=window,
        tolerance=rng.choice([None, 0.0, 0.2]),
    )
