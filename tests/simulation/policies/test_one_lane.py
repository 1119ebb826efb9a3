"""Every baseline does in exact replay what it does among other lanes of the kernel."""

from __future__ import annotations

import numpy as np
import pytest

from simulations.benchmark.protocol import AS_IS, FACTS, PROFILES, part_of, prepare
from simulations.engine.exact import TierSpec, replay
from simulations.engine.lanes import Group, Lane, run_lanes
from simulations.policies.catalogue import BASELINES
from simulations.policies.one_lane import OneLane

STEPS = 1440
LANES = [
    Lane(replicas=replicas, seed=seed, start_up=profile.start_up())
    for replicas, seed, profile in ((6, 3, PROFILES[1]), (20, 4, PROFILES[0]), (9, 5, PROFILES[2]))
]


@pytest.fixture(scope="module")
def prepared():
    """Return a bursty trace."""
    return prepare("elb")


@pytest.mark.parametrize("name", BASELINES)
def test_baseline_is_the_same_alone_and_among_lanes(prepared, name):
    """Replicas of two hours are equal after every step, for three starts."""
    load = part_of(prepared.load, 720, 720 + STEPS)
    replicas = np.zeros((STEPS, len(LANES)))

    def watch(step, tier):
        replicas[step] = tier.replicas

    run_lanes(
        [Group(name=name, autoscaler=BASELINES[name].make(FACTS, prepared.past), lanes=LANES)],
        load,
        AS_IS.plant,
        prepared.signals,
        seed=0,
        lateness=prepared.table,
        watcher=watch,
    )
    for column, lane in enumerate(LANES):
        plant = AS_IS.plant
        spec = TierSpec(
            name="web",
            plant=type(plant)(service=plant.service, start_up=lane.start_up, waiting=plant.waiting),
            autoscaler=OneLane(BASELINES[name].make(FACTS, prepared.past)),
            signals=prepared.signals,
            replicas=lane.replicas,
        )
        run = replay([spec], load, seed=lane.seed)["web"]
        np.testing.assert_array_equal(replicas[:, column], run.replicas)
    assert len(np.unique(replicas)) > 3
