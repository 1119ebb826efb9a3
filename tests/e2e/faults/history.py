"""Every count that Deployments were ever asked for, as the API server tells an administrator."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any, Final, NamedTuple

import msgspec

from autoscaler.errors import KubeError
from autoscaler.kube.transport import KubeClient

RETRY_SECONDS: Final = 0.1


class Count(NamedTuple):
    """What a Deployment was asked for, from a version of it on."""

    version: str
    replicas: int


class History:
    """Watches the Deployments of a namespace, without the code under test.

    What it misses while there is no API server, the audit log has: tests look at both.

    Args:
        client: Of an administrator, straight to the API server.
        namespace: Whose Deployments.
    """

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client = client
        self._path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self._counts: defaultdict[str, list[Count]] = defaultdict(list)

    def latest(self, name: str) -> int | None:
        """Return what a Deployment is asked for now, None if it was never seen."""
        counts = self._counts.get(name)
        return counts[-1].replicas if counts else None

    def of(self, name: str) -> list[Count]:
        """Return the changes of a Deployment's count so far, the first one seen included."""
        return list(self._counts[name])

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                version = await self._list()
                await self._watch(version)
            except KubeError:
                await asyncio.sleep(RETRY_SECONDS)

    async def _list(self) -> str:
        found = msgspec.json.decode(await self._client.request("GET", self._path))
        for item in found["items"]:
            self._take(item)
        version: str = found["metadata"]["resourceVersion"]
        return version

    async def _watch(self, version: str) -> None:
        params = {"watch": "1", "resourceVersion": version}
        async with self._client.stream(self._path, params=params) as lines:
            async for line in lines:
                event = msgspec.json.decode(line)
                if event["type"] == "ERROR":
                    return
                if event["type"] != "DELETED":
                    self._take(event["object"])

    def _take(self, item: dict[str, Any]) -> None:
        counts = self._counts[item["metadata"]["name"]]
        replicas = item["spec"]["replicas"]
        if not counts or counts[-1].replicas != replicas:
            counts.append(Count(item["metadata"]["resourceVersion"], replicas))
