"""Sums per day are the parts of the sums of the run."""

from __future__ import annotations

import numpy as np
import pytest

from simulations.engine.lanes import Group, Lane, run_lanes
from simulations.plant.lateness import LatenessTable
from simulations.plant.parameters import Delay, Plant, Service, StartUp, Waiting
from simulations.policies.static import Static
from simulations.workload.load import load_of
from simulations.workload.trace import Trace


def test_days_add_up_to_the_run():
    """Late requests, arrivals and paid pods of the days add up to those of an overloaded run."""
    values = np.tile([20.0, 130.0, 60.0, 90.0], 9)
    trace = Trace(name="overload", start_at=0.0, step_seconds=3600.0, values=values)
    load = load_of(trace, step_seconds=60.0, seed=1)
    plant = Plant(
        service=Service(mean_seconds=0.2, concurrency=4),
        start_up=StartUp(container=Delay(median_seconds=1.0, p95_seconds=1.0)),
        waiting=Waiting(slo_seconds=0.2),
    )
    table = LatenessTable(plant.service, plant.waiting, step_seconds=60.0, replicas=8)

    lanes = [Lane(replicas=4, seed=0), Lane(replicas=4, seed=1)]
    all_totals = run_lanes(
        [Group(name=str(count), autoscaler=Static(count), lanes=lanes) for count in (3, 4)],
        load,
        plant,
        [],
        seed=0,
        lateness=table,
    )

    for totals in all_totals:
        assert totals.day_late.shape == (2, 2)
        assert totals.day_requests.shape == (2,)
        assert totals.dropped.min() > 0
        assert totals.day_late.sum(axis=0) == pytest.approx(totals.late)
        assert totals.day_requests.sum() == pytest.approx(totals.requests)
        assert totals.day_replica_seconds.sum(axis=0) == pytest.approx(totals.replica_seconds)
        assert totals.late.max() <= totals.requests
