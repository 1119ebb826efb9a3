"""KEDA as its users install it: definitions, operator, adapter, and the place in the API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import yaml

from autoscaler.kube.transport import KubeClient
from tests.e2e.aggregation import put_behind, take_away
from tests.e2e.controlplane import ControlPlane
from tests.e2e.controlplane.binaries import KEDA, find_files
from tests.e2e.controlplane.certificates import Authority
from tests.e2e.controlplane.harness import any_server
from tests.e2e.keda.programs import KedaAdapter, KedaOperator
from tests.e2e.objects import Objects, define

NAMESPACE: Final = "keda"
METRICS: Final = {"external.metrics.k8s.io": "v1beta1"}


@asynccontextmanager
async def keda_for(
    namespace: str, plane: ControlPlane, client: KubeClient, folder: Path
) -> AsyncIterator[None]:
    """Run KEDA for the objects of one namespace.

    Args:
        namespace: Whose objects it acts on.
        plane: Where it is installed.
        client: Of a user who may do everything.
        folder: For certificates.

    Raises:
        ServerMissing: KEDA was not built here.
    """
    for program in (KedaOperator, KedaAdapter):
        program.check_available()
    objects = Objects(client, NAMESPACE)
    for path in sorted(find_files(KEDA, "definitions").glob("*.yaml")):
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
        await define(objects, body)
    await objects.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    certificates = await asyncio.to_thread(_certificates, folder)
    kubeconfig = plane.kubeconfig()
    environment = {
        "WATCH_NAMESPACE": namespace,
        "POD_NAMESPACE": NAMESPACE,
        "POD_NAME": "keda-operator",
        "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE,
    }
    async with AsyncExitStack() as stack:
        operator = KedaOperator(kubeconfig, certificates, environment)
        await stack.enter_async_context(operator)
        adapter = KedaAdapter(
            kubeconfig, certificates, operator, environment=environment, tls=any_server()
        )
        await stack.enter_async_context(adapter)
        await put_behind(objects, adapter.port, METRICS)
        stack.push_async_callback(take_away, objects, METRICS)
        yield


async def is_ready(objects: Objects, name: str) -> bool:
    """Say whether KEDA has taken a ScaledObject."""
    found = await objects.get("keda.sh/v1alpha1", "ScaledObject", name)
    return any(
        one["type"] == "Ready" and one["status"] == "True"
        for one in found.get("status", {}).get("conditions", ())
    )


def _certificates(folder: Path) -> Path:
    target = folder / "keda-certificates"
    authority = Authority(target, "ca")
    authority.issue(
        "tls",
        common_name="keda-operator",
        alternatives=("DNS:localhost", "DNS:keda-operator", "IP:127.0.0.1"),
    )
    return target
