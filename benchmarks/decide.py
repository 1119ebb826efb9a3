"""Microseconds per ``decide()``, beside a baseline measured in the same run.

    python benchmarks/decide.py [--repeats N] [--profile] [--json]

The minimum over repeats is the figure: noise of a shared machine only ever adds. The baseline is
what any autoscaler has to pay at least, one JSON round trip of the same observation; ratios to it
carry over between machines better than microseconds do.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import platform
import pstats
import timeit
from collections.abc import Callable

import msgspec

from autoscaler.core.decide import decide
from autoscaler.core.formula import compile_formula
from autoscaler.core.model import (
    Behavior,
    Decision,
    Memory,
    MetricPolicy,
    MetricSpec,
    Modifiers,
    Observation,
    Policy,
    PolicyType,
    Reading,
    Recommendation,
    ScaleEvent,
    ScalingPolicy,
    ScalingRules,
)

AT = 1_700_000_000.0
CALLS = 2_000
BUDGET_US = 40.0
"""What a decision of one trigger in the steady state may cost on an idle core."""


def rules(*policies: tuple[PolicyType, int, int], window: int) -> ScalingRules:
    return ScalingRules(
        policies=tuple(ScalingPolicy(type=t, value=v, period_seconds=p) for t, v, p in policies),
        stabilization_window_seconds=window,
    )


def observation(names: list[str], value: float, replicas: int) -> Observation:
    return Observation(
        at=AT,
        spec_replicas=replicas,
        status_replicas=replicas,
        ready_pods=replicas,
        total_pods=replicas,
        readings={name: Reading.of(name, value, AT - 1.0) for name in names},
    )


def settled(policy: Policy, memory: Memory, seen: Observation) -> Memory:
    """Return the memory after a few decisions, so that conditions are known already."""
    for _ in range(3):
        _, after = decide(policy, memory, seen)
        memory = msgspec.structs.replace(after, recommendations=memory.recommendations)
    return memory


def one_trigger(history: int) -> Callable[[], tuple[Decision, Memory]]:
    policy = Policy(
        key="shop/orders",
        metrics=(MetricPolicy(spec=MetricSpec(name="s0-redis-orders", target_milli=10_000)),),
    )
    seen = observation(["s0-redis-orders"], 68.0, 7)
    recommendations = tuple(
        Recommendation(round(AT * 1000) - 15_000 * age, 7) for age in range(history, 0, -1)
    )
    memory = settled(policy, Memory(recommendations=recommendations), seen)
    return lambda: decide(policy, memory, seen)


def five_triggers() -> Callable[[], tuple[Decision, Memory]]:
    names = ["orders", "mails", "images", "exports", "audits"]
    formula = compile_formula("max([orders, mails]) + images * 0.5 + (exports + audits) / 2", names)
    up = rules((PolicyType.PODS, 4, 15), (PolicyType.PERCENT, 100, 15), window=0)
    down = rules((PolicyType.PERCENT, 10, 60), window=300)
    policy = Policy(
        key="shop/worker",
        min_replicas=2,
        metrics=tuple(
            MetricPolicy(spec=MetricSpec(name=f"s{i}-redis-{name}"), trigger=name, trigger_index=i)
            for i, name in enumerate(names)
        ),
        modifiers=Modifiers(formula=formula, target_milli=20_000, target=20.0),
        behavior=Behavior(scale_up=up, scale_down=down),
    )
    seen = observation([metric.spec.name for metric in policy.metrics], 68.0, 6)
    now_ms = round(AT * 1000)
    memory = Memory(
        recommendations=tuple(Recommendation(now_ms - 15_000 * age, 9) for age in range(20, 0, -1)),
        scale_ups=(ScaleEvent(now_ms - 5_000, 2),),
        scale_downs=(ScaleEvent(now_ms - 30_000, 1), ScaleEvent(now_ms - 50_000, 1)),
    )
    memory = settled(policy, memory, seen)
    return lambda: decide(policy, memory, seen)


def json_round_trip() -> Callable[[], object]:
    seen = observation(["s0-redis-orders"], 68.0, 7)
    return lambda: json.loads(json.dumps(msgspec.to_builtins(seen)))


SUBJECTS: dict[str, Callable[[], Callable[[], object]]] = {
    "baseline: JSON round trip of the observation": json_round_trip,
    "1 trigger, steady": lambda: one_trigger(1),
    "1 trigger, 20-entry history": lambda: one_trigger(20),
    "5 triggers, behavior and formula": five_triggers,
}


def measure(repeats: int) -> dict[str, float]:
    """Return microseconds per call, the minimum over the repeats."""
    calls = {name: make() for name, make in SUBJECTS.items()}
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(repeats):
        for name, call in calls.items():
            best[name] = min(best[name], timeit.timeit(call, number=CALLS) / CALLS * 1e6)
    return best


def profile() -> None:
    """Print where a steady decision of one trigger spends its time."""
    call = one_trigger(1)
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(CALLS * 10):
        call()
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--profile", action="store_true", help="cProfile of the steady state")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--max-us", type=float, default=None, help="fail above this for 1 trigger")
    options = parser.parse_args()
    if options.profile:
        profile()
        return 0
    figures = measure(options.repeats)
    baseline = figures[next(iter(SUBJECTS))]
    if options.json:
        print(json.dumps({"python": platform.python_version(), "microseconds": figures}))
    else:
        print(f"Python {platform.python_version()}, minimum of {options.repeats} repeats")
        for name, cost in figures.items():
            print(f"{name:<46} {cost:8.1f} us   {cost / baseline:5.2f} x baseline")
    return int(options.max_us is not None and figures["1 trigger, steady"] > options.max_us)


if __name__ == "__main__":
    raise SystemExit(main())
