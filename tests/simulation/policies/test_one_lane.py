"""Every baseline does in exact replay what it does among other lanes of the kernel."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from simulations.benchmark.protocol import AS_IS, FACTS, PROFILES, part_of, prepare
from simulations.benchmark.run import autoscalers_of
from simulations.engine.exact import TierSpec, replay
from simulations.engine.lanes import Group, Lane, run_lanes
from simulations.policies.catalogue import BASELINES
from simulations.policies.one_lane import OneLane

STEPS = 1440
LANES = [
    Lane(replicas=replicas, seed=seed, start_up=profile.start_up(), draw=draw)
    for replicas, seed, profile, draw in (
        (6, 3, PROFILES[1], 0),
        (20, 4, PROFILES[0], 2),
        (9, 5, PROFILES[2], 1),
        (9, 5, PROFILES[2], 2),
    )
]


@pytest.fixture(scope="module")
def prepared():
    """Return a bursty trace, its arrivals counted three times."""
    return prepare("elb", seeds=3)


@pytest.mark.parametrize("name", BASELINES)
def test_baseline_is_the_same_alone_and_among_lanes(prepared, name):
    """Replicas of two hours are equal after every step, for four starts and three draws."""
    part = slice(720, 720 + STEPS)
    load = part_of(prepared.load, part.start, part.stop)
    counts = [load.counted, *(counted[part] for counted in prepared.further_counts)]
    makers = autoscalers_of(prepared, [0.0] * len(LANES), draws=[lane.draw for lane in LANES])
    replicas = np.zeros((STEPS, len(LANES)))

    def watch(step, tier):
        replicas[step] = tier.replicas

    run_lanes(
        [Group(name=name, autoscaler=makers[name], lanes=LANES)],
        load,
        AS_IS.plant,
        prepared.signals,
        seed=0,
        lateness=prepared.table,
        further_counts=counts[1:],
        watcher=watch,
    )
    for column, lane in enumerate(LANES):
        plant = AS_IS.plant
        spec = TierSpec(
            name="web",
            plant=type(plant)(service=plant.service, start_up=lane.start_up, waiting=plant.waiting),
            autoscaler=OneLane(BASELINES[name].make(FACTS, prepared.pasts[lane.draw])),
            signals=prepared.signals,
            replicas=lane.replicas,
        )
        seen = replace(load, counted=counts[lane.draw])
        run = replay([spec], seen, seed=lane.seed)["web"]
        np.testing.assert_array_equal(replicas[:, column], run.replicas)
    assert len(np.unique(replicas)) > 3
