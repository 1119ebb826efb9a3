"""The series of ScaledJobs, beside those all objects have.

They are series of their own because a ScaledObject and a ScaledJob may have the same name.
"""

from __future__ import annotations

from typing import Any, Final

from prometheus_client import Counter, Gauge

from autoscaler.telemetry.metrics import OBJECT_LABELS, MetricLabels, Metrics, owner_of

SCALED_JOB: Final = "scaledjob"


class JobMetrics:
    """What is counted about ScaledJobs.

    Args:
        metrics: All series of the service; readings of ScaledJobs are among them.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        registry = metrics.registry
        self.running = Gauge(
            "flyball_jobs_running", "Unfinished jobs.", OBJECT_LABELS, registry=registry
        )
        self.pending = Gauge(
            "flyball_jobs_pending",
            "Unfinished jobs that have not begun.",
            OBJECT_LABELS,
            registry=registry,
        )
        self.failures = Counter(
            "flyball_job_creation_failures_total",
            "Jobs that could not be created, by reason.",
            (*OBJECT_LABELS, "reason"),
            registry=registry,
        )
        self.deleted = Counter(
            "flyball_jobs_deleted_total", "Jobs deleted.", OBJECT_LABELS, registry=registry
        )
        self.active = Gauge(
            "flyball_scaled_job_active",
            "1 when a trigger of the ScaledJob is active.",
            OBJECT_LABELS,
            registry=registry,
        )
        self.ready = Gauge(
            "flyball_scaled_job_ready",
            "1 when the ScaledJob can be acted on.",
            OBJECT_LABELS,
            registry=registry,
        )
        self.paused = Gauge(
            "flyball_scaled_job_paused",
            "1 when the ScaledJob is paused.",
            OBJECT_LABELS,
            registry=registry,
        )
        self.keda_errors = Counter(
            "keda_scaled_job_errors_total",
            "Reconciles of a ScaledJob that could not act.",
            ("namespace", "scaledJob"),
            registry=registry,
        )

    def decided(
        self,
        namespace: str,
        name: str,
        *,
        at: float,
        running: int | None,
        pending: int | None,
        is_active: bool,
        is_paused: bool,
    ) -> None:
        """Note a decision; counts are None when the jobs could not be listed."""
        self._metrics.decided_at(owner_of(namespace, name, SCALED_JOB), at)
        if running is not None and pending is not None:
            self._of(self.running, namespace, name).set(running)
            self._of(self.pending, namespace, name).set(pending)
        self._of(self.active, namespace, name).set(is_active)
        self._of(self.ready, namespace, name).set(1)
        self._of(self.paused, namespace, name).set(is_paused)

    def created(self, namespace: str, name: str, count: int) -> None:
        """Note created jobs."""
        self._of(self._metrics.jobs_created, namespace, name).inc(count)

    def not_created(self, namespace: str, name: str, reason: str, count: int) -> None:
        """Note jobs that could not be created; ``reason`` is CamelCase."""
        self._of(self.failures, namespace, name, reason).inc(count)

    def gone(self, namespace: str, name: str, count: int) -> None:
        """Note deleted jobs."""
        self._of(self.deleted, namespace, name).inc(count)

    def could_not_act(self, namespace: str, name: str) -> None:
        """Note a ScaledJob that cannot work."""
        self._of(self.ready, namespace, name).set(0)
        self._of(self.keda_errors, namespace, name).inc()

    def read(self, labels: MetricLabels, value: float, *, is_active: bool) -> None:
        """Note a good reading."""
        self._metrics.read(labels, value, is_active=is_active)

    def reading_failed(self, labels: MetricLabels, reason: str) -> None:
        """Note a failed reading."""
        self._metrics.reading_failed(labels, reason)

    def forget(self, namespace: str, name: str) -> None:
        """Remove all series of a deleted object."""
        self._metrics.forget(namespace, name, SCALED_JOB)

    def _of(self, metric: Any, namespace: str, name: str, *more: str) -> Any:
        owner = owner_of(namespace, name, SCALED_JOB)
        return self._metrics.series(metric, owner, (namespace, name, *more))
