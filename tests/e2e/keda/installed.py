"""KEDA as its users install it: definitions, operator, adapter, and the place in the API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml

from autoscaler.kube.transport import KubeClient
from tests.e2e.controlplane import ControlPlane
from tests.e2e.controlplane.binaries import KEDA, find_files
from tests.e2e.controlplane.certificates import Authority
from tests.e2e.controlplane.harness import any_server
from tests.e2e.hpa.run import answers
from tests.e2e.keda.programs import KedaAdapter, KedaOperator
from tests.e2e.objects import Objects, until

NAMESPACE: Final = "keda"
METRICS: Final = "external.metrics.k8s.io"
SERVICE: Final = "keda-metrics-apiserver"


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
        await objects.apply(body)
        spec = body["spec"]
        served = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
        await until("the definition is served", partial(answers, client, served))
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
        for body in _registration(adapter.port):
            await objects.apply(body)
        stack.push_async_callback(
            objects.delete, "apiregistration.k8s.io/v1", "APIService", f"v1beta1.{METRICS}"
        )
        await until("the adapter is asked", partial(answers, client, f"/apis/{METRICS}/v1beta1"))
        yield


def _certificates(folder: Path) -> Path:
    target = folder / "keda-certificates"
    authority = Authority(target, "ca")
    authority.issue(
        "tls",
        common_name="keda-operator",
        alternatives=("DNS:localhost", "DNS:keda-operator", "IP:127.0.0.1"),
    )
    return target


def _registration(port: int) -> list[dict[str, Any]]:
    """Return what makes the API server ask the adapter on this machine."""
    service = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": 443}]}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE}, "spec": service},
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"v1beta1.{METRICS}"},
            "spec": {
                "service": {"name": SERVICE, "namespace": NAMESPACE, "port": port},
                "group": METRICS,
                "version": "v1beta1",
                "insecureSkipTLSVerify": True,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
            },
        },
    ]
