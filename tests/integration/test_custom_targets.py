"""Targets of kinds that others define: their rights, their pods, their scope."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from autoscaler.controller import target_pods
from autoscaler.controller.binding import Binding
from autoscaler.controller.settings import ControllerSettings
from autoscaler.core.model import HpaSettings
from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.metrics_api import Usage
from autoscaler.demo.objects import JsonObject
from autoscaler.kube import resources
from tests.integration.test_bad_input import authentication, cron, password
from tests.integration.test_lifecycle import RESTORE, gone
from tests.integration.test_references import auth_of, coded, pages
from tests.integration.test_targets import FLEET, GRID, ROLLOUT, count, define, definition
from tests.integration.world import World, running

API = "argoproj.io/v1alpha1"
REF = {"name": "web", "kind": "Rollout", "apiVersion": API}
TEMPLATE = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "main", "env": [{"name": "LOGIN", "value": "known"}]}]},
}
BY_VALUE = {**cron(), "metricType": "Value"}
CPU = {"type": "cpu", "metricType": "AverageValue", "metadata": {"value": "100m"}}
FRESH_PODS_COUNT = ControllerSettings(
    refresh_seconds=600.0,
    resource_metrics_seconds=0.3,
    hpa=HpaSettings(cpu_initialization_period_seconds=0, initial_readiness_delay_seconds=0),
)


def roll_out(world: World, **spec: Any) -> None:
    """Create a Rollout as its user does; its status is its controller's."""
    define(world, ROLLOUT)
    world.create("Rollout", "web", api=API, spec={"replicas": 1, "template": TEMPLATE, **spec})


def select(world: World, selector: str) -> None:
    """Write the selector into the status, as the controller of Rollouts does."""
    world.report("Rollout", "web", api=API, selector=selector, HPAReplicas=1)


def pod(world: World, name: str, **labels: str) -> None:
    """Create a pod, which starts where there are nodes."""
    containers = [{"name": "main", "image": "demo"}]
    world.create("Pod", name, metadata={"labels": labels}, spec={"containers": containers})


def binding(world: World) -> Binding | None:
    """Return what the service does for the object."""
    reconciler: Any = world.service._reconciler
    found = reconciler.tracked.get("default/web")
    return found.binding if found else None


def selector(world: World) -> str | None:
    """Return the selector the service works with; None while there is no binding."""
    bound = binding(world)
    return bound.pod_selector if bound else None


def says(world: World, kind: str, text: str) -> Callable[[], bool]:
    """Return whether a condition's message has a text."""
    return lambda: text in world.condition("web", kind)[2]


async def test_secrets_need_no_right_to_read_the_target() -> None:
    """Scaling needs ``*/scale`` alone unless a parameter is in the target's environment."""
    async with EmbeddedCluster() as cluster, running(cluster=cluster) as world:
        cluster.faults.deny("get", "rollouts")
        roll_out(world)
        world.create("Secret", "keys", data=coded(p="secret"))
        authentication(world, "auth", **password("keys", "p"))
        world.scale_on("web", cron(), pages("auth"), scaleTargetRef=REF)
        await world.until(lambda: count(world, ROLLOUT, "web") == 3)
        assert auth_of(world, "web", 1) == "secret"
        assert ("get", "rollouts") not in cluster.api.requests


async def test_denied_pod_template_is_the_problem_of_who_needs_it() -> None:
    """The message names the parameter and the right; with the right the object works."""
    async with EmbeddedCluster() as cluster, running(cluster=cluster) as world:
        cluster.faults.deny("get", "rollouts")
        roll_out(world)
        authentication(world, "auth", env=[{"parameter": "password", "name": "LOGIN"}])
        by_key = pages("", usernameFromEnv="LOGIN")
        world.scale_on("web", pages("auth"), by_key, scaleTargetRef=REF)
        right = 'the right to get rollouts.argoproj.io in namespace "default"'
        await world.until(says(world, "Ready", right))
        message = world.condition("web")[2]
        assert 'TriggerAuthentication "default/auth": spec.env, parameter password' in message
        assert "spec.triggers[1].metadata.usernameFromEnv" in message
        cluster.faults.permit("get", "rollouts")
        await world.until(lambda: auth_of(world, "web") == "known")


async def test_selector_that_comes_late_or_changes_is_followed() -> None:
    """Pods are those the scale selects by now, not those it selected when the object came."""
    async with running(FRESH_PODS_COUNT) as world:
        world.cluster.add_pool("shop", 1, cpu="8", memory="16Gi")
        roll_out(world)
        world.scale_on("web", BY_VALUE, scaleTargetRef=REF, minReplicaCount=1)
        await world.until(says(world, "ScalingActive", "has no pod selector"))
        pod(world, "one", app="web")
        select(world, "app=web")
        await world.until(lambda: world.condition("web", "ScalingActive")[0] == "True")
        assert selector(world) == "app=web"
        pod(world, "two", app="web", track="stable")
        select(world, "app=web,track=stable")
        await world.until(lambda: selector(world) == "app=web,track=stable")
        await world.until(lambda: world.condition("web", "ScalingActive")[0] == "True")
        select(world, "")
        await world.until(says(world, "ScalingActive", "has no pod selector"))


