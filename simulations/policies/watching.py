"""The signals that autoscalers are compared on, each as its usual source shows it."""

from __future__ import annotations

from typing import Final

from simulations.plant.parameters import Signal, SignalKind

RATE: Final = "rate"
"""``sum(rate(requests_total[1m]))`` of a Prometheus that scrapes every 15 s."""

FAST_RATE: Final = "rate_15s"
"""``sum(rate(requests_total[15s]))`` of one that scrapes every 5 s."""

QUEUE: Final = "queue"
"""Requests that wait, as the broker or the gateway says."""

IN_FLIGHT: Final = "in_flight"
"""Requests that wait or are served, as Knative's queue-proxy reports them."""

CPU: Final = "cpu"
"""Utilisation as ``metrics.k8s.io`` shows it."""

REPORT_SECONDS: Final = 5.0
"""Between two reports of Knative's proxies; really 1 s, but not shorter than a step."""


def standard_signals(*, lag_ratio: float = 1.0) -> tuple[Signal, ...]:
    """Return all signals.

    Prometheus: scrapes every 15 s (the interval of its getting-started configuration and of the
    Prometheus operator is 15 s to 60 s) and 5 s until a scraped value answers a query. CPU:
    metrics-server's ``--metric-resolution`` is 15 s, and the kubelet's own figures are about as
    old. Queue lengths are asked of their source. Knative's proxies push every second, so its metric
    has no lag at the length of a step.

    Args:
        lag_ratio: Factor on all lags; Knative's, which is 0, grows by the reports left out.
    """
    extra = (lag_ratio - 1.0) * REPORT_SECONDS
    return (
        Signal(
            name=RATE,
            kind=SignalKind.REQUEST_RATE,
            window_seconds=60.0,
            scrape_seconds=15.0,
            lag_seconds=5.0 * lag_ratio,
        ),
        Signal(
            name=FAST_RATE,
            kind=SignalKind.REQUEST_RATE,
            window_seconds=15.0,
            scrape_seconds=5.0,
            lag_seconds=5.0 * lag_ratio,
        ),
        Signal(
            name=QUEUE,
            kind=SignalKind.QUEUE_LENGTH,
            scrape_seconds=5.0,
            lag_seconds=5.0 * lag_ratio,
        ),
        Signal(
            name=IN_FLIGHT,
            kind=SignalKind.CONCURRENCY,
            scrape_seconds=REPORT_SECONDS,
            lag_seconds=max(0.0, extra),
        ),
        Signal(
            name=CPU,
            kind=SignalKind.UTILIZATION,
            window_seconds=15.0,
            scrape_seconds=15.0,
            lag_seconds=15.0 * lag_ratio,
        ),
    )
