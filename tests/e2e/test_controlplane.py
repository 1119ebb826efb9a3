"""The control plane of the tests itself: rights, audit log, restarts, compaction."""

from __future__ import annotations

import asyncio

import pytest

from autoscaler.errors import Forbidden, Gone, KubeError
from autoscaler.kube.transport import KubeClient
from tests.e2e.controlplane import ControlPlane
from tests.e2e.objects import PAUSE_IMAGE, Objects, own_namespace, until


def config_map(name: str, **data: str) -> dict[str, object]:
    """Return a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_users_may_do_nothing_until_rbac_says_so(control_plane: ControlPlane) -> None:
    """A certificate makes a known user, whose refused request is in the audit log."""
    mark = control_plane.audit_mark()
    kubeconfig = await asyncio.to_thread(control_plane.kubeconfig, "nobody", ["strangers"])
    client = await KubeClient.connect(str(kubeconfig), in_cluster=False)
    try:
        with pytest.raises(Forbidden, match='User "nobody" cannot list resource "secrets"'):
            await client.request("GET", "/api/v1/secrets")
    finally:
        await client.close()
    (event,) = control_plane.audit_events(user="nobody", since=mark)
    assert (event.verb, event.object_ref.resource) == ("list", "secrets")
    assert event.is_forbidden
    assert "strangers" in event.user.groups


@pytest.mark.parametrize("program", ["apiserver", "etcd"])
async def test_restart_keeps_what_was_written(
    control_plane: ControlPlane, client: KubeClient, program: str
) -> None:
    """Killed and started again, the API server is at the same address with the same objects."""
    restart = {
        "apiserver": control_plane.restart_apiserver,
        "etcd": control_plane.restart_etcd,
    }[program]
    async with own_namespace(client) as objects:
        await objects.create(config_map("kept", k="1"))
        await asyncio.to_thread(restart)
        await until("the object is there", lambda: holds(objects, "kept"))


async def test_compaction_expires_old_versions(
    client: KubeClient, control_plane: ControlPlane
) -> None:
    """Once etcd and the API server's own cache have forgotten it, the past is answered 410."""
    async with own_namespace(client) as objects:
        made = await objects.create(config_map("a"))
        await objects.create(config_map("b"))
        await asyncio.to_thread(control_plane.compact_etcd)
        await asyncio.to_thread(control_plane.restart_apiserver)
        version = made["metadata"]["resourceVersion"]
        past = {"resourceVersion": version, "resourceVersionMatch": "Exact", "limit": "5"}
        with pytest.raises(Gone):
            await objects.find("v1", "ConfigMap", **past)


async def test_pods_become_ready_on_the_nodes(
    objects: Objects, control_plane: ControlPlane
) -> None:
    """A Deployment gets as many ready pods as it asks for, on nodes without a kubelet."""
    await objects.deploy("web", 3)

    async def are_ready() -> bool:
        return await objects.ready_replicas("web") == 3

    await until("three pods are ready", are_ready)
    pods = await objects.find("v1", "Pod")
    assert all(pod["spec"]["nodeName"].startswith("node-") for pod in pods)


async def test_jobs_end_well_after_the_time_their_pods_say(
    objects: Objects, control_plane: ControlPlane
) -> None:
    """A pod with the annotation succeeds after that time, and its Job is complete."""
    template = {
        "metadata": {"annotations": {"e2e.flyball.dev/runs-for": "1s"}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": PAUSE_IMAGE}],
        },
    }
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}}
    await objects.create({**body, "spec": {"template": template, "completions": 2}})

    async def is_complete() -> bool:
        status = (await objects.get("batch/v1", "Job", "j")).get("status", {})
        found = {one["type"]: one["status"] for one in status.get("conditions", ())}
        return found.get("Complete") == "True" and status["succeeded"] == 2

    await until("the job is complete", is_complete)


async def holds(objects: Objects, name: str) -> bool:
    """Return whether a ConfigMap can be read."""
    try:
        return bool(await objects.get("v1", "ConfigMap", name))
    except KubeError:
        return False
