"""The life of an object on a real control plane, with exactly the rights of the base."""

from __future__ import annotations

import asyncio
import base64
import copy
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from autoscaler.api.annotations import ADOPT, TRANSFER_OWNERSHIP
from autoscaler.controller.lifecycle import FINALIZER
from autoscaler.controller.objects import WatchKeda
from autoscaler.controller.settings import ControllerSettings
from autoscaler.errors import Conflict, NotFound
from autoscaler.kube.autoscalers import AUTOSCALERS
from autoscaler.kube.transport import KubeClient
from tests.e2e.controlplane import ControlPlane
from tests.e2e.live import QUICK, account_of_the_service, running
from tests.e2e.objects import FLYBALL, PAUSE_IMAGE, Objects, until

HPA = AUTOSCALERS.api_version
KEDA = "keda.sh/v1alpha1"
RESTORE = {"restoreToOriginalReplicaCount": True}
SLOW_LOOKUPS = ControllerSettings(refresh_seconds=3600.0, retry_seconds=3600.0, status_seconds=1.0)


def cron(replicas: int = 3) -> dict[str, Any]:
    """Return a trigger that always wants so many replicas."""
    always = {"timezone": "UTC", "start": "0 0 1 1 *", "end": "59 23 31 12 *"}
    return {"type": "cron", "metadata": {**always, "desiredReplicas": str(replicas)}}


async def asked(objects: Objects, count: int, name: str = "web") -> bool:
    """Return whether so many replicas are asked for."""
    return await objects.replicas(name) == count


async def is_gone(objects: Objects, api: str, kind: str, name: str) -> bool:
    """Return whether there is no such object."""
    try:
        await objects.get(api, kind, name)
    except NotFound:
        return True
    return False


async def says(objects: Objects, text: str, *, api: str = FLYBALL, name: str = "web") -> bool:
    """Return whether the Ready condition of an object contains a text."""
    status = (await objects.get(api, "ScaledObject", name)).get("status", {})
    return any(
        text in one.get("message", "")
        for one in status.get("conditions", ())
        if one["type"] == "Ready"
    )


async def is_ready(objects: Objects, *, api: str = FLYBALL, name: str = "web") -> bool:
    """Return whether an object's Ready condition is True."""
    status = (await objects.get(api, "ScaledObject", name)).get("status", {})
    return any(
        one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", ())
    )


async def is_served(client: KubeClient, group: str, plural: str, version: str = "v1alpha1") -> bool:
    """Return whether a custom kind can be found; a not found group is waited for by ``until``."""
    found = msgspec.json.decode(await client.request("GET", f"/apis/{group}/{version}"))
    return any(one["name"] == plural for one in found["resources"])


def autoscaler(name: str, target: str, **spec: Any) -> dict[str, Any]:
    """Return a HorizontalPodAutoscaler without any metric it could read."""
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    usage = {"type": "Utilization", "averageUtilization": 50}
    return {
        "apiVersion": HPA,
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": ref,
            "minReplicas": 2,
            "maxReplicas": 8,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": usage}}],
            **spec,
        },
    }


async def test_deletion_while_the_service_is_away_restores_replicas(
    control_plane: ControlPlane, objects: Objects
) -> None:
    """The object waits for the next service, which brings back what was before, and lets it go."""
    user, kubeconfig = await account_of_the_service(control_plane, objects)
    mark = control_plane.audit_mark()
    async with running(kubeconfig):
        await objects.deploy("web", 1)
        await objects.scale_on("web", cron(), advanced=RESTORE)
        await until("three are asked for", partial(asked, objects, 3))
    await objects.delete(FLYBALL, "ScaledObject", "web")
    waiting = await objects.get(FLYBALL, "ScaledObject", "web")
    assert waiting["metadata"]["finalizers"] == [FINALIZER]
    assert waiting["status"]["originalReplicaCount"] == 1
    assert await objects.replicas("web") == 3
    async with running(kubeconfig):
        gone = partial(is_gone, objects, FLYBALL, "ScaledObject", "web")
        await until("the object is gone", gone)
    assert await objects.replicas("web") == 1
    events = await asyncio.to_thread(control_plane.audit_events, user=user, since=mark)
    assert [(e.verb, e.request_uri) for e in events if e.is_forbidden] == []


