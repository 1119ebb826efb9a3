"""Whether an autoscaler sees the future: two runs that differ only after an instant.

Up to the instant both loads are equal, afterwards they have nothing to do with one another. As long
as no signal can show the difference, decisions must be equal; one that is not has leaked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from simulations.engine.lanes import Group, Lane, run_lanes
from simulations.engine.view import LaneAutoscaler, Values
from simulations.plant.lane_tier import LaneTier
from simulations.plant.parameters import Plant, Signal
from simulations.workload.load import Load

Maker = Callable[[Load], LaneAutoscaler]
"""Makes an autoscaler for a run under a load; an honest one does not look at the load."""

SCRAMBLE_SEED = 11


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that the past does not explain.

    Attributes:
        step: When.
        wanted: Replicas of each lane, in the one run and in the other.
    """

    step: int
    wanted: tuple[tuple[float, ...], tuple[float, ...]]


def find_leaks(
    makers: Mapping[str, Maker],
    load: Load,
    plant: Plant,
    signals: Sequence[Signal],
    lanes: Sequence[Lane],
    *,
    at_step: int,
) -> dict[str, Leak]:
    """Return the first leak of each autoscaler that has one.

    Args:
        makers: By name.
        load: What arrives.
        plant: Of all lanes.
        signals: What the autoscalers see.
        lanes: Of each autoscaler.
        at_step: First step whose load differs.
    """
    until = unseen_until(signals, load.step_seconds, at_step)
    first = _decisions(makers, _cut(load, until + 1), plant, signals, lanes)
    second = _decisions(makers, _cut(scrambled(load, at_step), until + 1), plant, signals, lanes)
    leaks = {}
    for index, name in enumerate(makers):
        part = slice(index * len(lanes), (index + 1) * len(lanes))
        differs = np.flatnonzero((first[:, part] != second[:, part]).any(axis=1))
        if differs.size:
            step = int(differs[0])
            wanted = tuple(first[step, part].tolist()), tuple(second[step, part].tolist())
            leaks[name] = Leak(step=step, wanted=wanted)
    return leaks


def unseen_until(signals: Sequence[Signal], step_seconds: float, at_step: int) -> int:
    """Return the last step at which no signal can show the load of ``at_step``.

    The first measurement that holds it is made at its end, and can be read a lag later.
    """
    lag = min((signal.lag_seconds for signal in signals), default=0.0)
    return at_step + math.ceil(lag / step_seconds)


def scrambled(load: Load, at_step: int) -> Load:
    """Return a load that is something else from a step on: another level, other chance."""
    random = np.random.default_rng(SCRAMBLE_SEED)
    rest = load.steps - at_step
    expected = load.expected.copy()
    expected[at_step:] = 3.0 * expected[at_step:][::-1] + random.uniform(20.0, 400.0, rest)
    counted = load.counted.copy()
    counted[at_step:] = random.poisson(expected[at_step:])
    known = load.known.copy()
    known[at_step:] = True
    return msgspec.structs.replace(load, expected=expected, counted=counted, known=known)


def _cut(load: Load, steps: int) -> Load:
    return msgspec.structs.replace(
        load,
        expected=load.expected[:steps],
        counted=load.counted[:steps],
        known=load.known[:steps],
    )


def _decisions(
    makers: Mapping[str, Maker],
    load: Load,
    plant: Plant,
    signals: Sequence[Signal],
    lanes: Sequence[Lane],
) -> Values:
    """Return the replicas after every step, ``[steps, autoscalers x lanes]``."""
    groups = [Group(name=name, autoscaler=make(load), lanes=lanes) for name, make in makers.items()]
    decided = np.zeros((load.steps, len(groups) * len(lanes)))

    def watch(step: int, tier: LaneTier) -> None:
        decided[step] = tier.replicas

    run_lanes(groups, load, plant, signals, seed=0, lateness=None, watcher=watch)
    return decided
