"""The whole service against the embedded cluster, with what a test needs to ask and change."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from autoscaler.controller.service import Service
from autoscaler.controller.settings import ControllerSettings
from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.objects import JsonObject
from autoscaler.kube.transport import KubeClient
from autoscaler.plugins import ScalerRegistry
from autoscaler.runtime.clock import Clock

NAMESPACE = "default"
QUICK = ControllerSettings(
    refresh_seconds=1.0, retry_seconds=0.5, status_seconds=1.0, event_repeat_seconds=60.0
)


class World:
    """A cluster, a service, and shorthands."""

    def __init__(self, cluster: EmbeddedCluster, service: Service) -> None:
        self.cluster = cluster
        self.service = service
        self.history: dict[str, list[int]] = {}
        self.changed_at: dict[str, float] = {}
        cluster.store.listen(self._changed)

    def create(self, kind: str, name: str, *, api: str = "v1", **fields: Any) -> None:
        """Create an object in the default namespace."""
        metadata = {"name": name, **fields.pop("metadata", {})}
        self.cluster.create({"apiVersion": api, "kind": kind, "metadata": metadata, **fields})

    def deploy(self, name: str, replicas: int = 0, **container: Any) -> None:
        """Create a Deployment."""
        labels = {"app": name}
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": "demo", **container}]},
        }
        self.create(
            "Deployment",
            name,
            api="apps/v1",
            spec={"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
        )

    def scale_on(
        self,
        name: str,
        *triggers: Mapping[str, Any],
        target: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **spec: Any,
    ) -> None:
        """Create a ScaledObject; without ``target`` its Deployment has the same name."""
        self.create(
            "ScaledObject",
            name,
            api="flyball.dev/v1alpha1",
            metadata=metadata or {},
            spec={
                "scaleTargetRef": {"name": target or name},
                "pollingInterval": 1,
                "triggers": list(triggers),
                **spec,
            },
        )

    def get(self, kind: str, name: str, *, api: str = "flyball.dev/v1alpha1") -> JsonObject:
        """Return an object as stored."""
        resource = self.cluster.registry.resource(api, kind)
        return self.cluster.registry.get(resource, NAMESPACE, name).value

    def edit(
        self,
        kind: str,
        name: str,
        change: Callable[[JsonObject], None],
        *,
        api: str = "flyball.dev/v1alpha1",
    ) -> None:
        """Change an object as a user would."""

        def mutation(value: JsonObject) -> JsonObject:
            change(value)
            return value

        resource = self.cluster.registry.resource(api, kind)
        self.cluster.registry.modify(resource, NAMESPACE, name, mutation)

    def report(
        self, kind: str, name: str, *, api: str = "flyball.dev/v1alpha1", **status: Any
    ) -> None:
        """Write fields of an object's status as its controller does."""
        resource = self.cluster.registry.resource(api, kind)
        item = self.cluster.registry.get(resource, NAMESPACE, name)
        self.cluster.registry.set_status(resource, item, {**item.value.get("status", {}), **status})

    def delete(self, kind: str, name: str, *, api: str = "flyball.dev/v1alpha1") -> None:
        """Delete an object."""
        self.cluster.registry.delete(self.cluster.registry.resource(api, kind), NAMESPACE, name)

    def replicas(self, name: str) -> int:
        """Return what a Deployment was asked for."""
        count: int = self.get("Deployment", name, api="apps/v1")["spec"]["replicas"]
        return count

    def condition(self, name: str, kind: str = "Ready") -> tuple[str, str, str]:
        """Return status, reason and message of a ScaledObject's condition; empty if absent."""
        for condition in self.get("ScaledObject", name).get("status", {}).get("conditions", ()):
            if condition["type"] == kind:
                return condition["status"], condition["reason"], condition["message"]
        return "", "", ""

    def events(self, name: str) -> list[tuple[str, str]]:
        """Return reason and message of the events about a ScaledObject."""
        return [
            (item.value["reason"], item.value["message"])
            for item in self.cluster.store.items("events")
            if item.value["involvedObject"]["name"] == name
        ]

    async def until(self, holds: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until something holds; fails the test if it does not in time."""
        give_up_at = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > give_up_at:
                known = [(o["namespace"], o["name"]) for o in self.service.objects()]
                shown = [str(self.service.explain_text(*key)) for key in known]
                raise AssertionError("\n".join(["it did not happen in time", *shown]))
            await asyncio.sleep(0.01)

    def _changed(self, change: Any) -> None:
        if change.bucket != "deployments.apps" or change.after is None:
            return
        value = change.after.value
        name = value["metadata"]["name"]
        seen = self.history.setdefault(name, [])
        count = value["spec"]["replicas"]
        if not seen or seen[-1] != count:
            seen.append(count)
            self.changed_at[name] = time.monotonic()


@asynccontextmanager
async def running(
    settings: ControllerSettings = QUICK,
    *,
    clock: Clock | None = None,
    cluster: EmbeddedCluster | None = None,
    wait: bool = True,
) -> AsyncIterator[World]:
    """Run the service; fails if a part of it ended by itself.

    Args:
        settings: Of the service.
        clock: Of service and cluster.
        cluster: One that runs already; None = a new one, ended with the service.
        wait: Until the service is ready.
    """
    async with nullcontext(cluster) if cluster else EmbeddedCluster(clock=clock) as embedded:
        client = KubeClient.for_url(embedded.url)
        service = Service(
            client, ScalerRegistry(), settings=settings, clock=clock, rng=random.Random(1)
        )
        world = World(embedded, service)
        task = asyncio.ensure_future(service.run())
        try:
            await world.until(lambda: not (wait and service.unready_reasons()))
            yield world
        finally:
            service.stop()
            try:
                await task
            finally:
                await client.close()
