"""An error of the Kubernetes API where somebody asked it for a metric."""

from __future__ import annotations

from autoscaler.errors import (
    KubeError,
    MetricError,
    MetricMalformed,
    MetricRejected,
    MetricUnavailable,
    TooManyRequests,
    Unreachable,
)


def as_metric_error(error: KubeError) -> MetricError:
    """Return the metric error that says the same."""
    if isinstance(error, (Unreachable, TooManyRequests)):
        return MetricUnavailable(str(error), retry_after_seconds=error.retry_after_seconds)
    if error.status == 0:
        return MetricMalformed(str(error))
    return MetricRejected(str(error))
