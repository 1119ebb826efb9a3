"""One metric of one object, and who asked for it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Protocol

import structlog

from autoscaler.core.model import MetricSpec, Reading
from autoscaler.errors import MetricError, MetricMalformed, shorten
from autoscaler.sdk.scaler import Answer, Source, SourceContext

log = structlog.get_logger(__name__)


class MetricReader(Protocol):
    """What reading needs of a scaler; every :class:`~autoscaler.sdk.scaler.Scaler` is one."""

    def metric_specs(self) -> Sequence[MetricSpec]:
        """Return the metrics to read."""
        ...

    def source_key(self) -> Hashable:
        """Return what makes two triggers share a source."""
        ...

    def open_source(self, context: SourceContext) -> Source:
        """Build the source for this key."""
        ...

    def query(self, metric_name: str) -> Hashable:
        """Return what to ask the source."""
        ...

    def reading(self, metric_name: str, answer: Answer, at: float) -> Reading:
        """Turn an answer into a reading; raises MetricError."""
        ...


class Subscription:
    """A metric of an object, the query that answers it and how often it is wanted."""

    __slots__ = ("interval_seconds", "key", "metric", "query", "scaler", "source_key")

    def __init__(
        self, key: str, scaler: MetricReader, metric: str, interval_seconds: float
    ) -> None:
        self.key = key
        self.scaler = scaler
        self.metric = metric
        self.interval_seconds = interval_seconds
        self.query: Hashable = scaler.query(metric)
        # Scalers of different types never share a source.
        self.source_key: Hashable = (type(scaler), scaler.source_key())

    def reads_the_same(self, other: Subscription | None) -> bool:
        """Whether a reading taken for ``other`` is one of this metric, too.

        The same question to the same source is not enough: what an answer amounts to is up to
        the scaler, which is another one as soon as anything about its trigger changes.
        """
        return other is not None and (self.scaler, self.query, self.source_key) == (
            other.scaler,
            other.query,
            other.source_key,
        )

    def or_same(self, other: Subscription | None) -> Subscription:
        """Return ``other`` if it is no different, so that a read of it under way still counts."""
        if other is None or other.interval_seconds != self.interval_seconds:
            return self
        return other if self.reads_the_same(other) else self

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
            log.warning("scaler_failed", exc_info=error, object=self.key, metric=self.metric)
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


def subscriptions(key: str, scaler: MetricReader, interval_seconds: float) -> list[Subscription]:
    """Return one subscription for each metric of a scaler."""
    return [
        Subscription(key, scaler, spec.name, interval_seconds) for spec in scaler.metric_specs()
    ]
