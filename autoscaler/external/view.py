"""What the external scaler shows of its policies over HTTP: probes, metrics, explanations."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from autoscaler.controller.views import explanation, explanation_text, summary
from autoscaler.external.asks import NamedPolicy
from autoscaler.external.policies import Policies
from autoscaler.external.served import Served
from autoscaler.telemetry.metrics import Metrics

BEAT_SECONDS: Final = 1.0


class PoliciesView:
    """Implements :class:`~autoscaler.web.api.ServiceView` for served policies.

    Objects go by the name of KEDA's ScaledObject that asks.
    """

    def __init__(self, policies: Policies, metrics: Metrics) -> None:
        self._policies = policies
        self._metrics = metrics
        self._lag_seconds = 0.0

    @property
    def loop_lag_seconds(self) -> float:
        """How late the event loop ran its last timer."""
        return self._lag_seconds

    async def run(self) -> None:
        """Measure how late the event loop is, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due_at = loop.time() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            self._lag_seconds = max(0.0, loop.time() - due_at)
            self._metrics.loop_lag.set(self._lag_seconds)

    def unready_reasons(self) -> list[str]:
        """Return what keeps the server from answering."""
        return []

    def objects(self) -> list[dict[str, Any]]:
        """Return a line about every policy, by name."""
        lines = [self._line(served) for served in self._policies.all()]
        return sorted(lines, key=lambda one: f"{one['namespace']}/{one['name']}")

    def explain(self, namespace: str, name: str, kind: str | None = None) -> dict[str, Any] | None:
        """Return why KEDA was told what it was told; None when nobody asked for the object."""
        served = self._find(namespace, name, kind)
        return {**explanation(served.tracked), **self._line(served)} if served else None

    def explain_text(self, namespace: str, name: str, kind: str | None = None) -> str | None:
        """Return :meth:`explain` for people."""
        served = self._find(namespace, name, kind)
        return explanation_text(served.tracked) if served else None

    def exposition(self) -> bytes:
        """Return all series in Prometheus text format."""
        return self._metrics.expose()

    def _find(self, namespace: str, name: str, kind: str | None) -> Served | None:
        if kind not in {None, "ScaledObject"}:
            return None
        return self._policies.newest(namespace, name)

    def _line(self, served: Served) -> dict[str, Any]:
        intent, verdict = served.intent, served.verdict
        policy = (
            f"{intent.namespace}/{intent.name}" if isinstance(intent, NamedPolicy) else "inline"
        )
        return {
            **summary(served.tracked),
            "namespace": served.ask.namespace,
            "name": served.ask.name,
            "policy": policy,
            "toldReplicas": verdict.replicas if verdict and verdict.trouble is None else None,
            "problem": verdict.why if verdict and verdict.trouble else None,
            "streams": served.streams,
        }
