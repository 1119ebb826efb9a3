"""Runs written down by hand, and a lateness model simple enough to compute with in the head."""

from __future__ import annotations

import numpy as np

from simulations.engine.run import Change, Run
from simulations.plant.parameters import Delay, Plant, Prices, Service, StartUp, Waiting

PLANT = Plant(
    service=Service(mean_seconds=0.5, concurrency=1),
    start_up=StartUp(container=Delay(median_seconds=10, p95_seconds=10)),
    waiting=Waiting(slo_seconds=1.0, timeout_seconds=30.0),
    prices=Prices(replica_hour=2.0, node_hour=10.0),
)
MIDNIGHT = 1_700_006_400.0
"""2023-11-15 00:00 UTC."""


class Simple:
    """One replica serves ten requests per second on time; what is above is late."""

    def late_ratios(self, serving, arrivals_per_second, backlog_before, backlog_after):
        """Return the share above ten per replica."""
        above = np.maximum(0.0, arrivals_per_second - 10 * serving)
        return np.divide(above, arrivals_per_second, out=np.zeros(len(above)), where=above > 0)

    def replicas_for(self, arrivals_per_second, ratio):
        """Return one replica for every ten requests per second."""
        return np.ceil(arrivals_per_second / 10)


def made_run(*, per_second, serving, step_seconds=60.0, start_at=MIDNIGHT, plant=PLANT, **columns):
    """Return a run with these columns, one value per step; others follow or are zero."""
    steps = len(per_second)
    serving = np.array(serving, dtype=np.int64)
    arrivals = np.array(per_second, dtype=np.float64) * step_seconds

    def column(name, default, dtype):
        return np.array(columns.pop(name, default), dtype=dtype)

    zeros = np.zeros(steps)
    made = Run(
        name="web",
        plant=plant,
        start_at=start_at,
        step_seconds=step_seconds,
        known=column("known", np.ones(steps), np.bool_),
        arrivals=arrivals,
        retries=column("retries", zeros, np.float64),
        capacity=column("capacity", serving * 2.0 * step_seconds, np.float64),
        served=arrivals,
        dropped=column("dropped", zeros, np.float64),
        backlog=column("backlog", zeros, np.float64),
        replicas=column("replicas", serving, np.int64),
        serving=serving,
        pods=column("pods", serving, np.int64),
        nodes=column("nodes", zeros, np.int64),
        drained=column("drained", zeros, np.int64),
        created=column("created", zeros, np.int64),
        changes=tuple(columns.pop("changes", ())),
        decisions=columns.pop("decisions", 0),
    )
    assert not columns, f"a run has no {', '.join(columns)}"
    return made


def busy_run(steps=400, *, step_seconds=60.0):
    """Return a run with a busy middle, one failed write, and an hour of unknown load."""
    at = np.arange(steps)
    rate = 20 + 60 * np.exp(-(((at - steps / 2) / (steps / 8)) ** 2))
    wanted = np.ceil(rate / 10).astype(int)
    serving = np.concatenate([wanted[:3], wanted[:-3]])
    changes = [
        Change(
            int(step), int(wanted[step - 1]), int(wanted[step]), why=f"rate [{rate[step]:.1f}/s]"
        )
        for step in np.flatnonzero(np.diff(wanted)) + 1
    ]
    changes.append(Change(steps - 2, int(wanted[-1]), 9, succeeded=False, why="of no avail"))
    known = np.ones(steps, dtype=bool)
    known[-steps // 10 : -steps // 20] = False
    return made_run(
        per_second=rate,
        serving=serving,
        replicas=wanted,
        pods=np.maximum(wanted, serving),
        backlog=np.maximum(0.0, rate - 10 * serving) * 30,
        step_seconds=step_seconds,
        known=known,
        changes=changes,
    )
