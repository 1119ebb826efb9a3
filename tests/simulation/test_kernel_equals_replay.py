"""The sweep kernel and the exact replay are the same simulation, to the last bit."""

from __future__ import annotations

import random

import numpy as np
import pytest

from simulations.engine.exact import TierSpec, replay
from simulations.engine.lanes import Group, Lane, run_lanes
from simulations.policies.vectorised.autoscaler import VectorisedAutoscaler
from tests.simulation.random_policies import (
    STEPS,
    random_load,
    random_plant,
    random_policies,
    random_signals,
)

BATCHES = 20
STRUCTURES = 5
ALIKE = 10


@pytest.mark.parametrize("batch", range(BATCHES))
def test_kernel_decides_as_exact_replay(batch):
    """Replicas, serving pods and backlog of 50 random policies are equal after every step."""
    rng = random.Random(batch)
    load, plant, signals = random_load(rng), random_plant(rng), random_signals(rng)
    batches = [random_policies(rng, ALIKE) for _ in range(STRUCTURES)]
    groups, starts = [], []
    for number, policies in enumerate(batches):
        starts.append([rng.choice([0, 1, 5, 20]) for _ in policies])
        lanes = [Lane(replicas=start, seed=batch) for start in starts[-1]]
        groups.append(
            Group(name=str(number), autoscaler=VectorisedAutoscaler(policies), lanes=lanes)
        )
    columns = np.zeros((3, STEPS, STRUCTURES * ALIKE))

    def watch(step, tier):
        columns[:, step] = tier.replicas, tier.serving, tier.backlog

    totals = run_lanes(groups, load, plant, signals, seed=batch, lateness=None, watcher=watch)

    changes = 0
    for group, policies in enumerate(batches):
        for index, policy in enumerate(policies):
            lane = group * ALIKE + index
            spec = TierSpec(
                name="web",
                plant=plant,
                autoscaler=policy,
                signals=signals,
                replicas=starts[group][index],
            )
            run = replay([spec], load, seed=batch)["web"]
            where = (batch, group, index, policy.policy)
            for column, name in enumerate(("replicas", "serving", "backlog")):
                differs = np.flatnonzero(columns[column, :, lane] != getattr(run, name))
                assert not differs.size, (name, differs[0], where)
            assert totals[group].changes[index] == len(run.changes), where
            assert totals[group].dropped[index] == pytest.approx(run.dropped[run.known].sum())
            changes += len(run.changes)
    assert changes > 100, "the policies hardly did anything"
