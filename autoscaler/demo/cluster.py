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
from autoscaler.demo.faults import FaultRates, Faults
from autoscaler.demo.metrics_api import MetricsApi
from autoscaler.demo.objects import JsonObject
from autoscaler.demo.registry import Registry
from autoscaler.demo.resources import Resource, custom
from autoscaler.demo.store import Store
from autoscaler.demo.watching import BOOKMARK_SECONDS
from autoscaler.runtime.clock import Clock, SystemClock

IDLE_CONNECTION_SECONDS: Final = 3_600.0
"""Longer than any client keeps an idle connection, so that only clients close them."""

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

    Used as an async context manager; leaving it ends every watch and closes the port.

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
        self.url = ""
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        """Open the port."""
        server = web.Server(
            self.api.handle,
            keepalive_timeout=IDLE_CONNECTION_SECONDS,
            access_log=None,
            request_factory=_request,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the watches and close the port."""
        self.store.close_watchers()
        assert self._runner is not None
        # One turn of the loop lets the watches write their end before the connections close.
        await asyncio.sleep(0)
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

    def create(self, body: JsonObject) -> None:
        """Create an object directly, in its own namespace or ``default``; raises ApiError."""
        resource = self.registry.resource(body["apiVersion"], body["kind"])
        namespace = body["metadata"].get("namespace", "default") if resource.namespaced else ""
        self.registry.create(resource, namespace, body)
