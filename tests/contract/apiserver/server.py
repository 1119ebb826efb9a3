"""The API server under test and the client the tests talk to it with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
EVENT_WAIT_SECONDS = 10.0


class Answer(NamedTuple):
    """A status code, the decoded body and the headers."""

    code: int
    body: Any
    headers: Any


class Watch:
    """An open watch; ``next`` gives one event, None at the end of the stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def next(self) -> dict[str, Any] | None:
        """Return the next event."""
        async with asyncio.timeout(EVENT_WAIT_SECONDS):
            line = await self._response.content.readline()
        return json.loads(line) if line else None

    async def take(self, count: int) -> list[tuple[str, str]]:
        """Return type and name of the next ``count`` events."""
        events = [await self.next() for _ in range(count)]
        return [(event["type"], event["object"]["metadata"]["name"]) for event in events if event]


class ApiServerUnderTest:
    """One API server, one namespace of its own for the test.

    Attributes:
        namespace: Empty at the start of the test, deleted at its end.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self.namespace = ""

    def path(self, plural: str, group_version: str = "v1", *, namespaced: bool = True) -> str:
        """Return the path of a resource in the test's namespace."""
        root = f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"
        return f"{root}/namespaces/{self.namespace}/{plural}" if namespaced else f"{root}/{plural}"

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        data: bytes | None = None,
        **query: Any,
    ) -> Answer:
        """Send one request."""
        sent = data if data is not None else (None if body is None else json.dumps(body).encode())
        async with self._session.request(
            method,
            self._url + path,
            data=sent,
            params={name: str(value) for name, value in query.items()},
            headers={"Content-Type": content_type} if sent is not None else {},
        ) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return Answer(response.status, json.loads(text) if is_json else text, response.headers)

    async def get(self, path: str, **query: Any) -> Answer:
        """GET."""
        return await self.request("GET", path, **query)

    async def post(self, path: str, body: Any, **query: Any) -> Answer:
        """POST."""
        return await self.request("POST", path, body, **query)

    async def put(self, path: str, body: Any, **query: Any) -> Answer:
        """PUT."""
        return await self.request("PUT", path, body, **query)

    async def delete(self, path: str, body: Any = None, **query: Any) -> Answer:
        """DELETE."""
        return await self.request("DELETE", path, body, **query)

    async def patch(self, path: str, body: Any, kind: str = MERGE, **query: Any) -> Answer:
        """PATCH."""
        return await self.request("PATCH", path, body, content_type=kind, **query)

    async def apply(self, path: str, body: Any, manager: str, **query: Any) -> Answer:
        """Server-side apply."""
        return await self.patch(path, body, APPLY, fieldManager=manager, **query)

    async def created(self, path: str, body: Any) -> Any:
        """POST, which has to succeed; returns the object."""
        answer = await self.post(path, body)
        assert answer.code == 201, answer.body
        return answer.body

    @asynccontextmanager
    async def watch(self, path: str, **query: Any) -> AsyncIterator[Watch]:
        """Open a watch."""
        params = {"watch": "true", "timeoutSeconds": "30"}
        params |= {name: str(value) for name, value in query.items()}
        async with self._session.get(self._url + path, params=params) as response:
            assert response.status == 200, await response.text()
            yield Watch(response)


def config_map(name: str, data: dict[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    """Return a ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **metadata},
        "data": data or {},
    }


def deployment(name: str, replicas: int | None = 1) -> dict[str, Any]:
    """Return a Deployment; ``replicas`` None leaves the count out."""
    labels = {"app": name}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": "example.test/app:1"}]},
        },
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": spec,
    }


GROUP = "contract.flyball.dev"


def definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition of ``Pump``: status, scale, a keyed list."""
    conditions = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"type": "string"}, "status": {"type": "string"}},
        },
    }
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "replicas": {"type": "integer"},
                    "speed": {"type": "integer"},
                    "tags": {"type": "array", "items": {"type": "string"}},
                },
            },
            "status": {
                "type": "object",
                "properties": {
                    "replicas": {"type": "integer"},
                    "selector": {"type": "string"},
                    "conditions": conditions,
                },
            },
        },
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"pumps.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": "Pump", "plural": "pumps", "singular": "pump", "shortNames": ["pu"]},
            "versions": [version],
        },
    }


def pump(name: str, **spec: Any) -> dict[str, Any]:
    """Return a Pump."""
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Pump",
        "metadata": {"name": name},
        "spec": spec,
    }
