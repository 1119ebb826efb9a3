"""A server of this machine behind the API server's aggregation layer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from tests.e2e.objects import Objects, answers, until

SERVICE: Final = "adapter"
API: Final = "apiregistration.k8s.io/v1"


async def put_behind(objects: Objects, port: int, groups: Mapping[str, str]) -> None:
    """Have the API server send API groups to a port of this machine, and wait until it does.

    Args:
        objects: In the namespace that gets the Service.
        port: Where TLS is spoken, with a certificate nobody has to trust.
        groups: Version by group.
    """
    service = {"type": "ExternalName", "externalName": "localhost"}
    name = {"metadata": {"name": SERVICE}}
    await objects.apply({"apiVersion": "v1", "kind": "Service", **name, "spec": service})
    for group, version in groups.items():
        await objects.apply(_registration(objects.namespace, port, group, version))
    for group, version in groups.items():
        served = f"/apis/{group}/{version}"
        await until(f"{group} is served", partial(answers, objects.client, served))


async def take_away(objects: Objects, groups: Mapping[str, str]) -> None:
    """Serve the groups no longer."""
    for group, version in groups.items():
        await objects.delete(API, "APIService", f"{version}.{group}")


def _registration(namespace: str, port: int, group: str, version: str) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "APIService",
        "metadata": {"name": f"{version}.{group}"},
        "spec": {
            "group": group,
            "version": version,
            "service": {"name": SERVICE, "namespace": namespace, "port": port},
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    }
