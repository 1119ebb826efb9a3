"""One metric of one object, and who asked for it."""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable

from autoscaler.core.model import MetricSource, Reading
from autoscaler.errors import MetricError, MetricMalformed, shorten
from autoscaler.sdk.scaler import Answer, Scaler

log = logging.getLogger(__name__)

POD_METRICS = frozenset({MetricSource.RESOURCE, MetricSource.CONTAINER_RESOURCE, MetricSource.PODS})
"""Read from the metrics API by whoever observes the pods, not from a source."""


class Subscription:
    """A metric of an object, the query that answers it and how often it is wanted."""

    __slots__ = ("interval_seconds", "key", "metric", "query", "scaler")

    def __init__(self, key: str, scaler: Scaler, metric: str, interval_seconds: float) -> None:
        self.key = key
        self.scaler = scaler
        self.metric = metric
        self.interval_seconds = interval_seconds
        self.query: Hashable = scaler.query(metric)

    @property
    def source_key(self) -> Hashable:
        """Return what identifies the source; scalers of different types never share one."""
        return (type(self.scaler), self.scaler.source_key())

    def asks_the_same(self, other: Subscription) -> bool:
        """Whether a reading taken for ``other`` is one of this metric, too."""
        return self.query == other.query and self.source_key == other.source_key

    def reading(self, answer: Answer | MetricError, at: float) -> Reading:
        """Turn an answer into a reading; anything but a finite value is an error reading."""
        if isinstance(answer, MetricError):
            return Reading.failed(self.metric, str(answer), at, reason=answer.reason)
        try:
            reading = self.scaler.reading(self.metric, answer, at)
        except MetricError as error:
            return Reading.failed(self.metric, str(error), at, reason=error.reason)
        except Exception as error:
            # A scaler's bug stays with its trigger.
            log.warning("scaler_failed", exc_info=error, extra={"metric": self.metric})
            return Reading.failed(self.metric, describe(error), at, reason="ScalerFailed")
        if reading.error is None and reading.value is not None and not math.isfinite(reading.value):
            return Reading.failed(
                self.metric,
                f"the value is {reading.value}, which is no number",
                at,
                reason=MetricMalformed.reason,
            )
        return reading


def describe(error: BaseException) -> str:
    """Return a short text for an exception nobody expected."""
    return shorten(f"the scaler failed: {type(error).__name__}: {error}")


def subscriptions(key: str, scaler: Scaler, interval_seconds: float) -> list[Subscription]:
    """Return one subscription for each metric of a scaler that comes from a source."""
    return [
        Subscription(key, scaler, spec.name, interval_seconds)
        for spec in scaler.metric_specs()
        if spec.source not in POD_METRICS
    ]
