"""Speed of the three engines, each beside a named baseline of the same run.

    python benchmarks/simulation_speed.py [--repeats N] [--profile]

- sweep kernel: policy-steps per second at growing numbers of policies, decisions and scores at
  every step (dt = sync = 15 s) and every third (dt = 5 s); baseline: the exact replay of one of
  the policies, which is the same simulation in plain Python;
- exact replay: decisions per second, one day with one trigger; baseline: decide() alone;
- referee: requests per second of a queue with 160 servers; baseline: the same queue in SimPy.

Best of several repeats: noise of a shared machine only ever adds time.
"""

from __future__ import annotations

import argparse
import cProfile
import platform
import pstats
import time
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import simpy

from autoscaler.core.decide import decide
from autoscaler.core.model import (
    Activation,
    HpaSettings,
    Memory,
    MetricPolicy,
    MetricSpec,
    Observation,
    Policy,
    Reading,
)
from simulations.engine.exact import TierSpec, replay
from simulations.engine.lanes import Group, Lane, run_lanes
from simulations.engine.referee import referee
from simulations.plant.lateness import LatenessTable
from simulations.plant.parameters import (
    Delay,
    Plant,
    Service,
    Signal,
    SignalKind,
    StartUp,
    Waiting,
)
from simulations.policies.decided import DecidedAutoscaler, Watched
from simulations.policies.vectorised.autoscaler import VectorisedAutoscaler
from simulations.workload.load import Load, load_of
from simulations.workload.trace import Trace

PLANT = Plant(
    service=Service(mean_seconds=0.2, concurrency=4),
    start_up=StartUp(container=Delay(median_seconds=15, p95_seconds=45)),
    waiting=Waiting(slo_seconds=0.2),
)
SIGNAL = Signal(name="rps", kind=SignalKind.REQUEST_RATE, lag_seconds=5)
COUNTS = (1, 64, 1024, 4096, 16_384)


def a_day(step_seconds: float) -> Load:
    minutes = np.arange(1440)
    noise = np.random.default_rng(0).normal(0, 20, 1440)
    values = 400 + 300 * np.sin(minutes / 1440 * 2 * np.pi) + noise
    trace = Trace(name="a day", start_at=1.7e9, step_seconds=60, values=values)
    return load_of(trace, step_seconds=step_seconds, seed=1)


def policies(count: int) -> list[DecidedAutoscaler]:
    return [
        DecidedAutoscaler(
            Policy(
                min_replicas=1,
                max_replicas=100,
                metrics=(MetricPolicy(spec=MetricSpec(name="s0-rps", target_milli=int(target))),),
                activation=Activation.MINIMUM,
                hpa=HpaSettings(sync_period_seconds=15),
            ),
            [Watched(metric="s0-rps", signal="rps")],
            tick_seconds=15,
        )
        for target in np.linspace(8_000, 20_000, count)
    ]


def best_seconds(run: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        run()
        times.append(time.process_time() - begin)
    return min(times)


def kernel(count: int, step_seconds: float) -> Callable[[], Any]:
    load = a_day(step_seconds)
    lateness = LatenessTable(PLANT.service, PLANT.waiting, step_seconds=step_seconds)
    group = Group(
        name="sweep",
        autoscaler=VectorisedAutoscaler(policies(count)),
        lanes=[Lane(replicas=25, seed=1)] * count,
    )
    return lambda: run_lanes([group], load, PLANT, [SIGNAL], seed=1, lateness=lateness)


def exact(step_seconds: float) -> Callable[[], Any]:
    load = a_day(step_seconds)

    def run() -> Any:
        spec = TierSpec(
            name="web", plant=PLANT, autoscaler=policies(1)[0], signals=[SIGNAL], replicas=25
        )
        return replay([spec], load, seed=1)["web"]

    return run


def decisions_alone(count: int) -> Callable[[], Any]:
    policy = policies(1)[0].policy

    def run() -> None:
        memory = Memory()
        for index in range(count):
            at = 1.7e9 + index * 15
            reading = Reading.of("s0-rps", 400.0, at)
            seen = Observation(
                at=at, spec_replicas=50, status_replicas=50, readings={"s0-rps": reading}
            )
            _, memory = decide(policy, memory, seen)

    return run


def with_simpy(requests: int, rate: float, servers: int) -> None:
    environment = simpy.Environment()
    pool = simpy.Resource(environment, capacity=servers)
    random = np.random.default_rng(1)
    gaps = random.exponential(1 / rate, requests).tolist()
    durations = random.exponential(0.2, requests).tolist()

    def request(duration: float) -> Generator[Any, Any, None]:
        with pool.request() as turn:
            yield turn
            yield environment.timeout(duration)

    def source() -> Generator[Any, Any, None]:
        for gap, duration in zip(gaps, durations, strict=True):
            yield environment.timeout(gap)
            environment.process(request(duration))

    environment.process(source())
    environment.run()


def show(what: str, rate: float, unit: str, baseline: float) -> None:
    print(f"{what:<44}{rate:>14,.0f} {unit:<16}{rate / baseline:>9.1f} x baseline")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    repeats = arguments.repeats
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, best of {repeats} repeats")

    for step_seconds in (15.0, 5.0):
        steps = a_day(step_seconds).steps
        baseline = steps / best_seconds(exact(step_seconds), repeats)
        show(f"dt {step_seconds:g} s, baseline: exact replay", baseline, "policy-steps/s", baseline)
        for count in COUNTS:
            rate = count * steps / best_seconds(kernel(count, step_seconds), repeats)
            show(
                f"dt {step_seconds:g} s, kernel, {count:,} policies",
                rate,
                "policy-steps/s",
                baseline,
            )

    decisions = 5760
    alone = decisions / best_seconds(decisions_alone(decisions), repeats)
    show("baseline: decide() alone", alone, "decisions/s", alone)
    for step_seconds in (15.0, 5.0):
        rate = decisions / best_seconds(exact(step_seconds), repeats)
        show(f"exact replay, dt {step_seconds:g} s", rate, "decisions/s", alone)

    requests, servers = 300_000, 160
    load_per_second = 0.9 * servers / 0.2
    simpy_rate = (
        requests
        / best_seconds(lambda: with_simpy(requests // 10, load_per_second, servers), repeats)
        / 10
    )
    show("baseline: SimPy, 160 servers at 0.9", simpy_rate, "requests/s", simpy_rate)
    steps = round(requests / load_per_second / 5) * 10
    expected = np.full(steps, load_per_second * 5)
    serving = np.full(steps, servers // 4)
    seconds = best_seconds(
        lambda: referee(expected, serving, PLANT.service, PLANT.waiting, step_seconds=5.0, seed=1),
        repeats,
    )
    show("referee, 160 servers at 0.9", float(expected.sum()) / seconds, "requests/s", simpy_rate)
    if arguments.profile:
        profile = cProfile.Profile()
        profile.runcall(exact(5.0))
        pstats.Stats(profile).sort_stats("tottime").print_stats(15)


if __name__ == "__main__":
    main()
