"""Exact replay: tiers in plain floats under the decision code of the live service, unchanged.

One pass over the steps. In each, tier by tier from the outermost inwards: pods whose start-up is
over begin to serve; the autoscaler decides if it is due, seeing only what the metric-lag model
shows of the steps before; the queue is served. What a tier serves arrives at the tiers behind it in
the same step.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import numpy as np

from simulations.engine.run import Change, Run
from simulations.engine.signals import History, Recorded, RecordedTap, Scrapes, SignalTap
from simulations.engine.view import Autoscaler, View
from simulations.errors import SimulationError
from simulations.plant.delays import start_up_delays_ms
from simulations.plant.nodes import NodePool
from simulations.plant.parameters import Delay, Plant, Signal, StartUp
from simulations.plant.tier import Tier
from simulations.workload.load import Load

DELAYS = 4096
"""Different start-up delays per run; more pods than that start over with the first."""

TIER_SEEDS = 1_000_003
"""Between the seeds of two tiers; the first one takes the run's own."""

Progress = Callable[[int, int], None]
"""Called with the step and the number of steps, now and then."""


class TierSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A tier and who scales it.

    Attributes:
        name: Unique.
        plant: Parameters.
        autoscaler: Decides its replicas.
        signals: What the autoscaler can see.
        recorded: Signals that were recorded and do not depend on the run, by name.
        replicas: Serving at the beginning.
        upstream: Tiers whose served requests arrive here, and how many requests here each of one
            makes; empty = the load does.
        starts_at_once: New pods serve in the step of their decision, whatever the plant says: their
            start-up is not known, or lies behind them, as with the ready ones of a record.
    """

    name: str
    plant: Plant
    autoscaler: Autoscaler
    signals: Sequence[Signal]
    replicas: int
    upstream: Mapping[str, float] = {}
    recorded: Mapping[str, Recorded] = {}
    starts_at_once: bool = False


def replay(
    tiers: Sequence[TierSpec], load: Load, *, seed: int, progress: Progress | None = None
) -> dict[str, Run]:
    """Run tiers under a load.

    Args:
        tiers: Each after those upstream.
        load: What arrives at tiers without upstream.
        seed: Of start-up delays, failing scrapes and faults.
        progress: Told about once per hundredth.

    Returns:
        The run of each tier, by name.

    Raises:
        SimulationError: Tiers are not in order, or times do not fit the step.
    """
    check_order(tiers)
    running = {
        spec.name: _Running(spec, load, seed=seed + index * TIER_SEEDS)
        for index, spec in enumerate(tiers)
    }
    expected, counted = load.expected.tolist(), load.counted.tolist()
    told_every = max(1, load.steps // 100)
    for step in range(load.steps):
        for tier in running.values():
            if tier.spec.upstream:
                arrivals = arrived = sum(
                    running[name].served[step] * requests
                    for name, requests in tier.spec.upstream.items()
                )
            else:
                arrivals, arrived = expected[step], float(counted[step])
            tier.advance(step, arrivals, arrived)
        if progress is not None and step % told_every == 0:
            progress(step, load.steps)
    if progress is not None:
        progress(load.steps, load.steps)
    return {name: tier.run(load) for name, tier in running.items()}


def check_order(tiers: Sequence[TierSpec]) -> None:
    """Raise SimulationError unless names are unique and every tier comes after those upstream."""
    seen: set[str] = set()
    for spec in tiers:
        if spec.name in seen:
            raise SimulationError(f"two tiers are called {spec.name}")
        for name in spec.upstream:
            if name not in seen:
                raise SimulationError(f"tier {spec.name}: upstream {name} is not a tier before it")
        seen.add(spec.name)


class _Running:
    """A tier on its way through a run."""

    def __init__(self, spec: TierSpec, load: Load, *, seed: int) -> None:
        step_ms = round(load.step_seconds * 1000)
        plant = spec.plant
        self.spec = spec
        self._step_ms = step_ms
        self._start_at = load.start_at
        delays_ms = start_up_delays_ms(plant.start_up, seed=seed, count=DELAYS).tolist()
        self._tier = Tier(plant, delays_ms, step_ms=step_ms, replicas=spec.replicas)
        self._replicas = spec.replicas
        self._pool = _pool(spec, seed)
        self._history = History()
        self._taps: dict[str, SignalTap | RecordedTap] = {
            name: RecordedTap(recorded, load.start_at) for name, recorded in spec.recorded.items()
        }
        self._taps |= {
            signal.name: SignalTap(
                signal,
                Scrapes(
                    signal,
                    step_ms=step_ms,
                    duration_ms=load.steps * step_ms,
                    seed=seed,
                    known=load.known,
                    outages=plant.faults.metric_outages,
                ),
                self._history,
                step_ms,
            )
            for signal in spec.signals
        }
        self._tick_steps = tick_steps(spec.autoscaler.tick_seconds, load.step_seconds)
        self._timeout_steps = max(1, round(plant.waiting.timeout_seconds / load.step_seconds))
        self._offered = [0.0]
        self._retries = 0.0
        self._random = np.random.default_rng([seed, 0x4641])
        self.served: list[float] = []
        self._columns: dict[str, list[float]] = {
            name: [] for name in ("arrivals", "retries", "capacity", "dropped", "backlog")
        }
        self._counts: dict[str, list[int]] = {
            name: [] for name in ("replicas", "serving", "pods", "nodes", "drained", "created")
        }
        self._changes: list[Change] = []
        self._decisions = 0

    def advance(self, step: int, arrivals: float, arrived: float) -> None:
        """Do one step.

        Args:
            step: Which.
            arrivals: Expected.
            arrived: As counted.
        """
        tier = self._tier
        drained, created = tier.drained, tier.created
        tier.begin(step)
        self._crash(step)
        if step % self._tick_steps == 0:
            self._decide(step)
        if self._pool is not None:
            self._pool.remove_idle(step * self._step_ms)
        self._serve(arrivals + self._retries, arrived + self._retries)
        counts = self._counts
        counts["replicas"].append(self._replicas)
        counts["serving"].append(tier.serving)
        counts["pods"].append(tier.serving + len(tier.starting))
        counts["nodes"].append(0 if self._pool is None else self._pool.count)
        counts["drained"].append(tier.drained - drained)
        counts["created"].append(tier.created - created)

    def _serve(self, arrivals: float, arrived: float) -> None:
        offered, waiting = self._offered, self.spec.plant.waiting
        offered.append(offered[-1] + arrivals)
        young = offered[-1] - offered[max(0, len(offered) - 1 - self._timeout_steps)]
        self._columns["retries"].append(self._retries)
        outcome = self._tier.serve(arrivals, min(young, waiting.buffer_requests))
        self._retries = outcome.dropped * waiting.retry_ratio
        history = self._history
        history.arrived.append(history.arrived[-1] + arrived)
        history.worked.append(history.worked[-1] + outcome.worked)
        history.capacity.append(history.capacity[-1] + outcome.capacity)
        history.backlog.append(self._tier.backlog)
        history.in_service.append(outcome.in_service)
        columns = self._columns
        columns["arrivals"].append(arrivals)
        columns["capacity"].append(outcome.capacity)
        self.served.append(outcome.served)
        columns["dropped"].append(outcome.dropped)
        columns["backlog"].append(self._tier.backlog)

    def _decide(self, step: int) -> None:
        at_ms = step * self._step_ms
        at = self._start_at + at_ms / 1000
        autoscaler, before = self.spec.autoscaler, self._replicas
        view = View(
            at_ms,
            at,
            before,
            self._tier.serving,
            {name: tap.read(at_ms) for name, tap in self._taps.items()},
        )
        wanted = autoscaler.decide(view)
        self._decisions += 1
        if wanted == before:
            return
        succeeded = not any(
            begin * 1000 <= at_ms < end * 1000
            for begin, end in self.spec.plant.faults.scale_outages
        )
        autoscaler.applied(at, succeeded=succeeded)
        why = getattr(autoscaler, "why", "")
        self._changes.append(Change(step, before, wanted, succeeded, why))
        if succeeded:
            self._replicas = wanted
            self._scale(step, wanted)

    def _scale(self, step: int, replicas: int) -> None:
        tier, pool = self._tier, self._pool
        if pool is None:
            tier.scale(step, replicas)
            if self.spec.starts_at_once:
                tier.starting[:] = [step] * len(tier.starting)
                tier.begin(step)
            return
        now_ms = step * self._step_ms
        replicas = min(replicas, pool.room)
        change = replicas - tier.replicas
        waits_ms = pool.place(now_ms, max(0, change))
        pool.release(now_ms, max(0, -change))
        tier.scale(step, replicas, wait_ms=waits_ms)

    def _crash(self, step: int) -> None:
        rate = self.spec.plant.faults.crashes_per_pod_hour
        if rate > 0 and self._tier.serving:
            risk = -math.expm1(-rate * self._step_ms / 3_600_000)
            pods = int(self._random.binomial(self._tier.serving, risk))
            if pods:
                self._tier.crash(step, pods)

    def run(self, load: Load) -> Run:
        """Return what has happened."""
        columns, counts = self._columns, self._counts
        return Run(
            name=self.spec.name,
            plant=self.spec.plant,
            start_at=load.start_at,
            step_seconds=load.step_seconds,
            known=load.known,
            arrivals=np.array(columns["arrivals"]),
            retries=np.array(columns["retries"]),
            capacity=np.array(columns["capacity"]),
            served=np.array(self.served),
            dropped=np.array(columns["dropped"]),
            backlog=np.array(columns["backlog"]),
            replicas=np.array(counts["replicas"], dtype=np.int64),
            serving=np.array(counts["serving"], dtype=np.int64),
            pods=np.array(counts["pods"], dtype=np.int64),
            nodes=np.array(counts["nodes"], dtype=np.int64),
            drained=np.array(counts["drained"], dtype=np.int64),
            created=np.array(counts["created"], dtype=np.int64),
            changes=tuple(self._changes),
            decisions=self._decisions,
        )


def tick_steps(tick_seconds: float, step_seconds: float) -> int:
    """Return how many steps a tick takes.

    Raises:
        SimulationError: It is not a whole number of steps.
    """
    steps = round(tick_seconds / step_seconds)
    if steps < 1 or not math.isclose(steps * step_seconds, tick_seconds):
        raise SimulationError(
            f"an autoscaler that decides every {tick_seconds:g} s does not fit steps of "
            f"{step_seconds:g} s; choose a step that divides it"
        )
    return steps


def _pool(spec: TierSpec, seed: int) -> NodePool | None:
    nodes = spec.plant.nodes
    if nodes is None:
        return None
    if spec.replicas > nodes.maximum * nodes.pods_per_node:
        raise SimulationError(
            f"tier {spec.name}: {spec.replicas} replicas do not fit on {nodes.maximum} nodes of "
            f"{nodes.pods_per_node} pods"
        )
    return NodePool(nodes, _provisioning_ms(nodes.provisioning, seed), pods=spec.replicas)


def _provisioning_ms(delay: Delay, seed: int) -> Iterator[int]:
    draws = start_up_delays_ms(StartUp(container=delay), seed=seed + 1, count=DELAYS)
    return itertools.cycle(draws.tolist())
