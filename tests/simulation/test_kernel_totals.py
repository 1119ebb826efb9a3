"""The sums the sweep kernel keeps are those that scores draw from a recorded run."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest

from simulations.engine.exact import TierSpec, replay
from simulations.engine.lanes import Group, Lane, run_lanes
from simulations.errors import SimulationError
from simulations.plant.lateness import LatenessTable
from simulations.plant.parameters import (
    Delay,
    Plant,
    Service,
    Signal,
    StartUp,
    Termination,
    Waiting,
)
from simulations.policies.vectorised.autoscaler import VectorisedAutoscaler
from simulations.score.score import score
from simulations.workload.load import Load, load_of
from simulations.workload.trace import Trace
from tests.simulation.random_policies import SIGNALS, random_policies

STEP_SECONDS = 30.0
HOURS = 40
SEED = 5
START = 20
PLANT = Plant(
    service=Service(mean_seconds=0.2, concurrency=4),
    start_up=StartUp(container=Delay(median_seconds=90, p95_seconds=240)),
    waiting=Waiting(slo_seconds=0.2, timeout_seconds=60.0),
    termination=Termination(drain_seconds=20),
)


@pytest.fixture(scope="module")
def table() -> LatenessTable:
    """The lateness model of the plant; it takes longest to build."""
    return LatenessTable(PLANT.service, PLANT.waiting, step_seconds=STEP_SECONDS)


def day_and_a_half() -> Load:
    """Quiet at first, so that pods drain in the first step; then bursts, silence and a gap."""
    values = np.random.default_rng(SEED).choice([0.0, 5.0, 60.0, 200.0], HOURS).repeat(60)
    values[:60] = 1.0
    values[600:630] = np.nan
    trace = Trace(name="bursts", start_at=1.7e9, step_seconds=60.0, values=values)
    return load_of(trace, step_seconds=STEP_SECONDS, seed=SEED)


def signals() -> list[Signal]:
    """One signal of each kind."""
    return [
        Signal(name=name, kind=kind, lag_seconds=0.0, scrape_seconds=30.0)
        for name, kind in SIGNALS.items()
    ]


def three_groups():
    """Groups whose policies decide every step."""
    rng = random.Random(SEED)
    found = []
    while len(found) < 3:
        policies = random_policies(rng, 3)
        if policies[0].tick_seconds == STEP_SECONDS:
            found.append(policies)
    return found


class AtOnce:
    """Changes the replicas once, at a given step."""

    tick_seconds = STEP_SECONDS

    def __init__(self, at_step: int, change: int) -> None:
        self.at_ms = at_step * STEP_SECONDS * 1000
        self.change = change

    def start(self, lanes: int) -> None:
        """Remember nothing."""

    def decide(self, view):
        """Return the replicas each lane wants."""
        return view.replicas + self.change * (view.at_ms == self.at_ms)


@pytest.mark.parametrize("mean_seconds", [0.2, 20.0])
@pytest.mark.parametrize("from_step", [0, 7, 2880])
def test_totals_are_those_of_the_scored_run(from_step, mean_seconds):
    """Every group's sums, whole run and per day, equal the score of each lane's exact replay."""
    service = msgspec.structs.replace(PLANT.service, mean_seconds=mean_seconds)
    plant = msgspec.structs.replace(PLANT, service=service)
    table = LatenessTable(service, plant.waiting, step_seconds=STEP_SECONDS)
    load = day_and_a_half()
    batches = three_groups()
    groups = [
        Group(
            name=str(number),
            autoscaler=VectorisedAutoscaler(policies),
            lanes=[Lane(replicas=START, seed=SEED)] * len(policies),
        )
        for number, policies in enumerate(batches)
    ]

    found = run_lanes(
        groups, load, plant, signals(), seed=SEED, lateness=table, score_from_step=from_step
    )

    dropped = 0.0
    for totals, policies in zip(found, batches, strict=True):
        for lane, policy in enumerate(policies):
            spec = TierSpec(
                name="web", plant=plant, autoscaler=policy, signals=signals(), replicas=START
            )
            run = replay([spec], load, seed=SEED)["web"]
            wanted = score(run, from_step=from_step, table=table)
            assert totals.seconds == wanted.seconds
            assert totals.changes[lane] == wanted.changes
            for field in ("late", "dropped", "replica_hours", "worst_ratio", "violation_ratio"):
                assert getattr(totals, field)[lane] == pytest.approx(getattr(wanted, field)), field
            days = wanted.days
            assert totals.day_requests == pytest.approx([day.requests for day in days])
            assert totals.day_late[:, lane] == pytest.approx([day.late for day in days])
            assert totals.day_replica_seconds[:, lane] / 3600 == pytest.approx(
                [day.replica_hours for day in days]
            )
            dropped += wanted.dropped
    assert dropped > 0, "nothing was given up, so late and given up look the same"


@pytest.mark.parametrize(
    ("at_step", "change", "paid_seconds", "created"),
    [(3, -1, 20.0, 0), (2, -1, 0.0, 0), (3, 2, 0.0, 2), (2, 2, 0.0, 0)],
    ids=["drain in the first", "drain before", "creation in the first", "creation before"],
)
def test_decision_of_the_first_scored_step_counts(table, at_step, change, paid_seconds, created):
    """Draining and created pods count from the first scored step on, as changes do."""
    load = day_and_a_half()
    group = Group(
        name="once", autoscaler=AtOnce(at_step, change), lanes=[Lane(replicas=START, seed=SEED)]
    )

    (totals,) = run_lanes(
        [group], load, PLANT, signals(), seed=SEED, lateness=table, score_from_step=3
    )

    pods = (START + change) * totals.seconds
    assert totals.replica_seconds[0] - pods == pytest.approx(paid_seconds)
    assert totals.created[0] == created
    assert totals.changes[0] == (1 if at_step == 3 else 0)


def test_a_run_without_scored_steps_is_refused(table):
    """A warm-up as long as the load says so instead of dividing by nothing."""
    load = day_and_a_half()
    group = Group(name="none", autoscaler=AtOnce(0, 0), lanes=[Lane(replicas=1, seed=1)])

    with pytest.raises(SimulationError, match="score_from_step is 4800; the load has steps 0 to"):
        run_lanes([group], load, PLANT, [], seed=1, lateness=table, score_from_step=4800)


def test_progress_reaches_the_end(table):
    """A progress bar is told about the last step too."""
    load, told = day_and_a_half(), []
    group = Group(name="none", autoscaler=AtOnce(0, 0), lanes=[Lane(replicas=1, seed=1)])

    run_lanes(
        [group], load, PLANT, [], seed=1, lateness=table, progress=lambda *at: told.append(at)
    )

    assert told[0] == (0, load.steps)
    assert told[-1] == (load.steps, load.steps)


def test_lanes_can_only_have_arrivals_that_were_drawn(table):
    """The load itself is draw 0; without further counts there is no draw 1."""
    group = Group(name="none", autoscaler=AtOnce(0, 0), lanes=[Lane(replicas=1, seed=1, draw=1)])

    with pytest.raises(SimulationError, match="draw is 1; there are draws 0 to 0"):
        run_lanes([group], day_and_a_half(), PLANT, [], seed=1, lateness=table)