async def test_selector_nobody_understands_is_left_when_there_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pods that cannot be listed hold up decisions, but not the look at who else is meant."""
    monkeypatch.setattr(target_pods, "GRACE_SECONDS", 1.0)
    async with running(FRESH_PODS_COUNT) as world:
        world.cluster.add_pool("shop", 1, cpu="8", memory="16Gi")
        pod(world, "one", app="web")
        roll_out(world)
        select(world, "app in web")
        world.scale_on("web", BY_VALUE, scaleTargetRef=REF, minReplicaCount=1)
        await world.until(lambda: selector(world) == "app in web")
        select(world, "app=web")
        await world.until(lambda: world.condition("web", "ScalingActive")[0] == "True")
        assert selector(world) == "app=web"


async def test_usage_of_a_whole_namespace_is_never_taken_for_that_of_a_target() -> None:
    """Without a selector nobody's usage is read and nothing moves; with one only its pods' is."""
    async with running(FRESH_PODS_COUNT) as world:
        world.cluster.add_pool("shop", 1, cpu="8", memory="16Gi")
        shown: set[str] = set()

        def usage(one: JsonObject) -> Usage:
            shown.add(one["metadata"]["name"])
            return Usage(cpu_milli=300, memory_bytes=0)

        world.cluster.metrics.usage = usage
        pod(world, "stranger", app="other")
        pod(world, "own", app="web")
        roll_out(world)
        world.scale_on("web", CPU, scaleTargetRef=REF, minReplicaCount=1)
        await world.until(says(world, "ScalingActive", "has no pod selector"))
        text = str(world.service.explain_text("default", "web"))
        assert "cpu usage is not read: the scale of the target has no pod selector" in text
        assert count(world, ROLLOUT, "web") == 1
        assert shown == set()
        select(world, "app=web")
        await world.until(lambda: count(world, ROLLOUT, "web") == 3)
        assert shown == {"own"}


async def test_order_of_a_selector_is_no_change() -> None:
    """The API server sorts what a Deployment's author need not: nothing is bound anew for that."""
    async with running(FRESH_PODS_COUNT) as world:
        roll_out(world)
        select(world, "tier in (b,a),app=web")
        world.scale_on("web", BY_VALUE, scaleTargetRef=REF, minReplicaCount=1)
        await world.until(lambda: selector(world) == "tier in (b,a),app=web")
        bound = binding(world)
        select(world, "app=web,tier in (a,b)")
        await asyncio.sleep(2.5)
        assert binding(world) is bound


async def test_cluster_scoped_target_is_refused() -> None:
    """Two namespaces could fight over it; an object that restores its target can still go."""
    async with running() as world:
        world.cluster.create(definition(FLEET, "Cluster"))
        fleet = {"apiVersion": "fleets.example/v1", "kind": "Fleet", "metadata": {"name": "all"}}
        world.cluster.create({**fleet, "spec": {"replicas": 1}})
        ref = {"apiVersion": "fleets.example/v1", "kind": "Fleet", "name": "all"}
        # One of an earlier version of the service may have been held for this target.
        held = {"finalizers": ["flyball.dev/scaledobject"]}
        world.scale_on("web", cron(), scaleTargetRef=ref, advanced=RESTORE, metadata=held)
        await world.until(lambda: world.condition("web")[0] == "False")
        message = world.condition("web")[2]
        assert "spec.scaleTargetRef.kind: " in message
        assert "kind 'Fleet' is cluster-scoped" in message
        world.report("ScaledObject", "web", originalReplicaCount=7)
        world.delete("ScaledObject", "web")
        await world.until(lambda: gone(world, "web"))
        fleets = world.cluster.registry.resource("fleets.example/v1", "Fleet")
        assert world.cluster.registry.get(fleets, "", "all").value["spec"]["replicas"] == 1


async def test_scale_may_come_after_the_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A definition that gets its scale later is noticed without a restart."""
    monkeypatch.setattr(resources, "UNKNOWN_KIND_SECONDS", 1.0)
    async with running() as world:
        define(world, GRID)
        definitions = world.cluster.registry.resource(
            "apiextensions.k8s.io/v1", "CustomResourceDefinition"
        )
        taken: JsonObject = {}

        def take(value: JsonObject) -> JsonObject:
            taken.update(value["spec"]["versions"][0]["subresources"].pop("scale"))
            return value

        def give(value: JsonObject) -> JsonObject:
            value["spec"]["versions"][0]["subresources"]["scale"] = taken
            return value

        world.cluster.registry.modify(definitions, "", "grids.grids.example", take)
        world.create("Grid", "web", api="grids.example/v1beta2", spec={"workers": {"wanted": 1}})
        ref = {"name": "web", "kind": "Grid", "apiVersion": "grids.example/v1beta2"}
        world.scale_on("web", cron(), scaleTargetRef=ref)
        await world.until(says(world, "Ready", "has no scale subresource"))
        world.cluster.registry.modify(definitions, "", "grids.grids.example", give)
        await world.until(lambda: count(world, GRID, "web") == 3)
