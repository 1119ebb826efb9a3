"""The external scaler as one part of a process: policies, methods and server."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from autoscaler.controller.settings import ControllerSettings
from autoscaler.external.addresses import AllowedHosts
from autoscaler.external.certificates import CertificateFolder
from autoscaler.external.methods import Methods
from autoscaler.external.policies import Policies
from autoscaler.external.server import ExternalScalerServer
from autoscaler.external.view import PoliciesView
from autoscaler.kube.transport import KubeClient
from autoscaler.plugins import ScalerRegistry
from autoscaler.runtime.clock import Clock
from autoscaler.settings import ExternalSettings
from autoscaler.telemetry.metrics import Metrics


class ExternalScaler:
    """Gives KEDA our decisions.

    Args:
        client: Connection to a cluster, of its own; None = there is none.
        settings: Where and how to serve.
        controller: How policies are read and decided on.
        clock: The time decisions go by.
        rng: Jitter.
        metrics: Where numbers go.

    Raises:
        ConfigError: A setting cannot be used.
    """

    def __init__(
        self,
        client: KubeClient | None,
        *,
        settings: ExternalSettings,
        controller: ControllerSettings,
        clock: Clock,
        rng: random.Random,
        metrics: Metrics,
    ) -> None:
        allowed = AllowedHosts(settings.allowed_hosts)
        folder = settings.certificate_folder
        certificates = CertificateFolder(Path(folder), clock) if folder else None
        self.policies = Policies(
            ScalerRegistry(check=allowed.check),
            client,
            settings=controller,
            objects_max=settings.objects,
            metadata_bytes_max=settings.metadata_bytes,
            forget_seconds=settings.forget_seconds,
            is_trusted=certificates is not None and certificates.wants_clients,
            follow_redirects=not settings.allowed_hosts,
            clock=clock,
            rng=rng,
            metrics=metrics,
        )
        methods = Methods(
            self.policies,
            metrics,
            wait_seconds=settings.wait_seconds,
            streams_max=settings.streams,
            calls_max=settings.concurrent_calls,
        )
        self.server = ExternalScalerServer(methods, settings, certificates)
        self.view = PoliciesView(self.policies, metrics)

    async def run(self) -> None:
        """Serve until cancelled (a root task).

        Raises:
            ConfigError: The address cannot be listened on.
        """
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self.policies.run(), name="external-policies")
                group.create_task(self.view.run(), name="external-beat")
                try:
                    await self.server.run()
                finally:
                    # Calls under way were answered; only now nothing is read any more.
                    reading.cancel()
        except ExceptionGroup as group_error:
            # One failure is what everybody can make sense of.
            raise group_error.exceptions[0] from group_error
