"""Every Prometheus series of the service, declared in one place.

Series of an object carry the labels ``namespace`` and ``name``; they are removed with the object
(:meth:`Metrics.forget`), because a gauge of something that no longer exists is a lie. Label values
are bounded by what users create; error texts never become labels. The ``keda_*`` series mirror ours
under the names existing dashboards use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from autoscaler import __version__

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
OBJECT_LABELS: Final = ("namespace", "name")
KEDA_SCALER_LABELS: Final = (
    "namespace",
    "metric",
    "scaledObject",
    "scaler",
    "triggerIndex",
    "type",
)
LATENCY_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
SCALED_OBJECT: Final = "scaledobject"
OK: Final = "ok"
"""Outcome label of what went well; failures carry the error's reason."""


_Series = tuple[Any, tuple[str, ...]]
"""A metric and its label values."""


class MetricLabels(msgspec.Struct, frozen=True, kw_only=True):
    """Which metric of which object.

    Attributes:
        metric: Metric name, ``s0-…``.
        scaler: Trigger type.
        kind: Of the object, in lower case; objects of two kinds may have the same name.
    """

    namespace: str
    name: str
    metric: str
    scaler: str
    trigger_index: int = 0
    kind: str = SCALED_OBJECT

    @property
    def owner(self) -> tuple[str, str]:
        """What the series are removed with (:meth:`Metrics.forget`)."""
        return owner_of(self.namespace, self.name, self.kind)


def owner_of(namespace: str, name: str, kind: str = SCALED_OBJECT) -> tuple[str, str]:
    """Return what the series of an object are removed with."""
    return namespace, name if kind == SCALED_OBJECT else f"{kind}/{name}"


