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
from simulations.score.score import cost_per_step, late_per_step
from simulations.sweep.executors import Executor
from simulations.workload.load import Load, load_of
from simulations.workload.trace import Trace

Floats = NDArray[np.float64]

LANES_PER_PART: Final = 1024
DAY_SECONDS: Final = 86_400.0
SPANS_MIN: Final = 4
"""Into at least so many spans is a load divided, however short."""

BURSTS_EVERY_SECONDS: Final = 10_800.0
BURST_SECONDS: Final = (1_800.0, 2_100.0, 2_700.0, 3_000.0)
BURST_SHAPE: Final = (0.0, 1.0, 1.0, 0.0)
BURST_RATIO: Final = 0.6
"""Every three hours load rises by 60 % within five minutes, stays for ten and falls in five."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Where candidates are tried.

    Attributes:
        tier: The tier under test.
        trace: What arrives.
        step_seconds: Of virtual time.
        seeds: Every candidate runs once per seed.
        score_from_seconds: Warm-up.
        rehearses: The last span comes once more at the end, with bursts.
    """

    tier: TierModel
    trace: Trace
    step_seconds: float
    seeds: tuple[int, ...] = (0,)
    score_from_seconds: float = 0.0
    rehearses: bool = False

    @property
    def from_step(self) -> int:
        """Steps before it are warm-up."""
        return round(self.score_from_seconds / self.step_seconds)

    @property
    def spans(self) -> int:
        """Number of spans that the load is divided into, each of about a day."""
        return max(SPANS_MIN, round(self.trace.duration_seconds / DAY_SECONDS))

    def load(self, seed: int) -> Load:
        """Return the load of one run."""
        load = load_of(self.trace, step_seconds=self.step_seconds, seed=seed)
        return rehearsal(load, self.from_step, self.spans, seed=seed) if self.rehearses else load


def rehearsal(load: Load, from_step: int, spans: int, *, seed: int) -> Load:
    """Return a load in whole spans, and the last of them once more with bursts.

    Days to come may bring bursts that the days searched have not: a policy that has never met one
    is as cheap as it is fragile.

    Args:
        load: Of the days searched.
        from_step: Where its first span begins.
        spans: In it.
        seed: Of the counted arrivals in the bursts.
    """
    length = (load.steps - from_step) // spans
    end = from_step + spans * length
    at = np.arange(length) * load.step_seconds % BURSTS_EVERY_SECONDS
    shape = np.interp(at, BURST_SECONDS, BURST_SHAPE, left=0.0, right=0.0)
    expected = load.expected[end - length : end] * (1.0 + BURST_RATIO * shape)
    random = np.random.default_rng([seed, 0x5245])
    return msgspec.structs.replace(
        load,
        expected=np.concatenate([load.expected[:end], expected]),
        counted=np.concatenate([load.counted[:end], random.poisson(expected)]),
        known=np.concatenate([load.known[:end], load.known[end - length : end]]),
    )


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """What candidates did, the mean over the seeds.

    Attributes:
        cost: Of each candidate.
        late: Late requests ``[spans, candidates]``.
        requests: Of each span.
        rehearsed: Late requests of each candidate in the rehearsal; 0 without one.
    """

    cost: Floats
    late: Floats
    requests: Floats
    rehearsed: Floats

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
        rehearsed=np.concatenate([one.rehearsed for one in outcomes]),
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
        rehearsed=np.mean([one.rehearsed for one in outcomes], axis=0),
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
    spans = world.spans + world.rehearses
    length = -(-(load.steps - world.from_step) // spans)
    begins = np.arange(world.from_step, load.steps, length)
    cost, late = np.zeros((2, len(begins), len(decided)))
    by_tick: dict[float, list[int]] = {}
    for index, one in enumerate(decided):
        if lane_tier.unsupported(plant) or unsupported(one):
            run = replayed(world, one, load, part.seed)
            cost[:, index] = np.add.reduceat(cost_per_step(run), begins)
            late[:, index] = np.add.reduceat(late_per_step(run, table), begins)
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
            day_seconds=length * world.step_seconds,
        )
        for indices, total in zip(by_tick.values(), totals, strict=True):
            cost[:, indices] = total.day_replica_seconds / 3600 * plant.prices.replica_hour
            late[:, indices] = total.day_late
    requests = np.add.reduceat(np.where(load.known, load.expected, 0.0), begins)
    days = len(begins) - world.rehearses
    return Outcomes(
        cost=cost[:days].sum(axis=0),
        late=late[:days],
        requests=requests[:days],
        rehearsed=late[days:].sum(axis=0),
    )
