"""The ConfigMaps of an API server, asked through the client's one method, on any clock."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any

from autoscaler.errors import Conflict, KubeError, NotFound


class ConfigMapClient:
    """Stands in for a :class:`KubeClient` that is only asked for ConfigMaps.

    Attributes:
        items: By name, as stored.
        requests: ``(time, method, name)`` in order.
        error: Raised instead of answering, while set.
        delay_seconds: How long an answer takes.
    """

    namespace = "flyball-system"

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[float, str, str]] = []
        self.error: KubeError | None = None
        self.delay_seconds = 0.0
        self._version = 100

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout_seconds: float | None = None,
    ) -> bytes:
        """Answer as an API server does."""
        root = f"/api/v1/namespaces/{self.namespace}/configmaps"
        assert path.startswith(root), path
        value = json.loads(body) if body else {}
        name = path.removeprefix(root).strip("/") or value["metadata"]["name"]
        self.requests.append((asyncio.get_running_loop().time(), method, name))
        await asyncio.sleep(self.delay_seconds)
        if self.error is not None:
            raise self.error
        known = self.items.get(name)
        if method == "POST":
            if known:
                raise Conflict("it exists", status=409)
            known = self.items[name] = value
        elif known is None:
            raise NotFound("there is none", status=404)
        elif method == "PATCH":
            assert content_type == "application/merge-patch+json"
            if value["metadata"]["resourceVersion"] != known["metadata"]["resourceVersion"]:
                raise Conflict("it was changed", status=409)
            known["binaryData"].update(value["binaryData"])
        if method != "GET":
            self._version += 1
            known["metadata"]["resourceVersion"] = str(self._version)
        return json.dumps(known).encode()

    def blob(self, name: str) -> bytes:
        """Return what a ConfigMap holds."""
        return base64.b64decode(self.items[name]["binaryData"]["snapshot"])

    def put(self, name: str, blob: bytes | None) -> None:
        """Store a ConfigMap as somebody else would."""
        self._version += 1
        data = {} if blob is None else {"snapshot": base64.b64encode(blob).decode()}
        self.items[name] = {
            "metadata": {"name": name, "resourceVersion": str(self._version)},
            "binaryData": data,
        }

    def writes(self) -> list[tuple[float, str]]:
        """Return time and name of each attempt to write."""
        return [(at, name) for at, method, name in self.requests if method != "GET"]
