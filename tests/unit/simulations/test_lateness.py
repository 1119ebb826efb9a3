"""Waiting probabilities and the sizing that follows from them."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.engine.referee import referee
from simulations.plant.lag import Follower
from simulations.plant.lateness import BINS, LatenessTable, erlang_c
from simulations.plant.parameters import Service, ServiceTime, Waiting

SERVICE = Service(mean_seconds=0.2, concurrency=4)
WAITING = Waiting(slo_seconds=0.2)
TABLE = LatenessTable(SERVICE, WAITING, step_seconds=5.0, replicas=300)

BACKLOGS = st.integers(0, 30_000).map(lambda tenths: tenths / 10)


@pytest.mark.parametrize(
    ("servers", "utilisation", "expected"),
    [(1, 0.5, 0.5), (2, 0.5, 1 / 3), (16, 0.9, 0.591), (40, 0.9, 0.412), (200, 0.9, 0.095)],
)
def test_erlang_c_gives_published_values(servers, utilisation, expected):
    """M/M/1 and M/M/2 in closed form, the larger ones from tables."""
    found = erlang_c(servers, np.array([utilisation * servers]))[0]
    assert found == pytest.approx(expected, abs=6e-4)


def test_erlang_c_survives_thousands_of_servers():
    """The recursion neither overflows nor loses everything."""
    assert 0 < erlang_c(4000, np.array([3990.0]))[0] < 1
    assert erlang_c(4000, np.array([1000.0]))[0] == pytest.approx(0.0, abs=1e-12)


@given(st.integers(1, 60), st.floats(0.1, 1500), st.floats(1.0, 1.5))
def test_more_load_or_fewer_replicas_never_make_fewer_requests_late(replicas, rate, factor):
    """The late share is monotonic in both, and a probability."""
    zero = np.zeros(3)
    serving = np.array([replicas, replicas, replicas + 1.0])
    rates = np.array([rate, rate * factor, rate])
    base, loaded, larger = TABLE.late_ratios(serving, rates, zero, zero)
    assert 0 <= larger <= base <= loaded <= 1


@given(st.integers(0, 40), st.floats(0, 900), BACKLOGS, BACKLOGS)
def test_lanes_and_runs_are_scored_alike(replicas, rate, before, after):
    """The fast path of the kernel gives what the path of reports gives."""
    arguments = np.array([float(replicas)]), np.array([rate]), np.array([before]), np.array([after])
    run = TABLE.late_ratios(*arguments)
    lane = TABLE.late_ratio(Follower(0.0, np.zeros(1)), arguments[0], rate, *arguments[2:])
    assert lane[0] == pytest.approx(run[0])
    assert 0 <= lane[0] <= 1


def test_a_backlog_is_late_for_the_time_it_takes_to_shrink():
    """40 replicas serve 800/s: 800 waiting requests at no new load are late for 0.8 of a second."""
    late = TABLE.late_ratios(np.array([40.0]), np.array([0.0]), np.array([800.0]), np.array([0.0]))
    assert late[0] == pytest.approx(0.8 * (1.0 / 5.0), abs=1e-6)


def test_without_replicas_everything_that_waits_is_late():
    """Zero replicas and an empty queue are no violation, a waiting request is."""
    zero = np.zeros(2)
    late = TABLE.late_ratios(zero, zero, zero, np.array([0.0, 3.0]))
    assert late[1] == 1.0


@given(st.floats(1, 2000), st.sampled_from([0.001, 0.005, 0.05]))
def test_sizing_is_the_inverse_of_lateness(rate, ratio):
    """The replicas it names meet the share; one less would not, up to two steps of the table."""
    replicas = int(TABLE.replicas_for(np.array([rate]), ratio)[0])
    assert stationary_late_share(replicas, rate) <= ratio
    if replicas > 1:
        more = rate + 2 / BINS * (replicas - 1) * 20
        assert stationary_late_share(replicas - 1, more) > ratio


def stationary_late_share(replicas: int, rate: float) -> float:
    """Return the late share of M/M/c by its formula."""
    servers, load = replicas * 4, rate * 0.2
    if load >= servers:
        return 1.0
    waits = float(erlang_c(servers, np.array([load]))[0])
    return waits * math.exp(-(servers - load))


@pytest.mark.parametrize("seconds", [0.02, 0.2, 2.0, 20.0])
@pytest.mark.parametrize("shape", ServiceTime)
def test_sizing_does_not_depend_on_the_unit_of_time(seconds, shape):
    """Ten Erlangs need as many servers for services of milliseconds as for those of minutes."""
    service = Service(mean_seconds=seconds, concurrency=1, shape=shape)
    table = LatenessTable(service, Waiting(slo_seconds=seconds), step_seconds=5.0)
    of_a_second = LatenessTable(
        Service(mean_seconds=1.0, concurrency=1, shape=shape),
        Waiting(slo_seconds=1.0),
        step_seconds=5.0,
    )
    found = table.replicas_for(np.array([10.0 / seconds]), 0.005)
    assert found == of_a_second.replicas_for(np.array([10.0]), 0.005)
    assert found >= 13


@given(
    st.integers(1, 200),
    st.integers(0, BINS - 2),
    st.floats(0.01, 20),
    st.sampled_from([0.0, 0.3, 0.99, 1.01, 1.72, 4.0, 25.0]),
)
@settings(deadline=None)
def test_every_kind_of_service_waits_more_under_more_load(replicas, step, slo, cv2):
    """Whatever the variation: a probability, larger with load, smaller with replicas."""
    service = Service(mean_seconds=1.0, concurrency=2, shape=ServiceTime.LOG_NORMAL, cv2=cv2)
    table = LatenessTable(
        service, Waiting(slo_seconds=slo), step_seconds=60.0, replicas=replicas + 1
    )
    rate = (step + 0.5) / BINS * replicas * 2
    more = (step + 1.5) / BINS * replicas * 2
    zero = np.zeros(3)
    serving = np.array([replicas, replicas, replicas + 1.0])
    base, loaded, larger = table.late_ratios(serving, np.array([rate, more, rate]), zero, zero)
    assert 0 <= larger <= base + 1e-9
    assert base <= loaded + 1e-9
    assert loaded <= 1


def test_a_thousand_replicas_are_tabulated_at_once():
    """Large services cost no more than a few steps of a simulation (measured: 0.9 s)."""
    begin = time.process_time()
    LatenessTable(SERVICE, WAITING, step_seconds=5.0, replicas=1000)
    assert time.process_time() - begin < 5.0


def test_larger_services_run_hotter():
    """Sizing at one late share leaves less slack the larger the service (economies of scale)."""
    rates = np.array([20.0, 200.0, 2000.0])
    slack = TABLE.replicas_for(rates, 0.005) * SERVICE.requests_per_second / rates
    assert slack[0] > slack[1] > slack[2] > 1


@pytest.mark.parametrize("shape", ServiceTime)
def test_the_referee_is_seeded_and_counts_every_request(shape):
    """The same seed gives the same requests; all are served or leave."""
    expected, serving = np.full(120, 700.0), np.full(120, 8)
    service = Service(mean_seconds=0.2, concurrency=4, shape=shape)
    first, again, other = (
        referee(expected, serving, service, WAITING, step_seconds=5.0, seed=seed)
        for seed in (1, 1, 2)
    )
    assert (first.arrivals == again.arrivals).all()
    assert (first.late == again.late).all()
    assert (first.arrivals != other.arrivals).any()
    assert first.arrivals.sum() == pytest.approx(120 * 700, rel=0.02)


def test_the_referee_gives_the_waits_of_a_queue_with_many_servers():
    """M/M/c: the share that waits is Erlang's C, the waits are exponential."""
    expected, serving = np.full(2000, 0.9 * 4 * 20 * 5.0), np.full(2000, 4)
    judged = referee(expected, serving, SERVICE, WAITING, step_seconds=5.0, seed=3)
    share = len(judged.waits) / judged.arrivals.sum()
    assert share == pytest.approx(erlang_c(16, np.array([14.4]))[0], abs=0.02)
    assert judged.waits.mean() == pytest.approx(0.2 / (16 - 14.4), rel=0.1)


