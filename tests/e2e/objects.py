"""Objects on the cluster under test, as a user with kubectl would handle them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec

from autoscaler.errors import ConfigError, KubeError, NotFound
from autoscaler.kube.resources import Discovery
from autoscaler.kube.transport import KubeClient

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
FLYBALL = "flyball.dev/v1alpha1"
POLL_SECONDS = 0.05
PATIENT_SECONDS = 90.0
"""After an outage Kubernetes' own controllers wait up to half a minute before they look again."""
# Images are named for clusters with real kubelets; nothing is pulled by KWOK.
PAUSE_IMAGE = "registry.k8s.io/pause:3.10"


class Objects:
    """Reads and writes whole objects.

    Args:
        client: Of a user who may.
        namespace: Of namespaced objects that name none.
    """

    def __init__(self, client: KubeClient, namespace: str = "default") -> None:
        self.client = client
        self.namespace = namespace
        self._discovery = Discovery(client)

    async def apply(self, body: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create or change an object by server-side apply; raises KubeError."""
        path = await self.path(body, body["metadata"]["name"])
        query = {"fieldManager": "e2e", "force": "true", "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        return await self._send("PATCH", path, body, APPLY, query)

    async def create(self, body: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create an object whose every field has to be known; raises KubeError."""
        query = {"fieldManager": "e2e", "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        return await self._send("POST", await self.path(body, None), body, query=query)

    async def get(self, api: str, kind: str, name: str) -> dict[str, Any]:
        """Return an object; raises NotFound."""
        path = await self.path({"apiVersion": api, "kind": kind, "metadata": {}}, name)
        return await self._send("GET", path)

    async def find(self, api: str, kind: str, **query: str) -> list[dict[str, Any]]:
        """Return the objects of a kind in the namespace."""
        path = await self.path({"apiVersion": api, "kind": kind, "metadata": {}}, None)
        items: list[dict[str, Any]] = (await self._send("GET", path, query=query))["items"]
        return items

    async def patch(self, api: str, kind: str, name: str, change: dict[str, Any]) -> dict[str, Any]:
        """Merge a change into an object."""
        path = await self.path({"apiVersion": api, "kind": kind, "metadata": {}}, name)
        return await self._send("PATCH", path, change, MERGE)

    async def patch_status(self, name: str, status: dict[str, Any]) -> None:
        """Merge a change into the status of a ScaledObject."""
        body = {"apiVersion": FLYBALL, "kind": "ScaledObject", "metadata": {}}
        path = f"{await self.path(body, name)}/status"
        await self._send("PATCH", path, {"status": status}, MERGE)

    async def delete(self, api: str, kind: str, name: str) -> None:
        """Delete an object; one that is gone already is fine."""
        path = await self.path({"apiVersion": api, "kind": kind, "metadata": {}}, name)
        try:
            await self._send("DELETE", path)
        except NotFound:
            return

    async def delete_ours(self, api: str = FLYBALL) -> None:
        """Delete the namespace's objects of our kinds, whether or not a service runs to let them go.

        What a namespace takes seconds to empty must not keep the next test's service busy.
        """
        for kind in ("ScaledObject", "ScaledJob"):
            try:
                found = await self.find(api, kind)
            except (ConfigError, NotFound):
                continue
            for one in found:
                name = one["metadata"]["name"]
                if one["metadata"].get("finalizers"):
                    await self.patch(api, kind, name, {"metadata": {"finalizers": None}})
                await self.delete(api, kind, name)

    async def path(self, body: dict[str, Any], name: str | None) -> str:
        """Return the path of an object, or with no name of its collection."""
        resource = await self._discovery.resolve(body["apiVersion"], body["kind"])
        namespace = body["metadata"].get("namespace", self.namespace)
        return resource.path(namespace, name)

    async def deploy(self, name: str, replicas: int = 0, **metadata: Any) -> None:
        """Create a Deployment."""
        labels = {"app": name}
        container = {
            "name": "main",
            "image": PAUSE_IMAGE,
            "resources": {"requests": {"cpu": "10m"}},
        }
        template = {"metadata": {"labels": labels, **metadata}, "spec": {"containers": [container]}}
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}}
        await self.create({**body, "spec": spec})

    async def scale_on(self, name: str, *triggers: dict[str, Any], **spec: Any) -> None:
        """Create a ScaledObject for the Deployment of the same name, polled each second."""
        wanted = {
            "scaleTargetRef": {"name": name},
            "pollingInterval": 1,
            "triggers": list(triggers),
            **spec,
        }
        body = {"apiVersion": FLYBALL, "kind": "ScaledObject", "metadata": {"name": name}}
        await self.create({**body, "spec": wanted})

    async def replicas(self, name: str) -> int:
        """Return what a Deployment was asked for."""
        count: int = (await self.get("apps/v1", "Deployment", name))["spec"]["replicas"]
        return count

    async def ready_replicas(self, name: str) -> int:
        """Return how many pods of a Deployment are ready."""
        found = (await self.get("apps/v1", "Deployment", name)).get("status", {})
        count: int = found.get("readyReplicas", 0)
        return count

    async def condition(self, name: str, kind: str = "Ready") -> tuple[str, str]:
        """Return status and reason of a ScaledObject's condition; empty if absent."""
        status = (await self.get(FLYBALL, "ScaledObject", name)).get("status", {})
        for condition in status.get("conditions", ()):
            if condition["type"] == kind:
                return condition["status"], condition["reason"]
        return "", ""

    async def events(self, name: str) -> dict[str, str]:
        """Return the events about an object, message by reason."""
        found = await self.find("v1", "Event", fieldSelector=f"involvedObject.name={name}")
        return {event["reason"]: event["message"] for event in found}

    async def _send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        content_type: str = "application/json",
        query: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        answer = await self.client.request(
            method,
            path,
            params=query,
            body=None if body is None else msgspec.json.encode(body),
            content_type=content_type,
        )
        decoded: dict[str, Any] = msgspec.json.decode(answer)
        return decoded


async def answers(client: KubeClient, path: str) -> bool:
    """Return whether the API server serves a path."""
    try:
        await client.request("GET", path, params={"limit": "1"})
    except NotFound:
        return False
    return True


async def define(objects: Objects, body: dict[str, Any]) -> None:
    """Create or change a definition and wait until its kind is served."""
    await objects.apply(body)
    spec = body["spec"]
    path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
    await until("the definition is served", partial(answers, objects.client, path))


async def until(what: str, holds: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    """Wait until something holds on a real cluster; an API server that is away is waited for."""
    give_up_at = time.monotonic() + seconds
    error: KubeError | None = None
    while True:
        try:
            error = None
            if await holds():
                return
        except KubeError as exc:
            error = exc
        if time.monotonic() > give_up_at:
            raise AssertionError(f"{what}: not within {seconds:g} s") from error
        await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def own_namespace(client: KubeClient) -> AsyncIterator[Objects]:
    """Give an empty namespace whose pods can be created, and delete it afterwards."""
    objects = Objects(client)
    collection = "/api/v1/namespaces"
    made = await objects._send("POST", collection, {"metadata": {"generateName": "e2e-"}})
    objects.namespace = made["metadata"]["name"]

    async def is_cleared() -> bool:
        await objects.delete_ours()
        return True

    try:

        async def has_account() -> bool:
            await objects.get("v1", "ServiceAccount", "default")
            return True

        await until("the namespace has its service account", has_account, PATIENT_SECONDS)
        yield objects
    finally:
        await until("our objects are deleted", is_cleared, PATIENT_SECONDS)
        await objects._send("DELETE", f"{collection}/{objects.namespace}")
