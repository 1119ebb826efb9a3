"""The stepped plant with its lateness model against a simulation of every single request.

The figures of every scenario: ``pytest tests/simulation/test_fidelity.py -rP | grep referee``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from simulations.engine.referee import referee
from simulations.plant.lateness import LatenessTable
from simulations.plant.parameters import Delay, Plant, Service, ServiceTime, StartUp, Waiting
from simulations.plant.tier import Tier

STEP = 5.0
WAITING = Waiting(slo_seconds=0.2)
CONCURRENCY, MEAN = 4, 0.2
PER_REPLICA_AND_STEP = CONCURRENCY / MEAN * STEP
SEEDS = 4
OFF_SATURATION, NEAR_SATURATION = 0.01, 0.03
SHAPES = list(ServiceTime)


def steady(utilisation: float, replicas: int, steps: int):
    """Constant load on constant replicas."""
    return np.full(steps, utilisation * replicas * PER_REPLICA_AND_STEP), np.full(steps, replicas)


def doubling():
    """Load doubles every ten minutes, the replicas follow half a minute later."""
    load = np.full(480, 0.7 * 10 * PER_REPLICA_AND_STEP)
    replicas = np.full(480, 10)
    for begin in range(60, 480, 120):
        load[begin : begin + 60] *= 2
        replicas[begin + 6 : begin + 66] = 20
    return load, replicas


def ramps():
    """Load triples within five minutes and falls again, replicas one by one behind it."""
    load = np.full(480, 0.6 * 10 * PER_REPLICA_AND_STEP)
    replicas = np.full(480, 10)
    up = np.arange(60)
    for begin in (60, 240):
        rise = np.concatenate([np.linspace(1, 3, 60), np.full(30, 3.0), np.linspace(3, 1, 60)])
        load[begin : begin + 150] *= rise
        steps = np.minimum(20, up // 3)
        replicas[begin : begin + 150] = np.concatenate([10 + steps, np.full(30, 30), 30 - steps])
    return load, replicas


def sinusoid(middle: float):
    """Slow waves around a utilisation."""
    waves = middle + 0.15 * np.sin(2 * np.pi * np.arange(1080) / 360)
    return waves * 10 * PER_REPLICA_AND_STEP, np.full(1080, 10)


def bursts(replicas: int, length: int, factor: float):
    """Bursts of seconds, every five minutes."""
    load = np.full(720, 0.6 * replicas * PER_REPLICA_AND_STEP)
    for begin in range(30, 720, 60):
        load[begin : begin + length] *= factor
    return load, np.full(720, replicas)


SCENARIOS: dict[str, tuple[Callable, float]] = {
    "steady at 0.7, 2 replicas": (lambda: steady(0.7, 2, 1440), OFF_SATURATION),
    "steady at 0.8": (lambda: steady(0.8, 10, 480), OFF_SATURATION),
    "steady at 0.9": (lambda: steady(0.9, 10, 720), OFF_SATURATION),
    "steady at 0.95": (lambda: steady(0.95, 10, 1440), NEAR_SATURATION),
    "steady at 0.95, 50 replicas": (lambda: steady(0.95, 50, 240), NEAR_SATURATION),
    "doubling": (doubling, NEAR_SATURATION),
    "ramps": (ramps, OFF_SATURATION),
    "sinusoid around 0.8": (lambda: sinusoid(0.8), NEAR_SATURATION),
    "sinusoid around 0.9": (lambda: sinusoid(0.9), NEAR_SATURATION),
    "bursts": (lambda: bursts(10, 3, 2.2), NEAR_SATURATION),
    "bursts, 40 replicas": (lambda: bursts(40, 2, 1.8), NEAR_SATURATION),
}


def stepped(load, replicas, service: Service, waiting: Waiting) -> float:
    """Return the late share as the stepped plant sees it."""
    start_up = StartUp(container=Delay(median_seconds=1, p95_seconds=1))
    plant = Plant(service=service, start_up=start_up, waiting=waiting)
    tier = Tier(plant, [1000], step_ms=5000, replicas=int(replicas[0]))
    young_steps = round(waiting.timeout_seconds / STEP)
    before, after = np.zeros(len(load)), np.zeros(len(load))
    for step, arrivals in enumerate(load):
        tier.serving = int(replicas[step])
        before[step] = tier.backlog
        tier.serve(float(arrivals), float(load[max(0, step + 1 - young_steps) : step + 1].sum()))
        after[step] = tier.backlog
    table = LatenessTable(service, waiting, step_seconds=STEP)
    late = table.late_ratios(replicas.astype(float), load / STEP, before, after)
    return float((late * load).sum() / load.sum())


def compare(name, load, replicas, service, waiting, *, seeds: int, bound: float) -> None:
    """Hold the stepped plant to the referee, which must be sure enough itself."""
    judged = [
        referee(load, replicas, service, waiting, step_seconds=STEP, seed=seed).violation_ratio
        for seed in range(seeds)
    ]
    truth, error = float(np.mean(judged)), np.std(judged, ddof=1) / math.sqrt(seeds)
    found = stepped(load, replicas, service, waiting)
    print(  # noqa: T201 -- the table of the module's docstring
        f"{name:<40} {service.shape.value:<14} referee {truth:7.2%} +- {error:.2%}, "
        f"stepped {found:7.2%}, apart {found - truth:+.2%}"
    )
    assert error < bound / 3, f"the referee itself is unsure: {truth:.4f} +- {error:.4f}"
    assert abs(found - truth) <= bound, f"referee {truth:.4f}, stepped plant {found:.4f}"


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_lateness_equals_that_of_single_requests(name, shape):
    """Within one point of violations off saturation, three near it."""
    make, bound = SCENARIOS[name]
    load, replicas = make()
    service = Service(mean_seconds=MEAN, concurrency=CONCURRENCY, shape=shape)
    compare(name, load, replicas, service, WAITING, seeds=SEEDS, bound=bound)


def slow_waves():
    """Waves of an hour around three quarters of the capacity."""
    waves = 0.75 + 0.15 * np.sin(2 * np.pi * np.arange(8640) / 720)
    return waves * 10 * PER_REPLICA_AND_STEP, np.full(8640, 10)


def slow_doubling():
    """Load doubles every forty minutes, the replicas follow half a minute later."""
    steps = np.arange(8640)
    load = np.where(steps % 480 < 240, 0.7, 1.4) * 10 * PER_REPLICA_AND_STEP
    return load, np.where((steps - 6) % 480 < 240, 10, 20)


def slow_bursts(steps: int, factor: float):
    """Bursts every ten minutes, from a utilisation of 0.6 to beyond the capacity."""
    load = np.full(2880, 0.6)
    for begin in range(60, 2880, 120):
        load[begin : begin + steps] = factor
    return load * 10 * PER_REPLICA_AND_STEP, np.full(2880, 10)


SLOW_SCENARIOS: dict[str, tuple[Callable, float, float]] = {
    "steady at 0.7, waits over 0.25 services": (
        lambda: steady(0.7, 10, 17_280),
        0.25,
        OFF_SATURATION,
    ),
    "steady at 0.9": (lambda: steady(0.9, 10, 60_000), 1.0, OFF_SATURATION),
    "waves of an hour": (slow_waves, 1.0, NEAR_SATURATION),
    "doubling": (slow_doubling, 1.0, NEAR_SATURATION),
    "bursts of 30 s to 1.1, waits over 0.5 services": (
        lambda: slow_bursts(6, 1.1),
        0.5,
        NEAR_SATURATION,
    ),
    "bursts of two minutes to 1.3, waits over 0.1 services": (
        lambda: slow_bursts(24, 1.3),
        0.1,
        NEAR_SATURATION,
    ),
    "bursts of two minutes to 1.6, waits over 0.5 services": (
        lambda: slow_bursts(24, 1.6),
        0.5,
        NEAR_SATURATION,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SLOW_SCENARIOS)
def test_lateness_holds_for_services_of_many_steps(name, shape):
    """Services of 20 seconds, one at a time per replica: the same bounds."""
    make, slo_services, bound = SLOW_SCENARIOS[name]
    load, replicas = make()
    service = Service(mean_seconds=20.0, concurrency=1, shape=shape)
    load = load * (service.requests_per_second * STEP / PER_REPLICA_AND_STEP)
    waiting = Waiting(slo_seconds=20.0 * slo_services, timeout_seconds=300.0)
    compare(name, load, replicas, service, waiting, seeds=80, bound=bound)
