"""The embedded cluster: a registry, its controllers and an API server on a loopback port."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml
from aiohttp import web

from autoscaler.demo.apiserver import BODY_LIMIT_BYTES, ApiServer
from autoscaler.demo.controllers import Controller, ControlLoops, OwnerIndex
from autoscaler.demo.faults import FaultRates, Faults
from autoscaler.demo.garbage import GarbageCollector, NamespaceCleaner
from autoscaler.demo.jobs import Jobs
from autoscaler.demo.kubelet import Kubelet, Timings
from autoscaler.demo.metrics_api import MetricsApi
from autoscaler.demo.objects import JsonObject
from autoscaler.demo.registry import Registry
from autoscaler.demo.resources import Resource, custom
from autoscaler.demo.scheduling import Scheduler
from autoscaler.demo.stateful import StatefulSets
from autoscaler.demo.store import Item, Store
from autoscaler.demo.watching import BOOKMARK_SECONDS
from autoscaler.demo.workloads import Deployments, ReplicaSets
from autoscaler.runtime.clock import Clock, SystemClock

IDLE_CONNECTION_SECONDS: Final = 3_600.0
"""Longer than any client keeps an idle connection, so that only clients close them."""

POOL_LABEL: Final = "pool"

SCALING_KINDS: Final = (
    ("ScaledObject", "scaledobjects", ("so",), True),
    ("ScaledJob", "scaledjobs", ("sj",), True),
    ("TriggerAuthentication", "triggerauthentications", ("ta",), True),
    ("ClusterTriggerAuthentication", "clustertriggerauthentications", ("cta",), False),
)


def scaling_resources() -> list[Resource]:
    """Return the custom resources of ``flyball.dev`` and ``keda.sh``."""
    return [
        custom(group, "v1alpha1", kind, plural, short_names=short, namespaced=namespaced)
        for group in ("flyball.dev", "keda.sh")
        for kind, plural, short, namespaced in SCALING_KINDS
    ]


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """Build a request; the only way to raise aiohttp's body limit without its router."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=BODY_LIMIT_BYTES
    )


class EmbeddedCluster:
    """An in-memory Kubernetes cluster on ``http://127.0.0.1:<free port>``.

    Used as an async context manager; leaving it ends every watch and closes the port. With
    ``workloads`` False nothing becomes pods: an API server with a garbage collector only.

    Attributes:
        registry: Objects behind the API server's rules, for direct use.
        store: The versioned objects themselves.
        faults: What goes wrong; nothing by default.
        metrics: Source of ``metrics.k8s.io``.
        url: Base address, empty until entered.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        seed: int = 0,
        rates: FaultRates | None = None,
        store: Store | None = None,
        timings: Timings | None = None,
        workloads: bool = True,
        bookmark_seconds: float = BOOKMARK_SECONDS,
    ) -> None:
        self.clock = clock or SystemClock()
        self.rng = random.Random(seed)  # noqa: S311 - reproducible runs, nothing secret
        self.registry = Registry(self.clock, self.rng, store=store)
        for resource in scaling_resources():
            self.registry.serve(resource)
        self.store = self.registry.store
        self.faults = Faults(seed, rates)
        self.metrics = MetricsApi(self.registry)
        self.api = ApiServer(
            self.registry, self.faults, self.metrics, bookmark_seconds=bookmark_seconds
        )
        self.kubelet = Kubelet(self.registry, self.rng, timings)
        self.loops = self._control_loops(workloads=workloads)
        self.url = ""
        self._runner: web.ServerRunner | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._loops_task: asyncio.Task[None] | None = None

    def _control_loops(self, *, workloads: bool) -> ControlLoops:
        owners = OwnerIndex(self.store)
        cleaning: list[Controller] = [
            GarbageCollector(self.registry, owners),
            NamespaceCleaner(self.registry),
        ]
        if not workloads:
            return ControlLoops(self.store, self.clock, cleaning)
        return ControlLoops(
            self.store,
            self.clock,
            [
                *cleaning,
                Deployments(self.registry, owners),
                ReplicaSets(self.registry, owners),
                StatefulSets(self.registry, owners),
                Jobs(self.registry, owners),
                Scheduler(self.registry),
                self.kubelet,
            ],
        )

    async def __aenter__(self) -> Self:
        """Open the port and start the control loops."""
        server = web.Server(
            self.api.handle,
            keepalive_timeout=IDLE_CONNECTION_SECONDS,
            access_log=None,
            request_factory=_request,
            # A client that hangs up must not leave its watch behind.
            handler_cancellation=True,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._loops_task = self._tasks.create_task(self.loops.run(), name="control loops")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the watches, stop the control loops and close the port."""
        self.store.close_watchers()
        assert self._runner is not None
        assert self._tasks is not None
        assert self._loops_task is not None
        self._loops_task.cancel()
        # One turn of the loop lets the watches write their end before the connections close.
        await asyncio.sleep(0)
        try:
            await self._tasks.__aexit__(None, None, None)
        finally:
            await self._runner.cleanup()
            self.url = ""

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig for this cluster to ``path`` and return it."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "embedded",
            "clusters": [{"name": "embedded", "cluster": {"server": self.url}}],
            "users": [{"name": "embedded", "user": {}}],
            "contexts": [
                {
                    "name": "embedded",
                    "context": {"cluster": "embedded", "user": "embedded", "namespace": "default"},
                }
            ],
        }
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    def create(self, body: JsonObject) -> Item:
        """Create an object directly, in its own namespace or ``default``; raises ApiError."""
        resource = self.registry.resource(body["apiVersion"], body["kind"])
        namespace = body["metadata"].get("namespace", "default") if resource.namespaced else ""
        return self.registry.create(resource, namespace, body)

    def add_pool(
        self,
        name: str,
        nodes: int,
        *,
        cpu: str,
        memory: str,
        taint: str = "",
        pods: int = 110,
    ) -> None:
        """Add a pool of equal nodes, labelled ``pool=<name>``.

        Args:
            name: Of the pool; nodes are ``<name>-0``, ``<name>-1``, …
            nodes: How many.
            cpu: Of each node, a quantity.
            memory: Of each node, a quantity.
            taint: Value of a ``pool`` taint with effect NoSchedule, empty for none.
            pods: Pods each node takes.
        """
        capacity = {"cpu": cpu, "memory": memory, "pods": str(pods)}
        for index in range(nodes):
            spec: JsonObject = {}
            if taint:
                spec["taints"] = [{"key": POOL_LABEL, "value": taint, "effect": "NoSchedule"}]
            self.create(
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "metadata": {"name": f"{name}-{index}", "labels": {POOL_LABEL: name}},
                    "spec": spec,
                    "status": {
                        "capacity": capacity,
                        "allocatable": capacity,
                        "conditions": [{"type": "Ready", "status": "True"}],
                    },
                }
            )
