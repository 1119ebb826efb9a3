"""Days of history are imported from a real Prometheus: equal to the trace, gaps stay gaps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from simulations.errors import SimulationError
from simulations.workload import compose
from simulations.workload.catalogue import load_trace
from simulations.workload.importers.prometheus import POINTS_PER_QUERY, Access, query_range
from simulations.workload.model import build_trace, workload_of
from simulations.workload.trace import Floats
from tests.servers import PrometheusServer
from tests.servers.prometheus_history import (
    HOLD_STEPS,
    REPLICA_PER_SECOND,
    TARGET_PER_SECOND,
    History,
    history_of,
    running_history,
)

pytestmark = pytest.mark.real("prometheus")

RATE = "sum(rate(http_requests_total[90s]))"
GAP = slice(5000, 5120)
"""Two hours without a sample."""
LOOKBACK_STEPS = 5
"""Prometheus repeats the last sample for five minutes."""


@pytest.fixture(scope="module")
def history() -> History:
    """Two weeks around the final, two hours of which nobody recorded."""
    trace = compose.cut(load_trace("worldcup98"), from_seconds=70 * 86_400)
    values = trace.values.copy()
    values[GAP] = np.nan
    return history_of(replace(trace, values=values), until_at=time.time())


@pytest.fixture(scope="module")
def server(history: History) -> Iterator[PrometheusServer]:
    """A server with that history."""
    with running_history(history) as running:
        yield running


def asked(server: PrometheusServer, history: History, query: str) -> Floats:
    """Return a query's values at the instants of the history."""
    trace = query_range(
        Access(url=server.url),
        query,
        from_at=float(history.at[0]),
        to_at=float(history.at[-1]),
        step_seconds=history.step_seconds,
    )
    assert trace.start_at == history.at[0]
    assert len(trace.values) == len(history.at) == 14 * 24 * 60
    return trace.values


def test_a_rate_over_two_weeks_is_the_trace_and_gaps_are_missing(server, history):
    """Every step of 14 days has the trace's rate; where no sample was, nothing is made up."""
    values = asked(server, history, RATE)
    unknown = np.isnan(history.rates)
    # A rate needs a sample before: the first step, and the first one after each gap, have none.
    expected_missing = unknown | np.concatenate([[True], unknown[:-1]])
    assert GAP.stop - GAP.start < expected_missing.sum() < 200
    np.testing.assert_array_equal(np.isnan(values), expected_missing)
    known = ~expected_missing
    np.testing.assert_allclose(values[known], history.rates[known], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("query", "attribute"),
    [
        ("request_queue_length", "queue"),
        ("kube_deployment_spec_replicas", "wanted"),
        ("kube_deployment_status_replicas_ready", "ready"),
    ],
)
def test_gauges_are_read_as_recorded(server, history, query, attribute):
    """Samples come back unchanged; in a gap Prometheus' last sample counts for five minutes."""
    values = asked(server, history, query)
    unknown = np.isnan(history.rates)
    recorded = getattr(history, attribute)
    np.testing.assert_array_equal(values[~unknown], recorded[~unknown])
    assert np.isnan(values[GAP][LOOKBACK_STEPS:]).all()
    assert (values[GAP][: LOOKBACK_STEPS - 1] == recorded[GAP.start - 1]).all()


def test_the_recorded_service_follows_its_own_rules(history):
    """Replicas hold the highest wish of five steps, ready ones lag, the queue is what is left."""
    assert history.wanted.min() >= 1
    assert history.wanted.max() >= 20
    step = 24 * 60
    wishes = np.ceil(history.rates[step - HOLD_STEPS + 1 : step + 1] / TARGET_PER_SECOND)
    assert history.wanted[step] == wishes.max()
    rises = np.flatnonzero(np.diff(history.wanted) > 0) + 1
    assert (history.ready[rises] < history.wanted[rises]).all()
    assert (history.queue > 0).sum() > 10
    grows = np.flatnonzero(np.diff(history.queue) > 0) + 1
    too_many = history.rates[grows] - history.ready[grows - 1] * REPLICA_PER_SECOND
    np.testing.assert_allclose(np.diff(history.queue)[grows - 1], too_many * 60, rtol=1e-6)


def test_long_ranges_are_asked_for_in_parts(server, history):
    """More points than Prometheus answers at once come in several queries, with progress."""
    told: list[tuple[int, int]] = []
    trace = query_range(
        Access(url=server.url),
        RATE,
        from_at=float(history.at[0]),
        to_at=float(history.at[-1]),
        step_seconds=30,
        progress=lambda done, needed: told.append((done, needed)),
    )
    assert len(trace.values) == 2 * len(history.at) - 1 > 4 * POINTS_PER_QUERY
    assert told == [(number, 5) for number in range(1, 6)]
    on_minutes = trace.values[::2]
    np.testing.assert_array_equal(on_minutes, asked(server, history, RATE))


def test_a_scenario_takes_its_workload_from_prometheus(server, history):
    """A workload section with a query gives the load of the last days, in the right places."""
    raw = {"prometheus": {"url": server.url}, "query": RATE, "days": 2, "every_seconds": 60}
    trace = build_trace(workload_of(raw), Path(), now=float(history.at[-1]))
    assert trace.duration_seconds == pytest.approx(2 * 86_400, abs=60)
    # The rate at an instant is that of the step that ends there.
    assert trace.start_at + trace.duration_seconds == history.at[-1]
    count = len(trace.values)
    np.testing.assert_allclose(trace.values, history.rates[-count:], rtol=1e-6)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("rate(http_requests_total[90s])", r"gives 2 series .*wrap it in sum\(\)"),
        ("rate(http_requests_total", "refuses the query.*400"),
        ("sum(no_such_series)", "gave no value"),
        ("-sum(kube_deployment_spec_replicas)", "gave -[0-9]+ at [0-9]{10}, must be >= 0"),
        (" ", "query is empty"),
    ],
)
def test_queries_that_give_no_load_are_refused(server, history, query, said):
    """Several series, bad PromQL, no data and negative values are errors that name the query."""
    with pytest.raises(SimulationError, match=said) as caught:
        asked(server, history, query)
    assert caught.value.field == "query"
