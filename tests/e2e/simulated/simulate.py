"""The same loads in the simulation: exact replays of the decision code, one per seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulations.engine.exact import TierSpec, replay
from simulations.plant.parameters import Plant
from simulations.policies.objects import subject_of_object
from simulations.score.score import score
from simulations.workload.load import Load
from tests.e2e.simulated.cases import SIGNALS, Case
from tests.e2e.simulated.measured import Figures

RUNS = 40
"""They differ in how long each pod takes to start."""


def simulated(case: Case, load: Load, plant: Plant) -> tuple[Figures, Figures]:
    """Return the figures of a case: the mean of all runs, and their standard deviation."""
    raw: dict[str, Any] = case.scaled_object("http://stand-in.invalid")
    subject = subject_of_object(raw, case.measured, SIGNALS)
    runs = []
    for seed in range(RUNS):
        tier = TierSpec(
            name=case.name,
            plant=plant,
            autoscaler=subject.autoscaler(),
            signals=SIGNALS,
            replicas=case.replicas,
        )
        found = score(replay([tier], load, seed=seed)[case.name])
        runs.append(
            [found.replica_hours, found.violation_ratio, found.created, found.peak_replicas]
        )
    means, deviations = np.mean(runs, axis=0), np.std(runs, axis=0)
    return Figures(*means.tolist()), Figures(*deviations.tolist())
