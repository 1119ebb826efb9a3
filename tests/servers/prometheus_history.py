"""A real Prometheus that remembers two weeks of a service which was scaled all the while.

::

    history = history_of(load_trace("worldcup98"), from_day=70, until_at=time.time())
    with running_history(history) as server:
        server.query(...)  # or anything that speaks to server.url

Series, one sample at the end of every step (default: 14 days at 60 s; labels ``namespace`` and
``deployment`` as in :data:`LABELS`):

* ``http_requests_total``: counter of ``PODS`` pods, sharing the load evenly;
  ``sum(rate(http_requests_total[90s]))`` with steps of 60 s is the load of the step that ended.
* ``request_queue_length``: gauge, what waits at the end of the step.
* ``kube_deployment_spec_replicas``, ``kube_deployment_status_replicas`` (as many: pods are created
  at once), ``kube_deployment_status_replicas_ready``: gauges under the names of kube-state-metrics.

The service and its autoscaler are made up, but consistent with the load, and simple enough to check
by hand (:func:`_live`). Where the trace knows nothing, no series has a sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from simulations.workload import compose
from simulations.workload.trace import Floats, Trace
from tests.servers.prometheus import PrometheusServer

DAY_SECONDS = 86_400
NAMESPACE, DEPLOYMENT = "shop", "web"
LABELS = f'namespace="{NAMESPACE}",deployment="{DEPLOYMENT}"'
PODS = 2
"""Series of the counter."""
COUNTER_START = 1e9
"""Of each counter; far from zero, where ``rate()`` extrapolates less."""
RETENTION = "10y"
"""More than any history, so that no block is deleted at the start."""

REPLICA_PER_SECOND = 20.0
"""What a replica serves."""
TARGET_PER_SECOND = 16.0
"""What the made-up autoscaler wants a replica to serve: 80 %."""
READY_STEPS = 3
"""From a scale-up to ready replicas."""
HOLD_STEPS = 5
"""Scale-down waits until the highest wish of so many steps is lower."""


@dataclass(frozen=True)
class History:
    """What the server knows.

    Attributes:
        at: End of each step, epoch seconds.
        step_seconds: Between them.
        rates: Requests per second of the step that ended; NaN = no series has a sample.
        queue: Requests waiting then.
        wanted: ``kube_deployment_spec_replicas`` and ``kube_deployment_status_replicas``.
        ready: ``kube_deployment_status_replicas_ready``.
    """

    at: Floats
    step_seconds: float
    rates: Floats
    queue: Floats
    wanted: Floats
    ready: Floats

    def openmetrics(self) -> str:
        """Return all samples as OpenMetrics text."""
        known = np.flatnonzero(~np.isnan(self.rates))
        instants = [f"{at:.3f}" for at in self.at[known]]
        steps = np.where(np.isnan(self.rates), 0.0, self.rates) * self.step_seconds
        counts = COUNTER_START + np.cumsum(steps) / PODS
        lines = ["# TYPE http_requests counter"]
        for pod in range(PODS):
            series = f'http_requests_total{{{LABELS},pod="{DEPLOYMENT}-{pod}"}}'
            lines += _lines(series, counts[known], instants)
        for name, values in (
            ("request_queue_length", self.queue),
            ("kube_deployment_spec_replicas", self.wanted),
            ("kube_deployment_status_replicas", self.wanted),
            ("kube_deployment_status_replicas_ready", self.ready),
        ):
            lines.append(f"# TYPE {name} gauge")
            lines += _lines(f"{name}{{{LABELS}}}", values[known], instants)
        return "\n".join([*lines, "# EOF", ""])


def history_of(
    trace: Trace,
    *,
    until_at: float,
    from_day: float = 0,
    days: float = 14,
    step_seconds: float = 60,
    peak_per_second: float = 400,
) -> History:
    """Return a history under some days of a trace.

    Args:
        trace: Its days are moved so that they end at ``until_at``.
        until_at: End of the history, epoch seconds; rounded down to a whole step.
        from_day: Of the trace.
        days: Length; the trace must last that long.
        step_seconds: Of the samples, as a scrape interval would be.
        peak_per_second: The 99.9th percentile of these days is scaled to this.
    """
    days_of_trace = compose.cut(
        trace, from_seconds=from_day * DAY_SECONDS, duration_seconds=days * DAY_SECONDS
    )
    scaled = compose.scaled_to_peak(days_of_trace, peak_per_second)
    rates = compose.resampled(scaled, step_seconds).values
    steps = round(days * DAY_SECONDS / step_seconds)
    assert len(rates) == steps, f"{trace.name} ends before day {from_day + days}"
    last_at = until_at // step_seconds * step_seconds
    queue, wanted, ready = _live(rates, step_seconds)
    return History(
        at=last_at - np.arange(steps - 1, -1, -1) * step_seconds,
        step_seconds=step_seconds,
        rates=rates,
        queue=queue,
        wanted=wanted,
        ready=ready,
    )


@contextmanager
def running_history(history: History) -> Iterator[PrometheusServer]:
    """Run a Prometheus with the history; one to two seconds for 14 days at 60 s.

    Raises:
        ServerMissing: This machine has no Prometheus.
    """
    server = PrometheusServer(arguments=[f"--storage.tsdb.retention.time={RETENTION}"])
    try:
        server.backfill(history.openmetrics())
        server.start()
        yield server
    finally:
        server.close()


def _live(rates: Floats, step_seconds: float) -> tuple[Floats, Floats, Floats]:
    """Return queue, wanted and ready replicas at the end of every step.

    Wanted is the load of the step over the target, at least 1, the highest of the last
    ``HOLD_STEPS`` steps; ready follows a rise ``READY_STEPS`` later and a fall at once. A step of
    unknown load changes nothing.
    """
    wishes: list[float] = []
    queues, wanteds, readies = [], [], []
    queue = 0.0
    for rate in rates:
        if not np.isnan(rate):
            wishes.append(max(1.0, np.ceil(rate / TARGET_PER_SECOND)))
            serving = readies[-1] if readies else wishes[0]
            queue = max(0.0, queue + (rate - serving * REPLICA_PER_SECOND) * step_seconds)
        wanteds.append(max(wishes[-HOLD_STEPS:], default=1.0))
        readies.append(min(wanteds[-1 - READY_STEPS :]))
        queues.append(queue)
    return np.array(queues), np.array(wanteds), np.array(readies)


def _lines(series: str, values: Floats, instants: list[str]) -> list[str]:
    return [f"{series} {value!r} {at}" for value, at in zip(values.tolist(), instants, strict=True)]
