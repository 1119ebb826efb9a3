"""What happens to the objects of a collection, from a watch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from autoscaler.kube.transport import KubeClient

QUIET_SECONDS = 300.0


async def follow(client: KubeClient, path: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Yield objects and what became of them; a watch that ends is an error: it leaves a gap."""
    listed = msgspec.json.decode(await client.request("GET", path))
    for item in listed["items"]:
        yield "ADDED", item
    since = {"watch": "1", "resourceVersion": listed["metadata"]["resourceVersion"]}
    async with client.stream(path, params=since, inactivity_seconds=QUIET_SECONDS) as lines:
        async for line in lines:
            event = msgspec.json.decode(line)
            assert event["type"] in {"ADDED", "MODIFIED", "DELETED"}, event
            yield event["type"], event["object"]
    raise AssertionError(f"the watch on {path} ended")
