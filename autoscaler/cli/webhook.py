"""Wiring of the admission webhook into ``flyball run``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from autoscaler.controller.objects import ScalingObjects, WatchKeda
from autoscaler.controller.service import Service
from autoscaler.kube.codec import CustomObject, ObjectMeta
from autoscaler.kube.transport import KubeClient
from autoscaler.plugins import ScalerRegistry
from autoscaler.runtime.clock import Clock
from autoscaler.settings import Settings, WebhookSettings
from autoscaler.web.admission import Admission, AdmissionLimits
from autoscaler.web.admission_cluster import ClusterFacts
from autoscaler.web.admission_rules import Reviewer
from autoscaler.web.admission_server import CertificateTimes, WebhookServer
from autoscaler.web.certificate_sources import (
    CertificateFolder,
    CertificateSecret,
    CertificateSource,
)


def add_webhook(
    service: Service,
    settings: Settings,
    *,
    client: KubeClient,
    registry: ScalerRegistry,
    clock: Clock,
    times: CertificateTimes | None = None,
) -> WebhookServer:
    """Run the webhook with the service.

    Args:
        service: Not running yet.
        settings: Of the process.
        client: A connection of its own: reviews must not use up what scaling may ask of the API
            server in a second.
        registry: The trigger types.
        clock: Wall time.
        times: How often to look after the certificate.

    Raises:
        ConfigError: It cannot make its own certificate.
    """
    chosen, kubernetes = settings.webhook, settings.kubernetes
    rng = Random()  # noqa: S311 -- jitter
    watch_keda = WatchKeda(kubernetes.watch_keda)
    cluster = ClusterFacts(
        client, groups=watch_keda.groups, namespace=kubernetes.namespace, rng=rng
    )
    reviewer = Reviewer(registry, cluster, is_ours=_is_ours(watch_keda))
    limits = AdmissionLimits(
        concurrent=chosen.concurrent_reviews, timeout_seconds=chosen.timeout_seconds
    )
    server = WebhookServer(
        Admission(reviewer, service.metrics, limits=limits),
        certificate_source(chosen, client, clock),
        metrics=service.metrics,
        rng=rng,
        host=chosen.host,
        port=chosen.port,
        times=times,
    )
    service.add_task("webhook-watches", cluster.run)
    service.add_task("webhook", server.run)
    return server


def certificate_source(
    settings: WebhookSettings, client: KubeClient, clock: Clock
) -> CertificateSource:
    """Return where the certificate comes from; raises ConfigError."""
    if settings.certificate_folder:
        return CertificateFolder(Path(settings.certificate_folder))
    return CertificateSecret(
        client,
        namespace=client.namespace,
        secret=settings.secret,
        configuration=settings.configuration,
        names=(f"{settings.service}.{client.namespace}.svc", *settings.names),
        clock=clock,
    )


def _is_ours(watch_keda: WatchKeda) -> Callable[[Mapping[str, Any]], bool]:
    objects = ScalingObjects({}, watch_keda)

    def is_ours(raw: Mapping[str, Any]) -> bool:
        metadata = raw.get("metadata")
        found = metadata.get("annotations") if isinstance(metadata, Mapping) else None
        annotations = found if isinstance(found, dict) else {}
        return objects.is_ours(
            CustomObject(metadata=ObjectMeta(annotations=annotations), raw={**raw})
        )

    return is_ours
