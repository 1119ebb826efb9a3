"""The runs: the parts of the benchmark, each a pure function of its name and variant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from simulations.benchmark.protocol import (
    AS_IS,
    DAY_SECONDS,
    LATE_RATIO,
    PROFILES,
    SCORED_DAYS,
    SEEDS,
    SENSITIVITY,
    SENSITIVITY_DAYS,
    SETS,
    SLOW_START,
    Prepared,
    Profile,
    Variant,
    cut,
    prepare,
)
from simulations.benchmark.result import Result, result_of
from simulations.engine.lane_totals import Totals
from simulations.engine.lanes import Group, Lane, run_lanes
from simulations.engine.view import LaneAutoscaler
from simulations.policies.apart import Apart
from simulations.policies.catalogue import BASELINES
from simulations.policies.oracle import Oracle
from simulations.policies.static import static
from simulations.sweep.executors import Executor
from simulations.workload.catalogue import TRACES, load_trace

ORACLE: Final = "oracle"
STATIC_PEAK: Final = "static-peak"
STATIC_PAST: Final = "static-past"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """All policies under one trace in one world.

    Attributes:
        trace: Name.
        variant: The world.
        seeds: Of start-up delays and counted arrivals.
        scored_days: At most.
        profiles: Start-ups.
    """

    trace: str
    variant: Variant = AS_IS
    seeds: int = SEEDS
    scored_days: float = SCORED_DAYS
    profiles: tuple[Profile, ...] = PROFILES

    @property
    def weight(self) -> float:
        """About how long it takes, in scored days."""
        trace, learned = cut(load_trace(self.trace))
        days = (len(trace.values) - learned) * trace.step_seconds / DAY_SECONDS
        return min(days, self.scored_days)


class _Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What sets a lane of every group apart."""

    profile: Profile
    seed: int
    variant: Variant


def parts_of(traces: Sequence[str] = tuple(TRACES)) -> list[Part]:
    """Return the parts of the benchmark, the longest first."""
    parts = [Part(trace=trace) for trace in traces]
    parts += [
        Part(trace=trace, variant=variant, seeds=1, scored_days=SENSITIVITY_DAYS)
        for trace in traces
        for variant in SENSITIVITY
    ]
    return sorted(parts, key=lambda part: -part.weight)


def set_parts(traces: Sequence[str]) -> list[Part]:
    """Return the parts of the other sizes and services: a day of each, slow start-up, one seed."""
    slow = tuple(profile for profile in PROFILES if profile.name == "slow")
    parts = [
        Part(trace=trace, variant=variant, seeds=1, scored_days=SENSITIVITY_DAYS, profiles=slow)
        for trace in traces
        for variant in SETS
    ]
    return sorted(parts, key=lambda part: -part.weight)


def run_part(part: Part) -> list[Result]:
    """Run all policies of a part side by side."""
    prepared = prepare(part.trace, part.variant, scored_days=part.scored_days, seeds=part.seeds)
    kinds = [
        _Kind(profile=profile, seed=seed, variant=part.variant)
        for profile in part.profiles
        for seed in range(part.seeds)
    ]
    if part.variant == AS_IS:
        kinds += [_Kind(profile=profile, seed=0, variant=SLOW_START) for profile in part.profiles]
    replicas = starting_replicas(prepared)
    lanes = [
        Lane(
            replicas=replicas,
            seed=kind.seed,
            start_up=kind.profile.start_up(kind.variant.start_up_ratio),
            draw=kind.seed,
        )
        for kind in kinds
    ]
    autoscalers = autoscalers_of(
        prepared,
        [kind.profile.horizon(kind.variant.start_up_ratio) for kind in kinds],
        draws=[kind.seed for kind in kinds],
    )
    totals = side_by_side(part, prepared, autoscalers, lanes)
    return [
        result_of(
            group,
            lane,
            trace=part.trace,
            profile=kind.profile.name,
            policy=group.name,
            seed=kind.seed,
            variant=kind.variant.name,
        )
        for group in totals
        for lane, kind in enumerate(kinds)
    ]


def side_by_side(
    part: Part,
    prepared: Prepared,
    autoscalers: Mapping[str, LaneAutoscaler],
    lanes: Sequence[Lane],
) -> list[Totals]:
    """Run autoscalers under the load of a part, each on the same lanes."""
    return run_lanes(
        [Group(name=name, autoscaler=made, lanes=lanes) for name, made in autoscalers.items()],
        prepared.load,
        part.variant.plant,
        prepared.signals,
        seed=0,
        lateness=prepared.table,
        score_from_step=prepared.run_in_steps,
        further_counts=prepared.further_counts,
    )


def starting_replicas(prepared: Prepared) -> int:
    """Return what serves the load at the beginning of a run."""
    first_rate = prepared.load.expected[:1] / prepared.load.step_seconds
    needed = int(prepared.replicas_for(first_rate)[0])
    facts = prepared.variant.facts
    return min(max(needed, facts.minimum), facts.maximum)


def autoscalers_of(
    prepared: Prepared, horizons: Sequence[float], *, draws: Sequence[int] = ()
) -> dict[str, LaneAutoscaler]:
    """Return all autoscalers by name, the oracle first.

    Args:
        prepared: What they meet.
        horizons: How far ahead the oracle looks in each lane, seconds.
        draws: Which counted arrivals each lane sees; empty = all the first ones.
    """
    load, facts = prepared.load, prepared.variant.facts
    # Who plans knows the service as it should be, as everybody does who is told the facts.
    told = prepared.variant.known_table
    peaks = np.array([prepared.peak_after, prepared.peak_before])
    after, before = told.replicas_for(peaks, LATE_RATIO).astype(int).tolist()
    made: dict[str, LaneAutoscaler] = {
        ORACLE: Oracle(load, prepared.replicas_for, horizons, facts),
        STATIC_PEAK: static(after, facts),
        STATIC_PAST: static(before, facts),
    }
    for name, entry in BASELINES.items():
        if entry.learns and any(draws):
            made[name] = Apart([entry.make(facts, past) for past in prepared.pasts], draws)
        else:
            made[name] = entry.make(facts, prepared.past)
    return made


def run_parts(
    parts: Sequence[Part],
    executor: Executor,
    done: Callable[[Part], None] | None = None,
    *,
    function: Callable[[Part], list[Result]] = run_part,
) -> Iterator[Result]:
    """Run parts where the executor says; yield results in the order of the parts.

    Args:
        parts: To run.
        executor: Where.
        done: Told about every finished part.
        function: Runs one.
    """
    for part, results in zip(parts, executor.map(function, parts), strict=True):
        if done is not None:
            done(part)
        yield from results