class Metrics:
    """The service's series in one registry.

    Args:
        registry: Where to register; None = a new one, so that two services in one process (tests,
            the demo) do not share counts.
        keda_names: Also expose the ``keda_*`` mirrors.
    """

    def __init__(
        self, registry: CollectorRegistry | None = None, *, keda_names: bool = True
    ) -> None:
        self.registry = registry or CollectorRegistry()
        self._keda_names = keda_names
        self._by_object: dict[tuple[str, str], dict[_Series, None]] = {}
        self._children: dict[_Series, Any] = {}
        self._shown: dict[tuple[str, str], tuple[int, int, bool, bool]] = {}
        self._decided_at: dict[tuple[str, str], float] = {}
        self._declare_objects()
        self._declare_sources()
        self._declare_service()
        if keda_names:
            self._declare_keda()

    def _declare_objects(self) -> None:
        self.decisions = self._counter(
            "flyball_decisions_total",
            "Decisions by what became of them.",
            *OBJECT_LABELS,
            "outcome",
        )
        self.desired = self._gauge(
            "flyball_desired_replicas", "Replicas last decided on.", *OBJECT_LABELS
        )
        self.current = self._gauge(
            "flyball_current_replicas", "Replicas the scale target was asked for.", *OBJECT_LABELS
        )
        self.active = self._gauge(
            "flyball_object_active", "1 when a trigger of the object is active.", *OBJECT_LABELS
        )
        self.ready = self._gauge(
            "flyball_object_ready", "1 when the object can be acted on.", *OBJECT_LABELS
        )
        self.paused = self._gauge(
            "flyball_object_paused", "1 when scaling is paused.", *OBJECT_LABELS
        )
        self.object_errors = self._counter(
            "flyball_object_errors_total",
            "Reconciles that could not act, by reason.",
            *OBJECT_LABELS,
            "reason",
        )
        self.scale_writes = self._counter(
            "flyball_scale_writes_total",
            "Writes to a scale subresource, by direction and outcome.",
            *OBJECT_LABELS,
            "direction",
            "outcome",
        )
        self.jobs_created = self._counter(
            "flyball_jobs_created_total", "Jobs created.", *OBJECT_LABELS
        )

    def _declare_sources(self) -> None:
        self.readings = self._counter(
            "flyball_readings_total",
            "Readings by trigger type and outcome (ok, or the error's reason).",
            "scaler",
            "outcome",
        )
        self.values = self._gauge(
            "flyball_metric_value",
            "Last good value of a metric, as the source gave it.",
            *OBJECT_LABELS,
            "metric",
            "scaler",
        )
        self.fetches = self._histogram(
            "flyball_source_fetch_seconds", "Time of one read of a source.", "scaler", "outcome"
        )
        self.queries = self._counter(
            "flyball_source_queries_total", "Distinct queries sent to sources.", "scaler"
        )
        self.poll_lag = self._histogram(
            "flyball_poll_lag_seconds", "How much later than due a source was read."
        )

    def _declare_service(self) -> None:
        build = self._gauge("flyball_build_info", "Always 1; labelled by version.", "version")
        build.labels(__version__).set(1)
        self.reconciles = self._histogram(
            "flyball_reconcile_seconds", "Time of one reconcile.", "outcome"
        )
        self.queue_depth = self._gauge("flyball_queue_depth", "Objects waiting for a worker.")
        self.queue_delayed = self._gauge("flyball_queue_delayed", "Objects waiting for their time.")
        self.in_flight = self._gauge("flyball_reconciles_in_flight", "Objects being reconciled.")
        self.kube_requests = self._histogram(
            "flyball_kube_request_seconds",
            "Time until the API server answered; code 0 = no answer.",
            "verb",
            "code",
        )
        self.watches = self._gauge(
            "flyball_watch_synced", "1 when a watched resource has been listed.", "resource"
        )
        self.watch_errors = self._counter(
            "flyball_watch_errors_total", "Lists and watches that failed.", "resource"
        )
        self.events_dropped = self._counter("flyball_events_dropped_total", "Events not written.")
        self.loop_lag = self._gauge(
            "flyball_loop_lag_seconds", "How late the event loop ran its last timer."
        )
        self._declare_webhook()
        self._declare_external()

    def _declare_webhook(self) -> None:
        self.webhook_validations = self._counter(
            "flyball_webhook_validations_total",
            "Objects the admission webhook was asked about, by what became of them.",
            "kind",
            "action",
            "outcome",
        )
        self.webhook_seconds = self._histogram(
            "flyball_webhook_review_seconds", "Time of one review."
        )
        self.webhook_certificate_expiry = self._gauge(
            "flyball_webhook_certificate_expiry_timestamp_seconds",
            "When the webhook's certificate expires, epoch seconds; 0 without one.",
        )

    def _declare_external(self) -> None:
        self.external_calls = self._counter(
            "flyball_external_calls_total",
            "Calls of the external scaler, by method and gRPC status.",
            "method",
            "code",
        )
        self.external_seconds = self._histogram(
            "flyball_external_call_seconds", "Time of one call that is no stream.", "method"
        )
        self.external_streams = self._gauge(
            "flyball_external_streams", "Open streams of the external scaler."
        )
        self.external_policies = self._gauge(
            "flyball_external_policies", "Policies the external scaler serves."
        )

    def _declare_keda(self) -> None:
        self.keda_value = self._gauge(
            "keda_scaler_metrics_value", "Same as flyball_metric_value.", *KEDA_SCALER_LABELS
        )
        self.keda_active = self._gauge(
            "keda_scaler_active", "1 when the trigger is active.", *KEDA_SCALER_LABELS
        )
        self.keda_reading_errors = self._counter(
            "keda_scaler_detail_errors_total", "Failed readings.", *KEDA_SCALER_LABELS
        )
        self.keda_object_errors = self._counter(
            "keda_scaled_object_errors_total",
            "Reconciles of a ScaledObject that could not act.",
            "namespace",
            "scaledObject",
        )
        self.keda_paused = self._gauge(
            "keda_scaled_object_paused",
            "1 when a ScaledObject is paused.",
            "namespace",
            "scaledObject",
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=LATENCY_BUCKETS, registry=self.registry)

    def observe_process(self) -> None:
        """Add the process's own memory, CPU and file descriptors."""
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def observe_decision_age(self, now: Callable[[], float]) -> None:
        """Add the age of the oldest object's last decision: the one gauge that proves liveness.

        Args:
            now: Same clock as the ``at`` of :meth:`decided`.
        """
        self.registry.register(_DecisionAge(self._decided_at, now))

    def decided(
        self,
        namespace: str,
        name: str,
        *,
        at: float,
        outcome: str,
        current: int,
        desired: int,
        is_active: bool,
        is_paused: bool = False,
    ) -> None:
        """Note a decision about an object."""
        self._decided_at[namespace, name] = at
        self._of(self.decisions, namespace, name, outcome).inc()
        shown = (current, desired, is_active, is_paused)
        if self._shown.get((namespace, name)) == shown:
            return
        self._shown[namespace, name] = shown
        self._of(self.current, namespace, name).set(current)
        self._of(self.desired, namespace, name).set(desired)
        self._of(self.active, namespace, name).set(is_active)
        self._of(self.ready, namespace, name).set(1)
        self._of(self.paused, namespace, name).set(is_paused)
        if self._keda_names:
            self._of(self.keda_paused, namespace, name).set(is_paused)

    def decided_at(self, owner: tuple[str, str], at: float) -> None:
        """Note when an object was last decided on, for :meth:`observe_decision_age`."""
        self._decided_at[owner] = at

    def could_not_act(self, namespace: str, name: str, reason: str) -> None:
        """Note a reconcile that ended in an error; ``reason`` is CamelCase."""
        self._of(self.object_errors, namespace, name, reason).inc()
        self._of(self.ready, namespace, name).set(0)
        self._shown.pop((namespace, name), None)
        if self._keda_names:
            self._of(self.keda_object_errors, namespace, name).inc()

    def scaled(
        self, namespace: str, name: str, *, before: int, after: int, outcome: str = OK
    ) -> None:
        """Note a write to a scale subresource; ``outcome`` is ``ok`` or an error's reason."""
        direction = "up" if after > before else "down"
        self._of(self.scale_writes, namespace, name, direction, outcome).inc()

    def read(self, labels: MetricLabels, value: float, *, is_active: bool) -> None:
        """Note a good reading."""
        self._child((self.readings, (labels.scaler, OK))).inc()
        of = (labels.namespace, labels.name, labels.metric, labels.scaler)
        self.series(self.values, labels.owner, of).set(value)
        if self._keda_names:
            self._keda(self.keda_value, labels).set(value)
            self._keda(self.keda_active, labels).set(is_active)

    def reading_failed(self, labels: MetricLabels, reason: str) -> None:
        """Note a failed reading; the last good value stays exposed."""
        self._child((self.readings, (labels.scaler, reason))).inc()
        if self._keda_names:
            self._keda(self.keda_reading_errors, labels).inc()

    def fetched(self, scaler: str, seconds: float, queries: int, error_reason: str = "") -> None:
        """Note one read of a source, whole; an empty reason means it answered."""
        self.fetches.labels(scaler, error_reason or OK).observe(seconds)
        self.queries.labels(scaler).inc(queries)

    def kube_requested(self, verb: str, status: int, seconds: float) -> None:
        """Note a request to the API server; fits ``KubeClient(on_request=…)``."""
        self.kube_requests.labels(verb, str(status)).observe(seconds)

    def forget(self, namespace: str, name: str, kind: str = SCALED_OBJECT) -> None:
        """Remove all series of a deleted object."""
        owner = owner_of(namespace, name, kind)
        self._decided_at.pop(owner, None)
        if kind == SCALED_OBJECT:
            self._shown.pop((namespace, name), None)
        for metric, values in self._by_object.pop(owner, {}):
            self._children.pop((metric, values), None)
            metric.remove(*values)

    def expose(self) -> bytes:
        """Return all series in Prometheus text format (``CONTENT_TYPE``)."""
        return generate_latest(self.registry)

    def series(self, metric: Any, owner: tuple[str, str], values: tuple[str, ...]) -> Any:
        """Return the series of a metric with these labels; it is removed with its owner."""
        key: _Series = (metric, values)
        self._by_object.setdefault(owner, {})[key] = None
        return self._child(key)

    def _child(self, key: _Series) -> Any:
        # labels() checks and locks each time: a dozen calls cost more than the decision they tell.
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = key[0].labels(*key[1])
        return child

    def _of(self, metric: Any, namespace: str, name: str, *more: str) -> Any:
        return self.series(metric, owner_of(namespace, name), (namespace, name, *more))

    def _keda(self, metric: Any, labels: MetricLabels) -> Any:
        values = (
            labels.namespace,
            labels.metric,
            labels.name,
            labels.scaler,
            str(labels.trigger_index),
            labels.kind,
        )
        return self.series(metric, labels.owner, values)


class _DecisionAge:
    """A gauge computed when it is read."""

    def __init__(
        self, decided_at: Mapping[tuple[str, str], float], now: Callable[[], float]
    ) -> None:
        self._decided_at = decided_at
        self._now = now

    def collect(self) -> Iterator[Metric]:
        oldest = min(self._decided_at.values(), default=None)
        age = 0.0 if oldest is None else max(0.0, self._now() - oldest)
        yield GaugeMetricFamily(
            "flyball_oldest_decision_age_seconds",
            "Age of the last decision of the object that waits longest; 0 without objects.",
            value=age,
        )
