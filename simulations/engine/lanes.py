"""The sweep kernel: many runs under one load at once, in NumPy.

It does what :mod:`simulations.engine.exact` does, step by step and to the last bit, for plants that
need no more than :func:`simulations.plant.lane_tier.unsupported` allows; a differential test holds
the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulations.engine.exact import DELAYS, tick_steps
from simulations.engine.lane_signals import LaneSignal
from simulations.engine.lane_totals import DAY_SECONDS, Ledger, Totals
from simulations.engine.signals import Scrapes
from simulations.engine.view import LaneAutoscaler, LaneView, Values
from simulations.errors import SimulationError
from simulations.plant.delays import start_up_delays_ms
from simulations.plant.lane_tier import LaneTier, unsupported
from simulations.plant.lateness import LatenessTable
from simulations.plant.parameters import Plant, Signal, SignalKind, StartUp
from simulations.workload.load import Counts, Load


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        replicas: Serving at the beginning.
        seed: Of its start-up delays.
        start_up: The plant's when None.
        draw: Which counted arrivals its metrics see: 0 = the load's own, n = the n-th further ones.
    """

    replicas: int
    seed: int
    start_up: StartUp | None = None
    draw: int = 0


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Lanes that one autoscaler decides for."""

    name: str
    autoscaler: LaneAutoscaler
    lanes: Sequence[Lane]


Watcher = Callable[[int, LaneTier], None]
"""Called after every step with its number and the state; for tests and reports."""


def run_lanes(
    groups: Sequence[Group],
    load: Load,
    plant: Plant,
    signals: Sequence[Signal],
    *,
    seed: int,
    lateness: LatenessTable | None,
    score_from_step: int = 0,
    day_seconds: float = DAY_SECONDS,
    further_counts: Sequence[Counts] = (),
    watcher: Watcher | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Totals]:
    """Run all lanes of all groups under one load.

    Args:
        groups: Autoscalers and their lanes.
        load: The same for all.
        plant: The same for all but for the lanes' own start-up.
        signals: What the autoscalers can see.
        seed: Of failing scrapes, as in exact replay.
        lateness: Of the plant; None = nobody asks who is late.
        score_from_step: Steps before it are warm-up.
        day_seconds: Length of what the totals take for a day.
        further_counts: Other draws of the load's counted arrivals. What is expected, and so what
            queues, is the same for all.
        watcher: Sees every step.
        progress: Told about once per hundredth.

    Returns:
        The totals of each group, in order.

    Raises:
        SimulationError: The plant needs exact replay, times do not fit the step, or no step is
            scored.
    """
    _check(plant, load, score_from_step)
    run = _LaneRun(groups, load, plant, signals, seed=seed, further_counts=further_counts)
    ledger = Ledger(
        plant,
        lateness,
        lanes=len(run.tier.serving),
        step_seconds=load.step_seconds,
        day_seconds=day_seconds,
    )
    expected, known = load.expected.tolist(), load.known.tolist()
    limits = _limits(load, plant)
    told_every = max(1, load.steps // 100)
    for step in range(load.steps):
        if step == score_from_step:
            ledger.start(run.tier)
        run.begin(step, ledger.changes if step >= score_from_step else None)
        is_scored = step >= score_from_step
        if is_scored:
            ledger.before(run.tier)
        run.serve(expected[step], limits[step])
        ledger.follow(run.tier, expected[step])
        if is_scored:
            ledger.after(run.tier, expected[step], known=known[step])
        if watcher is not None:
            watcher(step, run.tier)
        if progress is not None and step % told_every == 0:
            progress(step, load.steps)
    if progress is not None:
        progress(load.steps, load.steps)
    return [
        ledger.totals(run.tier, group.name, lanes)
        for group, lanes in zip(groups, run.slices, strict=True)
    ]


def _check(plant: Plant, load: Load, score_from_step: int) -> None:
    """Raise SimulationError when a run is not for the kernel, or nothing of it would be scored."""
    reason = unsupported(plant)
    if reason:
        raise SimulationError(f"the kernel has no {reason}; use exact replay")
    if not 0 <= score_from_step < load.steps:
        raise SimulationError(
            f"score_from_step is {score_from_step}; the load has steps 0 to {load.steps - 1}"
        )


class _LaneRun:
    """All lanes on their way through a run."""

    def __init__(
        self,
        groups: Sequence[Group],
        load: Load,
        plant: Plant,
        signals: Sequence[Signal],
        *,
        seed: int,
        further_counts: Sequence[Counts],
    ) -> None:
        self._step_ms = step_ms = round(load.step_seconds * 1000)
        self._start_at = load.start_at
        self.tier = _tier(groups, plant, step_ms)
        self._scrapes = [
            Scrapes(
                signal,
                step_ms=step_ms,
                duration_ms=load.steps * step_ms,
                seed=seed,
                known=load.known,
                outages=plant.faults.metric_outages,
            )
            for signal in signals
        ]
        # Sums in the order exact replay adds them.
        arrived = [
            np.cumsum(np.concatenate([[0.0], counted.astype(np.float64)])).tolist()
            for counted in (load.counted, *further_counts)
        ]
        draws = _draws(groups, len(arrived))
        self._signals = [
            LaneSignal(signal, scrapes, arrived, step_ms, draws=draws)
            for signal, scrapes in zip(signals, self._scrapes, strict=True)
        ]
        self._of_plant = [s for s in self._signals if s.kind is not SignalKind.REQUEST_RATE]
        self._sums = any(s.kind is SignalKind.UTILIZATION for s in self._signals)
        self._worked = np.zeros(len(self.tier.serving))
        self._capacity = np.zeros(len(self.tier.serving))
        self.slices: list[slice] = []
        self._ticks: list[tuple[int, LaneAutoscaler, slice]] = []
        begin = 0
        for group in groups:
            lanes = slice(begin, begin + len(group.lanes))
            begin = lanes.stop
            group.autoscaler.start(len(group.lanes))
            ticks = tick_steps(group.autoscaler.tick_seconds, load.step_seconds)
            self._ticks.append((ticks, group.autoscaler, lanes))
            self.slices.append(lanes)

    def begin(self, step: int, changes: Values | None) -> None:
        """Let pods serve and autoscalers decide; count their changes if that is wanted."""
        tier = self.tier
        for signal in self._of_plant:
            signal.keep(step, tier, self._worked, self._capacity)
        tier.begin(step)
        values = None
        for ticks, autoscaler, lanes in self._ticks:
            if step % ticks:
                continue
            at_ms = step * self._step_ms
            if values is None:
                values = {signal.name: signal.read(at_ms) for signal in self._signals}
            view = LaneView(
                at_ms,
                self._start_at + at_ms / 1000,
                tier.replicas[lanes],
                tier.serving[lanes],
                {
                    name: value if isinstance(value, float) else value[lanes]
                    for name, (value, _) in values.items()
                },
                {name: measured_ms for name, (_, measured_ms) in values.items()},
            )
            wanted = autoscaler.decide(view)
            changed = np.flatnonzero(wanted != view.replicas)
            if changed.size:
                where = changed + lanes.start
                tier.scale(step, where, wanted[changed])
                if changes is not None:
                    changes[where] += 1

    def serve(self, arrivals: float, limit: float) -> None:
        """Serve a step."""
        self.tier.serve(arrivals, limit)
        if self._sums:
            self._worked += self.tier.worked
            self._capacity += self.tier.capacity


def _tier(groups: Sequence[Group], plant: Plant, step_ms: int) -> LaneTier:
    rows: dict[tuple[int, StartUp], int] = {}
    row_of_lane, replicas = [], []
    for group in groups:
        for lane in group.lanes:
            key = lane.seed, lane.start_up or plant.start_up
            row_of_lane.append(rows.setdefault(key, len(rows)))
            replicas.append(float(lane.replicas))
    delays_ms = np.array(
        [start_up_delays_ms(start_up, seed=seed, count=DELAYS) for seed, start_up in rows]
    )
    return LaneTier(
        plant, delays_ms, np.array(row_of_lane), step_ms=step_ms, replicas=np.array(replicas)
    )


def _draws(groups: Sequence[Group], known: int) -> NDArray[np.int64] | None:
    """Return the draw of the arrivals that each lane has, None = all have the first."""
    draws = np.array([lane.draw for group in groups for lane in group.lanes], dtype=np.int64)
    if draws.size and not 0 <= draws.min() <= draws.max() < known:
        raise SimulationError(f"draw is {draws.max()}; there are draws 0 to {known - 1}")
    return draws if draws.any() else None


def _limits(load: Load, plant: Plant) -> list[float]:
    """Return the most requests that may wait after each step (see :meth:`Tier.serve`)."""
    steps = max(1, round(plant.waiting.timeout_seconds / load.step_seconds))
    offered = np.cumsum(np.concatenate([[0.0], load.expected]))
    since = np.maximum(0, np.arange(1, load.steps + 1) - steps)
    young = offered[1:] - offered[since]
    limits: list[float] = np.minimum(young, plant.waiting.buffer_requests).tolist()
    return limits
