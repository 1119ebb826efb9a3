"""The service under test, running in this process as a service account of the cluster."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from autoscaler.controller.service import Service
from autoscaler.controller.settings import ControllerSettings
from autoscaler.kube.transport import KubeClient
from autoscaler.plugins import ScalerRegistry
from tests.deploy.rights import Right
from tests.e2e.controlplane import ControlPlane
from tests.e2e.deployed import ACCOUNT, grant
from tests.e2e.objects import Objects, until

QUICK = ControllerSettings(
    refresh_seconds=2.0, retry_seconds=1.0, status_seconds=1.0, event_repeat_seconds=60.0
)


async def account_of_the_service(
    plane: ControlPlane, objects: Objects, *components: str, without: Collection[Right] = ()
) -> tuple[str, Path]:
    """Make a service account with the rights of ``deploy/kustomize/base`` and of some components.

    Args:
        plane: The control plane.
        objects: Whose namespace it lives in.
        components: Kustomize components.
        without: Rights that are left out.

    Returns:
        The account's user name, and its kubeconfig.
    """
    namespace, name = objects.namespace, ACCOUNT
    await grant(objects, name, *components, without=without)
    kubeconfig = await asyncio.to_thread(plane.account_kubeconfig, namespace, name)
    return f"system:serviceaccount:{namespace}:{name}", kubeconfig


@asynccontextmanager
async def running(
    kubeconfig: Path,
    settings: ControllerSettings = QUICK,
    *,
    seed: int = 1,
) -> AsyncIterator[Service]:
    """Run the service; fails if a part of it ended by itself.

    Args:
        kubeconfig: Of the account it runs as.
        settings: Of the controller.
        seed: Of its jitter.
    """
    client = await KubeClient.connect(str(kubeconfig), in_cluster=False)
    service = Service(client, ScalerRegistry(), settings=settings, rng=random.Random(seed))
    task = asyncio.ensure_future(service.run())
    try:

        async def is_ready() -> bool:
            assert not task.done(), "the service ended"
            return not service.unready_reasons()

        await until("the service is ready", is_ready)
        yield service
    finally:
        service.stop()
        try:
            await task
        finally:
            await client.close()
