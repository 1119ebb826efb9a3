"""What a backtest makes of what was recorded.

The whole way, from a real Prometheus on, is in ``tests/integration/test_backtest.py``.
"""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from simulations.backtest.model import ServiceModel
from simulations.backtest.run import backtest
from simulations.plant.parameters import Delay, Service, StartUp, Waiting
from simulations.workload.trace import Trace

MIDNIGHT = 1_700_006_400.0
"""2023-11-15 00:00 UTC."""
STEP = 15.0
DAY_STEPS = 5760
RATE = "sum(rate(http_requests_total[1m]))"

SERVICE = ServiceModel(
    service=Service(mean_seconds=0.2, concurrency=4),
    start_up=StartUp(container=Delay(median_seconds=45, p95_seconds=90)),
    waiting=Waiting(slo_seconds=0.2),
)


def scaled_object(*, query=RATE, kind="keda.sh", **metadata):
    """Return an object with one prometheus trigger."""
    return {
        "apiVersion": f"{kind}/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "scaleTargetRef": {"name": "web"},
            "minReplicaCount": 2,
            "maxReplicaCount": 80,
            "triggers": [
                {
                    "type": "prometheus",
                    "metadata": {
                        "serverAddress": "http://prometheus:9090",
                        "query": query,
                        "threshold": "14",
                        **metadata,
                    },
                }
            ],
        },
    }


def recorded(values, *, step_seconds=STEP, start_at=MIDNIGHT):
    """Return a trace of what was recorded, one value per instant."""
    return Trace(
        name="recorded",
        start_at=start_at,
        step_seconds=step_seconds,
        values=np.array(values, dtype=np.float64),
    )


def square(at):
    """Return requests per second at some times: 100 and 400, in turn for an hour each."""
    return np.where((at // 3600) % 2 == 1, 400.0, 100.0)


def instants(count=DAY_STEPS):
    """Return the instants of a day's record."""
    return MIDNIGHT + np.arange(count) * STEP


def rates(window, at):
    """Return the mean of :func:`square` over a time before each of some instants."""
    back = np.arange(window) + 0.5
    return square(at[:, None] - back).mean(axis=1)


def of_policy(run):
    """Return what a record of a run's ready replicas would hold."""
    return recorded(run.serving, step_seconds=run.step_seconds, start_at=run.start_at)


@pytest.mark.parametrize("slow", [False, True])
def test_what_really_served_serves_in_the_step_it_was_recorded_for(slow):
    """A policy's own pods, given as the record: the same pods, and as many late requests."""
    start_up = StartUp(container=Delay(median_seconds=120, p95_seconds=240))
    service = replace(SERVICE, start_up=start_up) if slow else SERVICE
    seen = {0: recorded(rates(60, instants()))}
    first = backtest(scaled_object(), seen, replicas=None, load=None, service=service)
    both = backtest(
        scaled_object(), seen, replicas=of_policy(first.policy), load=None, service=service
    )
    assert len(np.unique(first.policy.serving)) > 3
    np.testing.assert_array_equal(both.actual.serving, first.policy.serving)
    assert both.scores[1].late == first.scores[0].late > 0
