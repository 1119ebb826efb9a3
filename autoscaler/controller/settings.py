"""Bounds and choices of the controller."""

from __future__ import annotations

import msgspec

from autoscaler.collect.settings import CollectorSettings
from autoscaler.controller.objects import WatchKeda
from autoscaler.controller.snapshots import SnapshotSettings
from autoscaler.core.model import HpaSettings
from autoscaler.settings import Settings


class ControllerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How objects are watched and acted on; durations are seconds of the service's clock.

    Attributes:
        namespace: Watch only this namespace; None = all.
        cluster_object_namespace: Where a ClusterTriggerAuthentication's Secrets are.
        watch_keda: Which objects of ``keda.sh`` to act on beside our own.
        workers: Objects reconciled at the same time.
        reconcile_seconds: Longest time one reconcile may take (real seconds).
        grace_seconds: How long running reconciles may take after a stop (real seconds).
        refresh_seconds: How often references (Secrets, environment) are looked up again.
        retry_seconds: How long an object that cannot work waits for what it misses.
        status_seconds: Unimportant status changes are written at most this often.
        event_repeat_seconds: The same event about an object is repeated at most this often.
        resource_metrics_seconds: Longest time between two reads of cpu and memory usage.
        journal_length: Decisions remembered per object.
        hpa: Settings of the HPA arithmetic.
        collector: Bounds of reading metrics.
        snapshots: Where memories are kept over a restart.
    """

    namespace: str | None = None
    cluster_object_namespace: str = "flyball-system"
    watch_keda: WatchKeda = WatchKeda.OFF
    workers: int = 16
    reconcile_seconds: float = 30.0
    grace_seconds: float = 10.0
    refresh_seconds: float = 60.0
    retry_seconds: float = 10.0
    status_seconds: float = 120.0
    event_repeat_seconds: float = 300.0
    resource_metrics_seconds: float = 15.0
    journal_length: int = 20
    hpa: HpaSettings = HpaSettings()
    collector: CollectorSettings = CollectorSettings()
    snapshots: SnapshotSettings = SnapshotSettings()


def controller_settings(settings: Settings) -> ControllerSettings:
    """Return the part of the process's settings that concerns the controller."""
    kubernetes, polling, scaling = settings.kubernetes, settings.polling, settings.scaling
    return ControllerSettings(
        namespace=kubernetes.namespace,
        cluster_object_namespace=kubernetes.cluster_object_namespace,
        watch_keda=WatchKeda(kubernetes.watch_keda),
        workers=scaling.workers,
        reconcile_seconds=scaling.reconcile_seconds,
        grace_seconds=scaling.grace_seconds,
        hpa=HpaSettings(
            tolerance=scaling.tolerance,
            downscale_stabilization_seconds=scaling.downscale_stabilization_seconds,
            cpu_initialization_period_seconds=scaling.cpu_initialization_period_seconds,
            initial_readiness_delay_seconds=scaling.initial_readiness_delay_seconds,
        ),
        collector=CollectorSettings(
            deadline_seconds=polling.deadline_seconds,
            concurrent_sources=polling.concurrent_sources,
            coalesce_seconds=polling.coalesce_seconds,
        ),
        snapshots=SnapshotSettings(
            is_enabled=settings.memory.is_enabled,
            namespace=settings.memory.namespace,
            name=settings.memory.name,
            write_seconds=settings.memory.write_seconds,
            refresh_seconds=settings.memory.refresh_seconds,
        ),
    )
