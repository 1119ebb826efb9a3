"""What learners are given of the time before the run is what they would have seen in it."""

from __future__ import annotations

import numpy as np
import pytest

from simulations.engine.lanes import Group, Lane, run_lanes
from simulations.plant.lateness import LatenessTable
from simulations.plant.parameters import Delay, Plant, Service, StartUp, Waiting
from simulations.policies.oracle import Oracle, highest_ahead
from simulations.policies.past import Past, RateHistory, past_of
from simulations.policies.service import ServiceFacts
from simulations.policies.static import static
from simulations.policies.watching import RATE, standard_signals
from simulations.workload.load import load_of
from simulations.workload.trace import Trace
from tests.simulation.policies.views import view_of

SERVICE = Service(mean_seconds=0.2, concurrency=4)
FACTS = ServiceFacts(requests_per_second=20.0, concurrency=4, maximum=100)


class Watching:
    """Only keeps what it sees."""

    tick_seconds = 5.0

    def __init__(self):
        self.history = RateHistory(RATE, minutes=1000)

    def start(self, lanes):
        self.history.forget()

    def decide(self, view):
        self.history.observe(view)
        return view.replicas.copy()


@pytest.mark.parametrize("start_at", [1_700_000_040.0, 1_700_000_055.0])
def test_past_is_what_a_run_would_have_shown(start_at):
    """Readings made before a run equal, gaps included, those of an autoscaler that was there."""
    values = np.random.default_rng(3).uniform(50, 400, 90)
    values[30:35] = np.nan
    trace = Trace(name="random", start_at=start_at, step_seconds=60.0, values=values)
    load = load_of(trace, step_seconds=5.0, seed=1)
    signals = standard_signals()
    plant = Plant(
        service=SERVICE,
        start_up=StartUp(container=Delay(median_seconds=15.0, p95_seconds=45.0)),
        waiting=Waiting(slo_seconds=0.2),
    )
    past = past_of(load, signals[0], steps=load.steps, seed=0)
    watching = Watching()
    run_lanes(
        [Group(name="watching", autoscaler=watching, lanes=[Lane(replicas=20, seed=0)])],
        load,
        plant,
        signals,
        seed=0,
        lateness=LatenessTable(SERVICE, plant.waiting, step_seconds=5.0, replicas=20),
    )

    seen = watching.history.last(1000)
    offset = round(past.start_at // 60 - start_at // 60)
    np.testing.assert_array_equal(past.rates, seen[offset : offset + len(past.rates)])
    assert np.isnan(past.rates[10:60]).any()
    assert np.isfinite(past.rates[2:25]).all()


def test_history_continues_the_past():
    """Readings of the run follow those before it; a minute without any is missing."""
    history = RateHistory(RATE, minutes=10, past=Past(start_at=0.0, rates=np.array([1.0, 2.0])))
    for at, rate in ((60.0, 9.0), (120.0, 3.0), (150.0, 9.0), (240.0, 5.0)):
        history.observe(view_of(at, [1], rate=rate))

    np.testing.assert_array_equal(history.last(10), [1.0, 2.0, 3.0, np.nan, 5.0])
    assert history.end_at == 300.0
    history.forget()
    np.testing.assert_array_equal(history.last(10), [1.0, 2.0])


def test_history_is_bounded():
    """Never more than twice the minutes asked for are kept, and the newest are right."""
    history = RateHistory(RATE, minutes=10)
    for minute in range(100):
        history.observe(view_of(60.0 * minute, [1], rate=float(minute)))

    np.testing.assert_array_equal(history.last(3), [97.0, 98.0, 99.0])
    assert len(history.last(1000)) <= 20


@pytest.mark.parametrize("steps", [0, 1, 2, 5, 8, 40])
def test_highest_ahead_looks_so_far_and_no_further(steps):
    """The sliding maximum equals the one taken step by step."""
    values = np.random.default_rng(steps).uniform(0, 9, 30)
    expected = [values[index : index + steps + 1].max() for index in range(30)]
    np.testing.assert_array_equal(highest_ahead(values, steps), expected)


def test_oracle_is_ready_when_the_load_comes():
    """Each lane wants what its own horizon will need."""
    values = np.array([20.0] * 10 + [200.0] * 10)
    trace = Trace(name="step", start_at=0.0, step_seconds=60.0, values=values)
    load = load_of(trace, step_seconds=5.0, seed=1)
    oracle = Oracle(load, lambda rates: np.ceil(rates / 20.0), [60.0, 180.0], FACTS)
    oracle.start(2)

    assert oracle.decide(view_of(400.0, [1, 1])).tolist() == [1.0, 1.0]
    assert oracle.decide(view_of(420.0, [1, 1])).tolist() == [1.0, 10.0]
    assert oracle.decide(view_of(540.0, [1, 1])).tolist() == [10.0, 10.0]


@pytest.mark.parametrize(("asked", "expected"), [(5, 5.0), (0, 1.0), (5000, 100.0)])
def test_static_stays_within_the_bounds(asked, expected):
    """Every lane has the number asked for, or the bound that is nearest."""
    planned = static(asked, FACTS)
    planned.start(2)
    assert planned.decide(view_of(0.0, [1, 1])).tolist() == [expected, expected]