async def test_autoscaler_is_taken_over_without_a_jump(
    control_plane: ControlPlane, objects: Objects
) -> None:
    """A real HorizontalPodAutoscaler goes, its bounds stay, and no replica is lost on the way."""
    user, kubeconfig = await account_of_the_service(control_plane, objects)
    mark = control_plane.audit_mark()
    async with running(kubeconfig):
        await objects.deploy("web", 4)
        await objects.create(autoscaler("web-hpa", "web"))
        await objects.scale_on("web", cron(20))
        await until("the object refuses", partial(says, objects, "two of them would fight"))
        assert await objects.replicas("web") == 4
        change = {
            "metadata": {"annotations": {TRANSFER_OWNERSHIP: "true"}},
            "spec": {"advanced": {"horizontalPodAutoscalerConfig": {"name": "web-hpa"}}},
        }
        await objects.patch(FLYBALL, "ScaledObject", "web", change)
        gone = partial(is_gone, objects, HPA, "HorizontalPodAutoscaler", "web-hpa")
        await until("the autoscaler is gone", gone)
        await until("its maximum is asked for", partial(asked, objects, 8))
        await until("the object is ready", partial(is_ready, objects))
    events = await asyncio.to_thread(control_plane.audit_events, user=user, since=mark)
    counts = [
        event.request_object["spec"]["replicas"]
        for event in events
        if event.object_ref.subresource == "scale" and event.verb == "patch"
    ]
    assert min(counts) >= 4
    assert [(e.verb, e.request_uri) for e in events if e.is_forbidden] == []


async def test_gitops_sees_no_drift(service_kubeconfig: Path, objects: Objects) -> None:
    """What Git does not say stays; what it said once is ours, through the scale subresource.

    An API server notes an owner of the replicas only where somebody owned them before.
    """
    labels = {"app": "web"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": PAUSE_IMAGE}]},
    }
    manifest: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    with_count = copy.deepcopy(manifest)
    with_count["spec"]["replicas"] = 1
    silent = copy.deepcopy(manifest)
    silent["metadata"]["name"] = "silent"
    await objects.apply(with_count)
    await objects.apply(silent)
    async with running(service_kubeconfig):
        for name in ("web", "silent"):
            await objects.scale_on(name, cron())
            await until("three are asked for", partial(asked, objects, 3, name))
        silent["spec"]["minReadySeconds"] = 1
        await objects.apply(silent)
        assert await objects.replicas("silent") == 3
        stored = await objects.get("apps/v1", "Deployment", "web")
        owners = [
            (entry["manager"], entry.get("subresource"))
            for entry in stored["metadata"]["managedFields"]
            if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
        ]
        assert owners == [("flyball", "scale")]
        changed = copy.deepcopy(manifest)
        changed["spec"]["minReadySeconds"] = 1
        await objects.apply(changed)
        assert await objects.replicas("web") == 3
        insisting = copy.deepcopy(manifest)
        insisting["spec"]["replicas"] = 9
        path = await objects.path(manifest, "web")
        query = {"fieldManager": "gitops", "force": "false"}
        with pytest.raises(Conflict, match="flyball"):
            await objects._send("PATCH", path, insisting, "application/apply-patch+yaml", query)


def definition(group: str, plural: str, kind: str, wanted: str, seen: str) -> dict[str, Any]:
    """Return the definition of a kind with its own scale paths."""
    scale = {"specReplicasPath": wanted, "statusReplicasPath": seen}
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}, "scale": scale},
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {"spec": schema, "status": schema},
                        }
                    },
                }
            ],
        },
    }


@pytest.mark.parametrize(
    ("kind", "paths", "spec"),
    [
        pytest.param(
            ("rollouts.example", "rollouts", "Rollout"),
            (".spec.replicas", ".status.HPAReplicas"),
            {"replicas": 1, "strategy": {"canary": {"steps": []}}},
            id="Rollout",
        ),
        pytest.param(
            ("grids.example", "grids", "Grid"),
            (".spec.workers.wanted", ".status.workers.seen"),
            {"workers": {"wanted": 1, "image": "x"}},
            id="other paths",
        ),
    ],
)
async def test_custom_target_is_scaled(
    control_plane: ControlPlane,
    objects: Objects,
    kind: tuple[str, str, str],
    paths: tuple[str, str],
    spec: dict[str, Any],
) -> None:
    """Any kind with a scale subresource, wherever it keeps its replicas; the rest stays as it is."""
    _, kubeconfig = await account_of_the_service(control_plane, objects)
    group, plural, name = kind
    api = f"{group}/v1alpha1"
    await objects.apply(definition(group, plural, name, *paths))
    body = {"apiVersion": api, "kind": name, "metadata": {"name": "web"}, "spec": spec}

    async def count() -> int:
        found: Any = await objects.get(api, name, "web")
        for part in paths[0].strip(".").split("."):
            found = found[part]
        return int(found)

    async def is_three() -> bool:
        return await count() == 3

    await until("the kind is served", partial(is_served, objects.client, group, plural))
    await objects.create(body)
    async with running(kubeconfig):
        ref = {"name": "web", "kind": name, "apiVersion": api}
        await objects.scale_on("web", cron(), scaleTargetRef=ref, advanced=RESTORE)
        await until("three are asked for", is_three)
        kept = (await objects.get(api, name, "web"))["spec"]
        assert kept.keys() == spec.keys()
        await objects.delete(FLYBALL, "ScaledObject", "web")
        await until("it is gone", partial(is_gone, objects, FLYBALL, "ScaledObject", "web"))
        assert await count() == 1


