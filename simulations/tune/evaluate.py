"""Cost and late requests of many candidate objects at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from simulations.engine.exact import TierSpec, replay
from simulations.engine.lanes import Group, Lane, run_lanes
from simulations.engine.run import Run
from simulations.plant import lane_tier
from simulations.plant.lateness import LatenessTable
from simulations.policies.decided import DecidedAutoscaler
from simulations.policies.objects import subject_of_object
from simulations.policies.vectorised.autoscaler import VectorisedAutoscaler
from simulations.policies.vectorised.parameters import unsupported
from simulations.scenario.candidates import triggers_of
from simulations.scenario.model import TierModel
from simulations.scenario.read import plant_of
from simulations.score.frontier import Point
from simulations.score.score import score
from simulations.sweep.executors import Executor
from simulations.workload.load import Load, load_of
from simulations.workload.trace import Trace

LANES_PER_PART: Final = 1024


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Where candidates are tried.

    Attributes:
        tier: The tier under test.
        trace: What arrives.
        step_seconds: Of virtual time.
        seeds: Every candidate runs once per seed.
        score_from_seconds: Warm-up.
    """

    tier: TierModel
    trace: Trace
    step_seconds: float
    seeds: tuple[int, ...] = (0,)
    score_from_seconds: float = 0.0

    @property
    def from_step(self) -> int:
        """Steps before it are warm-up."""
        return round(self.score_from_seconds / self.step_seconds)

    def load(self, seed: int) -> Load:
        """Return the load of one run."""
        return load_of(self.trace, step_seconds=self.step_seconds, seed=seed)


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    world: World
    manifests: tuple[dict[str, Any], ...]
    seed: int


def evaluate(
    world: World,
    manifests: Sequence[dict[str, Any]],
    executor: Executor,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[Point]:
    """Return cost and violation ratio of each manifest, the mean over the seeds.

    The kernel runs what it can, exact replay the rest; both give the same numbers.

    Args:
        world: Where to run them.
        manifests: ScaledObjects.
        executor: Where the parts run.
        progress: Told after each part.
    """
    chunks = [
        tuple(manifests[begin : begin + LANES_PER_PART])
        for begin in range(0, len(manifests), LANES_PER_PART)
    ]
    parts = [
        _Part(world=world, manifests=chunk, seed=seed) for chunk in chunks for seed in world.seeds
    ]
    found = []
    for result in executor.map(_run, parts):
        found.append(result)
        if progress is not None:
            progress(len(found), len(parts))
    each = len(world.seeds)
    means = [np.mean(found[begin : begin + each], axis=0) for begin in range(0, len(found), each)]
    return [
        Point(float(cost), float(ratio), index)
        for index, (cost, ratio) in enumerate(np.concatenate(means))
    ]


def decided_of(world: World, manifest: dict[str, Any]) -> DecidedAutoscaler:
    """Return what decides a manifest in the world."""
    model = world.tier.autoscaler
    triggers = triggers_of(manifest, model)
    subject = subject_of_object(manifest, triggers, world.tier.signals, controller=model.controller)
    return subject.autoscaler()


def replayed(world: World, decided: DecidedAutoscaler, load: Load, seed: int) -> Run:
    """Return an exact run of the tier under test."""
    spec = TierSpec(
        name=world.tier.name,
        plant=plant_of(world.tier),
        autoscaler=decided,
        signals=world.tier.signals,
        replicas=world.tier.replicas,
    )
    return replay([spec], load, seed=seed)[world.tier.name]


def _run(part: _Part) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return cost and violation ratio per manifest."""
    world = part.world
    load, from_step = world.load(part.seed), world.from_step
    plant = plant_of(world.tier)
    table = LatenessTable(plant.service, plant.waiting, step_seconds=world.step_seconds)
    decided = [decided_of(world, manifest) for manifest in part.manifests]
    result = np.zeros((len(decided), 2))
    by_tick: dict[float, list[int]] = {}
    for index, one in enumerate(decided):
        if lane_tier.unsupported(plant) or unsupported(one):
            run = replayed(world, one, load, part.seed)
            scored = score(run, from_step=from_step, table=table)
            result[index] = scored.cost, scored.violation_ratio
        else:
            by_tick.setdefault(one.tick_seconds, []).append(index)
    if by_tick:
        lane = Lane(replicas=world.tier.replicas, seed=part.seed)
        groups = [
            Group(
                name=f"{tick:g} s",
                autoscaler=VectorisedAutoscaler([decided[index] for index in indices]),
                lanes=[lane] * len(indices),
            )
            for tick, indices in by_tick.items()
        ]
        totals = run_lanes(
            groups,
            load,
            plant,
            world.tier.signals,
            seed=part.seed,
            lateness=table,
            score_from_step=from_step,
        )
        for indices, total in zip(by_tick.values(), totals, strict=True):
            result[indices, 0] = total.replica_hours * plant.prices.replica_hour
            result[indices, 1] = total.violation_ratio
    return result
