"""Servers that fill and empty over a service time, and the waits that follow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.plant.lag import PACE, followed, lag
from simulations.plant.occupancy import SETTLED_SERVICES, occupancy
from simulations.plant.parameters import Delay, Plant, Service, StartUp, Waiting
from simulations.plant.tier import Tier

START_UP = StartUp(container=Delay(median_seconds=1, p95_seconds=1))
NO_LIMIT = 1e9


def tier(mean_seconds: float, *, concurrency: int = 1, replicas: int = 1, step_ms=5000) -> Tier:
    """Return pods that serve, without any request."""
    service = Service(mean_seconds=mean_seconds, concurrency=concurrency)
    plant = Plant(service=service, start_up=START_UP, waiting=Waiting(slo_seconds=1))
    return Tier(plant, [1000], step_ms=step_ms, replicas=replicas)


def test_a_request_for_an_idle_server_does_not_wait():
    """A service of a minute begins at once, and is in service, not in the queue."""
    pods = tier(60.0)

    served = pods.serve(0.9, NO_LIMIT)

    assert served.served == 0.9
    assert pods.backlog == 0
    assert served.in_service == pytest.approx(0.9, rel=0.05)
    assert served.worked == pytest.approx(0.9 * 5 / 60 / 2, rel=0.05)


def test_full_servers_take_what_capacity_allows():
    """Once all are busy, as many begin as end."""
    pods = tier(20.0, concurrency=4, replicas=3)
    pods.serve(1000, NO_LIMIT)
    assert pods.busy == pytest.approx(12)

    served = pods.serve(0, NO_LIMIT)

    assert served.served == pytest.approx(12 * 5 / 20) == served.capacity
    assert served.worked == pytest.approx(served.capacity)


def test_new_pods_take_a_request_for_each_idle_server():
    """Those that come to a queue fill before their first service ends."""
    pods = tier(60.0, concurrency=2, replicas=1)
    pods.serve(100, NO_LIMIT)
    before = pods.serve(0, NO_LIMIT).served
    pods.serving = 4

    filled = pods.serve(0, NO_LIMIT).served

    assert filled == pytest.approx(before + 6 + 6 * 5 / 60 / 2, rel=0.01)


def test_load_that_stays_keeps_as_many_busy_as_littles_law_says():
    """Ten a second of two seconds each: twenty."""
    pods = tier(2.0, concurrency=30)
    for _ in range(20):
        served = pods.serve(50, NO_LIMIT)
    assert served.in_service == pytest.approx(20)
    assert served.worked == pytest.approx(50)


@given(
    st.floats(0.6, 500),
    st.integers(1, 8),
    st.lists(st.tuples(st.integers(0, 20), st.floats(0, 300)), min_size=1, max_size=20),
)
def test_nothing_is_lost_and_nobody_works_more_than_possible(mean, concurrency, steps):
    """Started is finished or in service; pods that go take along what they serve."""
    pods = tier(mean, concurrency=concurrency)
    for replicas, arrivals in steps:
        pods.serving = replicas
        stayed = min(pods.busy, float(replicas * concurrency))
        served = pods.serve(arrivals, NO_LIMIT)
        assert served.served + stayed == pytest.approx(served.worked + pods.busy)
        assert 0 <= pods.busy <= replicas * concurrency * (1 + 1e-9)
        assert -1e-9 <= served.worked <= served.capacity * (1 + 1e-9) + 1e-9


def test_the_length_of_steps_hardly_matters():
    """A minute of overload in steps of one and of five seconds."""
    waiting = []
    for step_ms in (1000, 5000):
        pods = tier(20.0, concurrency=4, replicas=3, step_ms=step_ms)
        for _ in range(60_000 // step_ms):
            pods.serve(0.9 * step_ms / 1000, NO_LIMIT)
        waiting.append(pods.backlog)
    fine, coarse = waiting
    assert fine > 5
    assert coarse == pytest.approx(fine, abs=0.2)


def test_short_services_have_no_memory():
    """A step of ten services hides what is in service at its ends."""
    assert occupancy(Service(mean_seconds=0.5, concurrency=1), 0.5 * SETTLED_SERVICES) is None
    assert lag(Service(mean_seconds=0.2, concurrency=4), 5.0) is None
    assert occupancy(Service(mean_seconds=0.6, concurrency=1), 5.0) is not None


def test_waits_follow_a_burst_and_are_over_soon_after():
    """Busy servers need a service to get there; the queue of a quiet load is there at once."""
    service = Service(mean_seconds=20.0, concurrency=1)
    following = lag(service, 5.0)
    assert following is not None
    rates = np.repeat([0.3, 0.48, 0.3], 200)

    found = followed(following, np.full(600, 10), rates, np.full(600, 0.95))

    assert found[199] == pytest.approx(0.6)
    assert found[200] < 0.7
    assert found[399] == pytest.approx(0.95, abs=0.01)
    assert found[420] == pytest.approx(0.6, abs=0.01)
    assert np.all(np.diff(found[200:400]) >= 0)
    assert 0 < PACE < 1