def test_requests_leave_the_referee_at_their_timeout():
    """At twice the capacity the queue settles at the timeout and half of the requests leave."""
    expected, serving = np.full(200, 2 * 20 * 5.0), np.full(200, 1)
    waiting = Waiting(slo_seconds=0.2, timeout_seconds=10.0)
    judged = referee(expected, serving, SERVICE, waiting, step_seconds=5.0, seed=4)
    assert judged.dropped[20:].sum() / judged.arrivals[20:].sum() == pytest.approx(0.5, abs=0.02)
    assert judged.wait_seconds(1.0) <= 10.0


def test_more_replicas_than_the_table_has_are_looked_up_as_large_systems_behave():
    """No gap where the table ends, and fast far beyond it."""
    table = LatenessTable(SERVICE, WAITING, step_seconds=5.0, replicas=1)
    rates = np.array([0.97, 0.97, 0.5, 1.5]) * np.array([2048, 2049, 10**6, 10**6]) * 20
    zero = np.zeros(4)

    ends, begins, quiet, full = table.late_ratios(
        np.array([2048.0, 2049.0, 1e6, 1e6]), rates, zero, zero
    )
    below, above, million = table.replicas_for(
        np.array([2000.0, 2049.0, 1e6]) * SERVICE.requests_per_second, 0.005
    )

    assert ends == pytest.approx(begins, abs=1e-4)
    assert quiet == 0
    assert full > 0
    assert 2000 < below < above < 2200
    assert 1e6 < million < 1.01e6


def test_whoever_gives_up_before_the_slo_is_late():
    """Nobody waits longer than the timeout, so it is what counts when it is shorter."""
    slow = LatenessTable(SERVICE, Waiting(slo_seconds=60, timeout_seconds=5), step_seconds=5.0)
    zero = np.array([0.0])

    late = slow.late_ratios(np.array([1.0]), np.array([40.0]), np.array([200.0]), np.array([200.0]))

    assert late == 1.0
    assert slow.late_ratios(np.array([1.0]), zero, zero, zero) < 1e-9