async def test_rotated_secret_is_noticed_by_its_watch(
    control_plane: ControlPlane, objects: Objects
) -> None:
    """A Secret of that name is watched and no other one; a new password counts within seconds."""
    user, kubeconfig = await account_of_the_service(control_plane, objects)

    def secret(text: str) -> dict[str, Any]:
        data = {"password": base64.b64encode(text.encode()).decode()}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "data": data}

    reference = {"parameter": "password", "name": "keys", "key": "password"}
    await objects.apply(
        {
            "apiVersion": FLYBALL,
            "kind": "TriggerAuthentication",
            "metadata": {"name": "auth"},
            "spec": {"secretTargetRef": [reference]},
        }
    )
    await objects.deploy("web", 0)
    trigger = {
        "type": "redis",
        "metadata": {"address": "127.0.0.1:1", "listName": "jobs"},
        "authenticationRef": {"name": "auth"},
    }
    mark = control_plane.audit_mark()
    async with running(kubeconfig, SLOW_LOOKUPS) as service:
        await objects.scale_on("web", trigger)
        await until("the Secret is missed", partial(says, objects, 'keys" does not exist'))
        for text in ("first", "second"):
            await objects.apply(secret(text))

            async def is_used(text: str = text) -> bool:
                tracked = service._reconciler.tracked.get(f"{objects.namespace}/web")
                binding = tracked.binding if tracked else None
                return binding is not None and binding.resolved[0].auth == {"password": text}

            await until(f"the {text} password is used", is_used)
    events = await asyncio.to_thread(control_plane.audit_events, user=user, since=mark)
    uris = [e.request_uri for e in events if e.object_ref.resource == "secrets"]
    assert uris
    assert [uri for uri in uris if "keys" not in uri] == []
    assert [(e.verb, e.request_uri) for e in events if e.is_forbidden] == []


@pytest.mark.parametrize("service_kubeconfig", [["watch-keda"]], indirect=True, ids=[""])
async def test_object_of_keda_is_taken_over_with_its_autoscaler(
    service_kubeconfig: Path, objects: Objects, keda_definitions: None
) -> None:
    """Beside our own objects; KEDA's autoscaler goes with the annotation, its finalizer stays."""
    settings = msgspec.structs.replace(QUICK, watch_keda=WatchKeda.ANNOTATED)
    kind: dict[str, Any] = {"apiVersion": KEDA, "kind": "ScaledObject"}

    metadata = {"name": "theirs", "finalizers": ["finalizer.keda.sh"]}
    spec = {
        "scaleTargetRef": {"name": "theirs"},
        "pollingInterval": 1,
        "minReplicaCount": 2,
        "triggers": [cron()],
        "advanced": RESTORE,
    }
    for name in ("ours", "theirs"):
        await objects.deploy(name, 2)
    owner = await objects.create({**kind, "metadata": metadata, "spec": spec})
    reference = {**kind, "name": "theirs", "uid": owner["metadata"]["uid"], "controller": True}
    made = autoscaler("keda-hpa-theirs", "theirs")
    made["metadata"]["ownerReferences"] = [reference]
    await objects.create(made)
    async with running(service_kubeconfig, settings):
        await objects.scale_on("ours", cron(5))
        await until("ours is scaled", partial(asked, objects, 5, "ours"))
        assert await objects.replicas("theirs") == 2
        change = {"metadata": {"annotations": {ADOPT: "true"}}}
        await objects.patch(KEDA, "ScaledObject", "theirs", change)
        gone = partial(is_gone, objects, HPA, "HorizontalPodAutoscaler", "keda-hpa-theirs")
        await until("KEDA's autoscaler is gone", gone)
        await until("theirs is scaled", partial(asked, objects, 3, "theirs"))
        await until("it is ready", partial(is_ready, objects, api=KEDA, name="theirs"))
        await objects.delete(KEDA, "ScaledObject", "theirs")
        await until("its replicas are back", partial(asked, objects, 2, "theirs"))

        async def is_let_go() -> bool:
            stored = await objects.get(KEDA, "ScaledObject", "theirs")
            return bool(stored["metadata"]["finalizers"] == ["finalizer.keda.sh"])

        await until("only KEDA's finalizer is left", is_let_go)
        no_finalizers = {"metadata": {"finalizers": None}}
        await objects.patch(KEDA, "ScaledObject", "theirs", no_finalizers)
