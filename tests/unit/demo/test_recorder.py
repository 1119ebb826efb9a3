"""Scale events get the controller's words for them."""

from __future__ import annotations

from typing import Any

from autoscaler.demo.recorder import Recorder
from autoscaler.demo.shop import NAMESPACE
from tests.unit.demo.conftest import StillCluster


class ScriptedExplainer:
    """Says what a test gave it."""

    def __init__(self) -> None:
        self.history: list[dict[str, Any]] = []
        self.readings: list[dict[str, Any]] = []
        self.problem: str | None = None

    def objects(self) -> list[dict[str, Any]]:
        return [{"namespace": NAMESPACE, "name": "web", "problem": self.problem}]

    def explain(self, namespace: str, name: str) -> dict[str, Any] | None:
        return {"readings": self.readings, "history": self.history, "error": None}

    def decided(self, at: float, before: int, after: int) -> None:
        """Add a decision that was written."""
        why = f"because of {at:g}"
        entry = {"at": at, "from": before, "to": after, "outcome": "written", "why": why}
        self.history.append(entry)


def prepared(cluster: StillCluster) -> tuple[Recorder, ScriptedExplainer]:
    """Return a recorder over a shop with one Deployment of two replicas."""
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "demo"}]},
    }
    selector = {"matchLabels": {"app": "web"}}
    cluster.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": NAMESPACE},
            "spec": {"replicas": 2, "selector": selector, "template": template},
        }
    )
    explainer = ScriptedExplainer()
    return Recorder(cluster.store, explainer, cluster.clock), explainer


def scale(cluster: StillCluster, replicas: int) -> None:
    """Write replicas as the controller would, a little after it decided."""
    cluster.manual.advance(2)
    resource = cluster.registry.resource("apps/v1", "Deployment")
    item = cluster.registry.get(resource, NAMESPACE, "web")
    cluster.registry.set_spec(resource, item, replicas=replicas)


def test_equal_changes_get_their_own_reasons(cluster: StillCluster) -> None:
    """A change seen before its decision is told waits for it, and takes no older one."""
    recorder, explainer = prepared(cluster)
    began_at = cluster.clock.now()
    explainer.decided(began_at + 1, 2, 3)
    scale(cluster, 3)
    explainer.decided(began_at + 3, 3, 2)
    scale(cluster, 2)
    recorder.look()
    scale(cluster, 3)
    recorder.look()
    assert [(event.before, event.after) for event in recorder.events] == [(2, 3), (3, 2), (2, 3)]
    assert [bool(event.reason) for event in recorder.events] == [True, True, False]
    explainer.decided(began_at + 5, 2, 3)
    recorder.look()
    assert [event.at for event in recorder.events] == [1.0, 3.0, 5.0]
    assert recorder.latest("web") is recorder.events[-1]


def test_each_error_is_told_once(cluster: StillCluster) -> None:
    """Problems of objects and failed readings are collected, repetitions are not."""
    recorder, explainer = prepared(cluster)
    explainer.problem = "spec.triggers[0]: no such type"
    explainer.readings = [{"metric": "s0-redis-orders", "error": "refused"}]
    recorder.look()
    recorder.look()
    assert list(recorder.errors) == [
        "web: spec.triggers[0]: no such type",
        "web: s0-redis-orders: refused",
    ]
