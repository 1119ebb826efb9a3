"""The tuned track: the main knob of each reactive autoscaler, from cautious to bold.

Everybody aims at a utilisation; a lower one costs more and is late less often. Sweeping it answers
what the default track cannot: who is cheapest at the same lateness. Knobs are chosen per trace and
in hindsight, for all alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from simulations.benchmark.cells import Cells
from simulations.benchmark.protocol import FACTS, PROFILES, prepare
from simulations.benchmark.result import Result, Results, result_of
from simulations.benchmark.run import ORACLE, Part, side_by_side, starting_replicas
from simulations.benchmark.tables import TITLES
from simulations.engine.lanes import Lane
from simulations.engine.view import LaneAutoscaler
from simulations.policies.decided import DecidedAutoscaler
from simulations.policies.flyball import flyball, flyball_fast_manifest
from simulations.policies.hpa import hpa
from simulations.policies.keda import keda_rate
from simulations.policies.kpa import Kpa
from simulations.policies.scaled_objects import decided_by
from simulations.policies.service import ServiceFacts
from simulations.policies.vectorised.autoscaler import VectorisedAutoscaler
from simulations.report.tables import Table
from simulations.score.frontier import Point, cost_at, mean_cost
from simulations.score.statistics import geometric_mean

RATIOS: Final = (0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
BUDGETS: Final = (0.01, 0.005, 0.001)

DECIDED: Final[dict[str, Callable[[ServiceFacts], DecidedAutoscaler]]] = {
    "hpa": lambda facts: hpa(facts).decided,
    "keda-rate": lambda facts: keda_rate(facts).decided,
    "flyball": lambda facts: flyball(facts).decided,
    "flyball-fast": lambda facts: decided_by(
        *flyball_fast_manifest(facts, target_ratio=facts.target_ratio)
    ),
}
TUNED: Final = (*DECIDED, "kpa")


def tuned_parts(traces: Sequence[str]) -> list[Part]:
    """Return the parts of the tuned track, the longest first."""
    return sorted((Part(trace=trace, seeds=1) for trace in traces), key=lambda part: -part.weight)


def run_tuned(part: Part) -> list[Result]:
    """Run every knob of every tuned autoscaler under one trace."""
    prepared = prepare(part.trace, part.variant, scored_days=part.scored_days)
    kinds = [(profile, ratio) for profile in PROFILES for ratio in RATIOS]
    replicas = starting_replicas(prepared)
    lanes = [Lane(replicas=replicas, seed=0, start_up=profile.start_up()) for profile, _ in kinds]
    autoscalers = _autoscalers([ratio for _, ratio in kinds])
    totals = side_by_side(part, prepared, autoscalers, lanes)
    return [
        result_of(
            group,
            lane,
            trace=part.trace,
            profile=profile.name,
            policy=f"{group.name}@{ratio:g}",
            seed=0,
        )
        for group in totals
        for lane, (profile, ratio) in enumerate(kinds)
    ]


def _autoscalers(ratios: Sequence[float]) -> dict[str, LaneAutoscaler]:
    facts = [msgspec.structs.replace(FACTS, target_ratio=ratio) for ratio in ratios]
    made: dict[str, LaneAutoscaler] = {
        name: VectorisedAutoscaler([make(item) for item in facts]) for name, make in DECIDED.items()
    }
    made["kpa"] = Kpa(FACTS, target_ratios=ratios)
    return made


def frontiers(results: Results, cells: Cells) -> dict[tuple[str, str, str], list[Point]]:
    """Return the points of each start-up, trace and autoscaler; costs as multiples of the oracle's.

    Args:
        results: Of the tuned track.
        cells: Of the default track; its first seed is the tuned track's only one.
    """
    cells = cells.of_first_seed
    found: dict[tuple[str, str, str], list[Point]] = {}
    for run in results.runs:
        name, ratio = run.policy.split("@")
        oracle = cells.of(run.profile, run.trace, ORACLE).replica_hours
        point = Point(run.replica_hours / oracle, run.violation_ratio, RATIOS.index(float(ratio)))
        found.setdefault((run.profile, run.trace, name), []).append(point)
    return found


def at_budgets(results: Results, cells: Cells) -> Table:
    """Return who costs what at the same lateness: on traces where all can keep the budget.

    The last row of a start-up is the mean over all budgets between the strictest and the loosest.
    """
    points = frontiers(results, cells)
    cost_of: dict[str, Callable[[list[Point]], float]] = {
        f"{budget:.1%}": partial(cost_at, budget=budget) for budget in BUDGETS
    }
    lowest, highest = min(BUDGETS), max(BUDGETS)
    cost_of[f"{lowest:.1%} to {highest:.1%}"] = partial(mean_cost, lowest=lowest, highest=highest)
    rows = []
    for profile in cells.profiles:
        for budget, cost in cost_of.items():
            costs = {
                name: [cost(points[profile, trace, name]) for trace in cells.traces]
                for name in TUNED
            }
            common = [
                index
                for index in range(len(cells.traces))
                if all(costs[name][index] < float("inf") for name in TUNED)
            ]
            row = [profile, budget, str(len(common))]
            for name in TUNED:
                feasible = sum(found < float("inf") for found in costs[name])
                mean = geometric_mean([costs[name][index] for index in common])
                row.append(f"{mean:.2f} ({feasible})")
            rows.append(tuple(row))
    return Table(
        title="Cost at the same lateness",
        header=("start-up", "budget", "traces", *(TITLES[name] for name in TUNED)),
        rows=tuple(rows),
    )
