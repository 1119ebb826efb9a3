"""Targets of the external scaler whose kinds others define: their pods and their replicas."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from autoscaler.controller import target_pods
from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.objects import JsonObject
from tests.integration.external_world import Serving, eventually, number_source, ref, serving
from tests.integration.test_external_scaler import inline, keda_object
from tests.integration.test_targets import FLEET, ROLLOUT, definition

API = "argoproj.io/v1alpha1"


def roll_out(cluster: EmbeddedCluster, replicas: int) -> None:
    """Create a Rollout without status, and KEDA's object that scales it."""
    cluster.create(definition(ROLLOUT))
    metadata = {"name": "web", "namespace": "default"}
    spec = {"replicas": replicas}
    cluster.create({"apiVersion": API, "kind": "Rollout", "metadata": metadata, "spec": spec})
    asking: Any = keda_object("web")
    asking["spec"]["scaleTargetRef"] = {"name": "web", "kind": "Rollout", "apiVersion": API}
    cluster.create(asking)


def select(cluster: EmbeddedCluster, selector: str) -> None:
    """Write the selector into the Rollout's status, as its controller does."""
    resource = cluster.registry.resource(API, "Rollout")
    item = cluster.registry.get(resource, "default", "web")
    cluster.registry.set_status(resource, item, {"selector": selector, "HPAReplicas": 1})


def bound_selector(world: Serving) -> str | None:
    """Return the selector of the only policy; None while it is not bound."""
    binding = world.scaler.policies.all()[0].tracked.binding
    return binding.pod_selector if binding else None


def pod(name: str, **labels: str) -> JsonObject:
    """Return a pod."""
    metadata = {"name": name, "namespace": "default", "labels": labels}
    spec = {"containers": [{"name": "main", "image": "demo"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


async def test_selector_that_comes_late_or_changes_is_followed() -> None:
    """Ready pods are counted as soon as the scale tells which they are."""
    async with (
        EmbeddedCluster() as cluster,
        number_source() as source,
        serving(cluster_url=cluster.url, source=source) as world,
        world.client() as keda,
    ):
        cluster.add_pool("shop", 1, cpu="8", memory="16Gi")
        roll_out(cluster, 1)
        for number in range(2):
            cluster.create(pod(f"web-{number}", app="web"))
        source.values["jobs"] = 20
        asked = ref(inline(source.trigger("jobs", metricType="Value"), minReplicaCount=1))
        await keda.until(asked, 1)
        assert bound_selector(world) == ""
        select(cluster, "app=web")
        await keda.until(asked, 8)
        select(cluster, "app=none")
        await eventually(lambda: bound_selector(world) == "app=none")


async def test_selector_nobody_understands_is_left_when_there_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pods that cannot be listed hold up decisions, but not the look at who else is meant."""
    monkeypatch.setattr(target_pods, "GRACE_SECONDS", 1.0)
    async with (
        EmbeddedCluster() as cluster,
        number_source() as source,
        serving(cluster_url=cluster.url, source=source) as world,
        world.client() as keda,
    ):
        cluster.add_pool("shop", 1, cpu="8", memory="16Gi")
        cluster.create(pod("web-0", app="web"))
        roll_out(cluster, 1)
        select(cluster, "app in web")
        source.values["jobs"] = 20
        asked = ref(inline(source.trigger("jobs", metricType="Value"), minReplicaCount=1))
        with pytest.raises(grpc.aio.AioRpcError):
            await keda.value(asked, within=2.0)
        assert bound_selector(world) == "app in web"
        select(cluster, "app=web")
        await keda.until(asked, 4)
        assert bound_selector(world) == "app=web"


async def test_cluster_scoped_target_is_refused() -> None:
    """Whoever asks is told which field is wrong."""
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url) as world,
        world.client() as keda,
    ):
        cluster.create(definition(FLEET, "Cluster"))
        asking: Any = keda_object("web")
        fleet = {"name": "all", "kind": "Fleet", "apiVersion": "fleets.example/v1"}
        asking["spec"]["scaleTargetRef"] = fleet
        cluster.create(asking)
        code, why = await keda.refused(ref(inline(world.source.trigger("jobs"))))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "spec.scaleTargetRef.kind: " in why
        assert "kind 'Fleet' is cluster-scoped" in why


async def test_target_without_selector_is_not_lowered_by_a_start() -> None:
    """What it has is known without its pods: it counts as wanted until windows have passed."""
    async with EmbeddedCluster() as cluster, number_source() as source:
        roll_out(cluster, 20)
        source.values["jobs"] = 0
        policy = inline(source.trigger("jobs"), cooldownPeriod=300)
        async with (
            serving(cluster_url=cluster.url, source=source) as world,
            world.client() as keda,
        ):
            assert await keda.value(ref(policy)) == 20
            assert await keda.is_active(ref(policy)) is True
