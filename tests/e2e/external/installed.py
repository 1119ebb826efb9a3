"""KEDA and our server side by side, and what KEDA's objects say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from autoscaler.core.quantity import to_milli
from autoscaler.kube.transport import KubeClient
from tests.e2e.controlplane import ControlPlane
from tests.e2e.external.manifests import KEDA
from tests.e2e.external.server import ExternalScaler
from tests.e2e.keda.installed import keda_for
from tests.e2e.objects import Objects
from tests.servers.process import ServerMissing


@asynccontextmanager
async def external_scaler(
    objects: Objects, plane: ControlPlane, client: KubeClient, folder: Path
) -> AsyncIterator[ExternalScaler]:
    """Run KEDA for a namespace, and a server that needs no cluster; skips without a KEDA.

    Args:
        objects: In whose namespace KEDA acts.
        plane: Where it is installed.
        client: Of a user who may do everything.
        folder: For certificates.
    """
    async with keda_in(objects, plane, client, folder), ExternalScaler() as server:
        yield server


@asynccontextmanager
async def keda_in(
    objects: Objects, plane: ControlPlane, client: KubeClient, folder: Path
) -> AsyncIterator[None]:
    """Run KEDA for a namespace and delete its objects at the end; skips where there is no KEDA."""
    async with AsyncExitStack() as stack:
        # At the end, when nobody is left to hold them.
        stack.push_async_callback(objects.delete_ours, KEDA)
        try:
            await stack.enter_async_context(keda_for(objects.namespace, plane, client, folder))
        except ServerMissing as missing:
            pytest.skip(str(missing))
        yield


async def shown_average_milli(objects: Objects, name: str) -> int | None:
    """Return the value per pod that the HPA of an object saw last, in thousandths."""
    found = await objects.get("autoscaling/v2", "HorizontalPodAutoscaler", f"keda-hpa-{name}")
    for metric in found.get("status", {}).get("currentMetrics") or ():
        shown = metric.get("external", {}).get("current", {}).get("averageValue")
        if shown is not None:
            return to_milli(shown)
    return None
