"""Cost and late requests of many candidate objects at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

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
from simulations.score.score import late_per_step, score
from simulations.sweep.executors import Executor
from simulations.workload.load import Load, load_of
from simulations.workload.trace import Trace

Floats = NDArray[np.float64]

LANES_PER_PART: Final = 1024
DAY_SECONDS: Final = 86_400.0
SPANS_MIN: Final = 4
"""Into at least so many spans is a load divided, however short."""


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

    def span_steps(self, steps: int) -> int:
        """Return the length of the spans that a load is divided into: about a day, all alike.

        Args:
            steps: Of the load.
        """
        spans = max(SPANS_MIN, round(self.trace.duration_seconds / DAY_SECONDS))
        return -(-(steps - self.from_step) // spans)


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """What candidates did, the mean over the seeds.

    Attributes:
        cost: Of each candidate.
        late: Late requests ``[spans, candidates]``.
        requests: Of each span.
    """

    cost: Floats
    late: Floats
    requests: Floats

    @property
    def violation_ratio(self) -> Floats:
        """Share of late requests of each candidate."""
        ratio: Floats = self.late.sum(axis=0) / max(self.requests.sum(), 1e-12)
        return ratio

    def points(self) -> list[Point]:
        """Return the candidates by their two prices."""
        pairs = zip(self.cost.tolist(), self.violation_ratio.tolist(), strict=True)
        return [Point(cost, ratio, index) for index, (cost, ratio) in enumerate(pairs)]


def joined(outcomes: Sequence[Outcomes]) -> Outcomes:
    """Return the outcomes of further candidates in the same world behind one another."""
    return Outcomes(
        cost=np.concatenate([one.cost for one in outcomes]),
        late=np.concatenate([one.late for one in outcomes], axis=1),
        requests=outcomes[0].requests,
    )


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
) -> Outcomes:
    """Return what each manifest does.

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
    found: list[Outcomes] = []
    for result in executor.map(_run, parts):
        found.append(result)
        if progress is not None:
            progress(len(found), len(parts))
    each = len(world.seeds)
    return joined([_mean(found[begin : begin + each]) for begin in range(0, len(found), each)])


def _mean(outcomes: Sequence[Outcomes]) -> Outcomes:
    return Outcomes(
        cost=np.mean([one.cost for one in outcomes], axis=0),
        late=np.mean([one.late for one in outcomes], axis=0),
        requests=outcomes[0].requests,
    )


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


def _run(part: _Part) -> Outcomes:
    """Return what the manifests of a part do."""
    world = part.world
    load, plant = world.load(part.seed), plant_of(world.tier)
    decided = [decided_of(world, manifest) for manifest in part.manifests]
    table = LatenessTable(plant.service, plant.waiting, step_seconds=world.step_seconds)
    span_steps = world.span_steps(load.steps)
    begins = np.arange(world.from_step, load.steps, span_steps)
    known = np.where(load.known, load.expected, 0.0)
    result = Outcomes(
        cost=np.zeros(len(decided)),
        late=np.zeros((len(begins), len(decided))),
        requests=np.add.reduceat(known, begins),
    )
    by_tick: dict[float, list[int]] = {}
    for index, one in enumerate(decided):
        if lane_tier.unsupported(plant) or unsupported(one):
            run = replayed(world, one, load, part.seed)
            result.cost[index] = score(run, from_step=world.from_step, table=table).cost
            result.late[:, index] = np.add.reduceat(late_per_step(run, table), begins)
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
            score_from_step=world.from_step,
            day_seconds=span_steps * world.step_seconds,
        )
        for indices, total in zip(by_tick.values(), totals, strict=True):
            result.cost[indices] = total.replica_hours * plant.prices.replica_hour
            result.late[:, indices] = total.day_late
    return result
