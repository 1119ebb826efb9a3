"""A cluster that only moves when a test says so."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.kubelet import Timings
from autoscaler.demo.objects import JsonObject
from autoscaler.demo.pods import is_active, is_ready
from autoscaler.demo.store import Item
from autoscaler.runtime.clock import ManualClock

STEP_SECONDS = 0.5
TIMINGS = Timings(start_seconds=2.0, ready_seconds=1.0, stop_seconds=1.0, jitter_ratio=0.0)
LABELS = {"app": "web"}


class StillCluster(EmbeddedCluster):
    """A cluster under a manual clock; its control loops run inside ``pass_time``."""

    def __init__(self, **options: Any) -> None:
        self.manual = ManualClock()
        super().__init__(clock=self.manual, timings=TIMINGS, **options)

    def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps, and everything happen that is due."""
        self.loops.settle()
        for _ in range(round(seconds / STEP_SECONDS)):
            self.manual.advance(STEP_SECONDS)
            self.loops.settle()

    def get(self, kind: str, name: str, api_version: str = "apps/v1") -> JsonObject:
        """Return an object of the namespace ``default``."""
        return self.registry.get(self.registry.resource(api_version, kind), "default", name).value

    def change(self, kind: str, name: str, **spec: Any) -> None:
        """Set fields of an object's spec."""
        resource = self.registry.resource("apps/v1", kind)

        def mutation(value: JsonObject) -> JsonObject:
            value["spec"].update(spec)
            return value

        self.registry.modify(resource, "default", name, mutation)

    def delete(self, kind: str, name: str, api_version: str = "apps/v1") -> None:
        """Delete an object of the namespace ``default``."""
        self.registry.delete(self.registry.resource(api_version, kind), "default", name)

    def pods(self) -> list[JsonObject]:
        """Return all pods."""
        return [item.value for item in self.store.items("pods")]

    def active(self) -> list[str]:
        """Return the names of pods that count as replicas."""
        return [pod["metadata"]["name"] for pod in self.pods() if is_active(pod)]

    def ready(self) -> int:
        """Return how many pods are ready."""
        return sum(is_ready(pod) for pod in self.pods())

    def deploy(self, replicas: int, kind: str = "Deployment", **extra: Any) -> Item:
        """Create a workload named ``web``; ``extra`` goes into the pod spec."""
        container = {
            "name": "main",
            "image": "example.test/app:1",
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
        }
        pod_spec: JsonObject = {"containers": [container], **extra}
        return self.create(
            {
                "apiVersion": "apps/v1",
                "kind": kind,
                "metadata": {"name": "web"},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": LABELS},
                    "template": {"metadata": {"labels": LABELS}, "spec": pod_spec},
                },
            }
        )


@pytest.fixture
def cluster() -> StillCluster:
    """Give a cluster with one pool of two nodes of eight cores."""
    still = StillCluster()
    still.add_pool("general", 2, cpu="8", memory="32Gi")
    return still
