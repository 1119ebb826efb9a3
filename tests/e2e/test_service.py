"""The service with a real Redis on a real control plane."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.controlplane import AuditEvent, ControlPlane
from tests.e2e.controlplane.audit import scale_writes
from tests.e2e.live import account_of_the_service, running
from tests.e2e.objects import FLYBALL, PATIENT_SECONDS, Objects, until
from tests.servers import RedisServer

pytestmark = pytest.mark.real("redis-server")

COOLDOWN_SECONDS = 4
DOWN_SECONDS = 3.0


def jobs_trigger(server: RedisServer, objects: Objects) -> dict[str, Any]:
    """Return a trigger of ten items per replica; the list is named after the namespace."""
    metadata = {"address": server.address, "listName": objects.namespace, "listLength": "10"}
    return {"type": "redis", "metadata": metadata}


def push(server: RedisServer, objects: Objects, count: int) -> None:
    """Append items to the list."""
    server.send("RPUSH", objects.namespace, *map(str, range(count)))


def counts_written(events: list[AuditEvent], namespace: str) -> list[int]:
    """Return the replicas asked for with success, in order."""
    return [count for _, count in scale_writes(events, namespace)]


async def test_list_drives_pods_from_zero_and_back(
    service_kubeconfig: Path, objects: Objects, redis_server: RedisServer
) -> None:
    """50 items become 5 ready pods, an empty list none; status and events tell the story."""
    async with running(service_kubeconfig):
        await objects.deploy("worker", 0)
        trigger = jobs_trigger(redis_server, objects)
        await objects.scale_on("worker", trigger, cooldownPeriod=COOLDOWN_SECONDS)
        await until("the object is ready", lambda: has(objects, "Ready", "True"))
        assert await objects.replicas("worker") == 0
        push(redis_server, objects, 50)
        await until("five pods are ready", lambda: ready(objects, 5))
        await until("the object is active", lambda: has(objects, "Active", "True"))
        await until("status says five", lambda: desired(objects, 5))
        status = (await objects.get(FLYBALL, "ScaledObject", "worker"))["status"]
        assert status["observedGeneration"] == 1
        assert status["scaleTargetKind"] == "apps/v1.Deployment"
        assert status["originalReplicaCount"] == 0
        assert status["lastDecision"]["desiredReplicas"] == 5
        redis_server.flush()
        await until("no pod is left", lambda: ready(objects, 0))
        await until("the object is idle", lambda: has(objects, "Active", "False"))
        await until("status says none", lambda: desired(objects, 0))
        assert await objects.condition("worker") == ("True", "ScaledObjectReady")
        wanted = {"ScaledObjectReady", "KEDAScaleTargetActivated", "KEDAScaleTargetDeactivated"}

        async def are_told() -> bool:
            return wanted <= set(await objects.events("worker"))

        await until(f"there are events {wanted}", are_told)


async def test_restarted_api_server_loses_nothing_and_lowers_nothing(
    control_plane: ControlPlane,
    objects: Objects,
    redis_server: RedisServer,
    record_property: Callable[[str, object], None],
) -> None:
    """Replicas outlive an API server that is killed, and follow load and edits once it is back.

    The audit log shows what the service asked for: only the counts expected, nothing it had no
    right to, and one new list at most of each kind it watches everywhere.
    """
    user, kubeconfig = await account_of_the_service(control_plane, objects)
    mark = control_plane.audit_mark()
    async with running(kubeconfig):
        await objects.deploy("worker", 0)
        trigger = jobs_trigger(redis_server, objects)
        await objects.scale_on("worker", trigger, cooldownPeriod=8)
        push(redis_server, objects, 50)
        await until("five pods are ready", lambda: ready(objects, 5))
        away = control_plane.audit_mark()
        await asyncio.to_thread(control_plane.restart_apiserver, down_seconds=DOWN_SECONDS)
        back_at = time.monotonic()
        back = control_plane.audit_mark()
        push(redis_server, objects, 30)
        await until("eight are asked for", lambda: asked(objects, 8))
        load_seconds = time.monotonic() - back_at
        trigger["metadata"]["listLength"] = "8"
        edit = {"spec": {"triggers": [trigger]}}
        await objects.patch(FLYBALL, "ScaledObject", "worker", edit)
        await until("ten are asked for", lambda: asked(objects, 10))
        edit_seconds = time.monotonic() - back_at
        await until("ten pods are ready", lambda: ready(objects, 10), PATIENT_SECONDS)
        redis_server.flush()
        await until("no pod is left", lambda: ready(objects, 0), PATIENT_SECONDS)
    events = await asyncio.to_thread(control_plane.audit_events, user=user, since=mark)
    assert counts_written(events, objects.namespace) == [5, 8, 10, 0]
    since_away = await asyncio.to_thread(control_plane.audit_events, user=user, since=away)
    lists = [
        (event.object_ref.api_group, event.object_ref.resource)
        for event in since_away
        if event.verb == "list" and not event.object_ref.namespace
    ]
    assert len(lists) == len(set(lists)), lists
    # While it starts, an API server refuses everybody until it has read its roles.
    at_peace = events[: len(events) - len(since_away)]
    at_peace += await asyncio.to_thread(control_plane.audit_events, user=user, since=back)
    assert [(e.verb, e.request_uri) for e in at_peace if e.is_forbidden] == []
    # Two polling intervals, and what the API server itself takes to let users in again.
    record_property("load_seconds", round(load_seconds, 1))
    record_property("edit_seconds", round(edit_seconds, 1))
    assert load_seconds < 10.0
    assert edit_seconds < 15.0


async def has(objects: Objects, kind: str, status: str) -> bool:
    """Return whether a condition of the object has a status."""
    return (await objects.condition("worker", kind))[0] == status


async def ready(objects: Objects, count: int) -> bool:
    """Return whether so many pods are asked for and ready."""
    asked_for = await objects.replicas("worker")
    return asked_for == count and await objects.ready_replicas("worker") == count


async def asked(objects: Objects, count: int) -> bool:
    """Return whether so many replicas are asked for."""
    return await objects.replicas("worker") == count


async def desired(objects: Objects, count: int) -> bool:
    """Return whether the object's status names a count."""
    status = (await objects.get(FLYBALL, "ScaledObject", "worker")).get("status", {})
    return bool(status.get("desiredReplicas") == count)
