"""Targets of any kind with a scale subresource, and who owns their replicas afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
import yaml

from autoscaler.demo.objects import JsonObject, at_path
from tests.integration.test_bad_input import cron
from tests.integration.test_lifecycle import RESTORE, gone
from tests.integration.test_service import annotate
from tests.integration.world import NAMESPACE, World, running

NEVER = {"start": "0 0 31 12 *", "end": "1 0 31 12 *"}
ROLLOUT = ("argoproj.io", "v1alpha1", "Rollout", "rollouts")
FLEET = ("fleets.example", "v1", "Fleet", "fleets")
GRID = ("grids.example", "v1beta2", "Grid", "grids")
PATHS = {
    ROLLOUT: (".spec.replicas", ".status.HPAReplicas", ".status.selector"),
    FLEET: (".spec.replicas", ".status.replicas", None),
    GRID: (".spec.workers.wanted", ".status.workers.seen", None),
}


def define(world: World, kind: tuple[str, str, str, str]) -> None:
    """Install a CustomResourceDefinition with the scale paths of a kind."""
    world.cluster.create(definition(kind))


def definition(kind: tuple[str, str, str, str], scope: str = "Namespaced") -> JsonObject:
    """Return a CustomResourceDefinition with the scale paths of a kind."""
    group, version, name, plural = kind
    spec_path, status_path, selector = PATHS[kind]
    scale = {"specReplicasPath": spec_path, "statusReplicasPath": status_path}
    if selector:
        scale["labelSelectorPath"] = selector
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {
        "name": version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}, "scale": scale},
        "schema": {"openAPIV3Schema": free},
    }
    names = {"kind": name, "plural": plural, "singular": name.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": scope, "names": names, "versions": [served]},
    }


def count(world: World, kind: tuple[str, str, str, str], name: str) -> int:
    """Return the replicas a custom target was asked for."""
    group, version, known, _ = kind
    value = world.get(known, name, api=f"{group}/{version}")
    found = at_path(value, *PATHS[kind][0].lstrip(".").split("."))
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        pytest.param(ROLLOUT, {"replicas": 1}, id="Rollout"),
        pytest.param(GRID, {"workers": {"wanted": 1}, "kept": True}, id="other paths"),
    ],
)
async def test_custom_target_is_scaled_and_restored(
    kind: tuple[str, str, str, str], spec: JsonObject
) -> None:
    """Whatever its paths are called: up, down, and back to the original when the object goes."""
    group, version, name, _ = kind
    async with running() as world:
        define(world, kind)
        world.create(name, "web", api=f"{group}/{version}", spec=spec)
        world.scale_on(
            "web",
            cron(),
            scaleTargetRef={"name": "web", "kind": name, "apiVersion": f"{group}/{version}"},
            cooldownPeriod=0,
            advanced=RESTORE,
        )
        await world.until(lambda: count(world, kind, "web") == 3)
        shown = world.get(name, "web", api=f"{group}/{version}")
        assert {k: v for k, v in shown["spec"].items() if k == "kept"} == (
            {"kept": True} if "kept" in spec else {}
        )

        def stop(value: dict[str, Any]) -> None:
            value["spec"]["triggers"] = [cron(**NEVER)]

        world.edit("ScaledObject", "web", stop)
        await world.until(lambda: count(world, kind, "web") == 0)
        status = world.get("ScaledObject", "web")["status"]
        assert status["scaleTargetKind"] == f"{group}/{version}.{name}"
        world.delete("ScaledObject", "web")
        await world.until(lambda: gone(world, "web"))
        assert count(world, kind, "web") == 1


async def test_definition_may_come_after_the_object() -> None:
    """An object on a kind nobody serves yet starts to work when the kind is installed."""
    async with running() as world:
        ref = {"name": "web", "kind": "Rollout", "apiVersion": "argoproj.io/v1alpha1"}
        world.scale_on("web", cron(), scaleTargetRef=ref)
        await world.until(lambda: "serves no such kind" in world.condition("web")[2])
        define(world, ROLLOUT)
        world.create("Rollout", "web", api="argoproj.io/v1alpha1", spec={"replicas": 0})
        await world.until(lambda: count(world, ROLLOUT, "web") == 3, 30)
        await world.until(lambda: world.condition("web")[0] == "True")


async def test_stateful_set_is_scaled() -> None:
    """The built-in workloads other than Deployments are watched as those are."""
    async with running() as world:
        labels = {"app": "db"}
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": "demo"}]},
        }
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        world.create("StatefulSet", "db", api="apps/v1", spec={**spec, "serviceName": "db"})
        world.scale_on("db", cron(), scaleTargetRef={"name": "db", "kind": "StatefulSet"})

        def replicas() -> int:
            found: int = world.get("StatefulSet", "db", api="apps/v1")["spec"]["replicas"]
            return found

        await world.until(lambda: replicas() == 3)

        def by_hand(value: dict[str, Any]) -> None:
            value["spec"]["replicas"] = 9

        world.edit("ScaledObject", "db", lambda v: v["spec"].update(maxReplicaCount=3))
        world.edit("StatefulSet", "db", by_hand, api="apps/v1")
        await world.until(lambda: replicas() == 3)


async def test_forced_activation_counts_as_work() -> None:
    """The annotation lifts a target from zero and keeps it up; without it the target goes down."""
    async with running() as world:
        world.deploy("web", 0)
        world.scale_on("web", cron(**NEVER), cooldownPeriod=0)
        await world.until(lambda: world.condition("web", "Active")[0] == "False")
        annotate(world, "web", FORCE_ACTIVATION="true")
        await world.until(lambda: world.replicas("web") == 1)
        await world.until(lambda: world.condition("web", "Active")[0] == "True")
        annotate(world, "web", FORCE_ACTIVATION=None)
        await world.until(lambda: world.replicas("web") == 0)


@pytest.mark.parametrize(
    ("constant", "start", "wanted", "other"),
    [("PAUSED_SCALE_OUT", 2, "5", 2), ("PAUSED_SCALE_IN", 5, "2", 5)],
)
async def test_pause_in_one_direction(constant: str, start: int, wanted: str, other: int) -> None:
    """The condition is True, nothing moves that way, and it does when the annotation goes."""
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    async with running() as world:
        world.deploy("web", start)
        world.scale_on(
            "web",
            cron(desiredReplicas=wanted),
            minReplicaCount=1,
            advanced={"horizontalPodAutoscalerConfig": {"behavior": behavior}},
            metadata={"annotations": {f"autoscaling.keda.sh/{_annotation(constant)}": "true"}},
        )
        await world.until(lambda: world.condition("web", "Paused")[0] == "True")
        await asyncio.sleep(1.2)
        assert world.history["web"] == [other]
        annotate(world, "web", **{constant: None})
        await world.until(lambda: world.replicas("web") == int(wanted))
        await world.until(lambda: world.condition("web", "Paused")[0] == "False")


def _annotation(constant: str) -> str:
    return constant.lower().replace("_", "-")


async def test_restart_does_not_drive_an_unpaused_object_back() -> None:
    """What was once asked for while paused is not asked for again by the next service."""
    async with running() as world:
        world.deploy("web", 4)
        paused = {"annotations": {"autoscaling.keda.sh/paused-replicas": "1"}}
        world.scale_on("web", cron(), metadata=paused)
        await world.until(lambda: world.replicas("web") == 1)
        annotate(world, "web", PAUSED_REPLICAS=None)
        await world.until(lambda: world.replicas("web") == 3)
        await world.until(lambda: world.condition("web", "Paused")[0] == "False")
        cluster = world.cluster
        async with running(cluster=cluster) as second:
            await second.until(lambda: second.service.objects() != [])
            await asyncio.sleep(1)
            assert world.replicas("web") == 3


async def apply(
    session: aiohttp.ClientSession, body: JsonObject, manager: str, *, force: bool = False
) -> tuple[int, JsonObject]:
    """Apply a Deployment as a GitOps tool does; returns status and answer."""
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{body['metadata']['name']}"
    query = {"fieldManager": manager, "force": "true" if force else "false"}
    headers = {"Content-Type": "application/apply-patch+yaml"}
    async with session.patch(
        path, data=yaml.safe_dump(body), params=query, headers=headers
    ) as answer:
        return answer.status, await answer.json()


def manifest(**spec: Any) -> JsonObject:
    """Return a Deployment as kept in Git."""
    labels = {"app": "web"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": "demo"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def owners_of_replicas(value: JsonObject) -> list[tuple[str, str]]:
    """Return manager and subresource of everybody who owns ``spec.replicas``."""
    return [
        (entry["manager"], entry.get("subresource", ""))
        for entry in value["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    ]


async def test_gitops_sees_no_drift_in_what_it_does_not_say() -> None:
    """We own the replicas through the scale subresource; a manifest without them changes none."""
    async with running() as world, aiohttp.ClientSession(world.cluster.url) as gitops:
        status, _ = await apply(gitops, manifest(replicas=1), "gitops")
        assert status in {200, 201}
        world.scale_on("web", cron(), cooldownPeriod=1)
        await world.until(lambda: world.replicas("web") == 3)
        stored = world.get("Deployment", "web", api="apps/v1")
        assert owners_of_replicas(stored) == [("flyball", "scale")]
        status, _ = await apply(gitops, manifest(minReadySeconds=1), "gitops")
        assert status == 200
        assert world.replicas("web") == 3
        assert [c for c in world.history["web"] if c not in {1, 3}] == []
        # A manifest that insists on a count is told who owns it.
        status, answer = await apply(gitops, manifest(replicas=9), "gitops")
        assert status == 409
        assert "flyball" in answer["message"]
        assert world.replicas("web") == 3
