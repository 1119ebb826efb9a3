"""ScaledJobs with a real Redis on a real control plane, with exactly the rights of the base."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from autoscaler.kube.jobs import GENERATION, NAME_LABEL
from tests.e2e.controlplane import AuditEvent, ControlPlane
from tests.e2e.live import account_of_the_service, running
from tests.e2e.objects import FLYBALL, PAUSE_IMAGE, Objects, until
from tests.servers import RedisServer

pytestmark = pytest.mark.real("redis-server")

NAME = "convert"
LIST = "videos"
BATCH = "batch/v1"
SETTLED_SECONDS = 4.0
"""Several polls and whatever they might still create."""
DOWN_SECONDS = 3.0


def template(runs_for: str = "") -> dict[str, Any]:
    """Return a pod template; without a time its pods run for good."""
    annotations = {"e2e.flyball.dev/runs-for": runs_for} if runs_for else {}
    containers = [{"name": "main", "image": PAUSE_IMAGE}]
    return {"metadata": {"annotations": annotations}, "spec": {"containers": containers}}


async def define(objects: Objects, server: RedisServer, runs_for: str = "", **spec: Any) -> None:
    """Create a ScaledJob of one list item per job, polled each second."""
    metadata = {"address": server.address, "listName": LIST, "listLength": "1"}
    wanted = {
        "jobTargetRef": {"template": template(runs_for)},
        "pollingInterval": 1,
        "triggers": [{"type": "redis", "metadata": metadata}],
        **spec,
    }
    body = {"apiVersion": FLYBALL, "kind": "ScaledJob", "metadata": {"name": NAME}}
    await objects.create({**body, "spec": wanted})


def push(server: RedisServer, count: int) -> None:
    """Append items to the list."""
    server.send("RPUSH", LIST, *map(str, range(count)))


async def jobs(objects: Objects) -> list[dict[str, Any]]:
    """Return the jobs of the ScaledJob."""
    return await objects.find(BATCH, "Job", labelSelector=f"{NAME_LABEL}={NAME}")


async def count_is(objects: Objects, count: int) -> bool:
    """Return whether there are so many jobs."""
    return len(await jobs(objects)) == count


async def at_least(objects: Objects, count: int) -> bool:
    """Return whether there are so many jobs or more."""
    return len(await jobs(objects)) >= count


async def begun(objects: Objects, count: int) -> bool:
    """Return whether so many jobs have a ready pod."""
    return sum(bool(job.get("status", {}).get("ready")) for job in await jobs(objects)) == count


async def finished(objects: Objects, count: int) -> bool:
    """Return whether so many jobs are complete, and no others are left."""
    found = await jobs(objects)
    return len(found) == count and all(job["status"].get("succeeded") for job in found)


async def condition(objects: Objects, kind: str) -> tuple[str, str]:
    """Return status and reason of a condition of the ScaledJob; empty if absent."""
    status = (await objects.get(FLYBALL, "ScaledJob", NAME)).get("status", {})
    for one in status.get("conditions", ()):
        if one["type"] == kind:
            return one["status"], one["reason"]
    return "", ""


async def has(objects: Objects, kind: str, status: str) -> bool:
    """Return whether a condition of the ScaledJob has a status."""
    return (await condition(objects, kind))[0] == status


def created(events: list[AuditEvent]) -> int:
    """Return how many jobs were created, by the audit log."""
    return sum(
        event.verb == "create"
        and event.object_ref.resource == "jobs"
        and event.response_status.code == 201
        for event in events
    )


async def test_a_queue_becomes_jobs_that_complete(
    control_plane: ControlPlane, objects: Objects, redis_server: RedisServer
) -> None:
    """20 items are worth exactly 20 jobs; they complete, the history keeps the latest 5.

    The service asks for nothing that it has no right to.
    """
    user, kubeconfig = await account_of_the_service(control_plane, objects)
    mark = control_plane.audit_mark()
    async with running(kubeconfig):
        push(redis_server, 20)
        await define(objects, redis_server, "6s", successfulJobsHistoryLimit=5)
        await until("there are 20 jobs", partial(count_is, objects, 20))
        await until("the object is active", partial(has, objects, "Active", "True"))
        # Taken while the jobs still run.
        redis_server.flush()
        await until("the latest five are left", partial(finished, objects, 5), 60)
        await until("the object is idle", partial(has, objects, "Active", "False"))
        status = (await objects.get(FLYBALL, "ScaledJob", NAME))["status"]
        assert await condition(objects, "Ready") == ("True", "ScaledJobReady")
        assert status["lastDecision"]["desiredReplicas"] == 20
        assert status["observedGeneration"] == 1

        async def is_told() -> bool:
            events = await objects.events(NAME)
            return events.get("KEDAJobsCreated") == "Created 20 jobs"

        await until("there is an event", is_told)
    events = await asyncio.to_thread(control_plane.audit_events, user=user, since=mark)
    assert created(events) == 20
    assert [(event.verb, event.request_uri) for event in events if event.is_forbidden] == []


@pytest.mark.parametrize(
    ("strategy", "count"),
    [
        ({"strategy": "default"}, 5),
        ({"strategy": "accurate"}, 10),
        ({"strategy": "accurate", "pendingPodConditions": ["Ready"]}, 10),
        ({"strategy": "eager"}, 10),
        (
            {
                "strategy": "custom",
                "customScalingQueueLengthDeduction": 1,
                "customScalingRunningJobPercentage": "0.5",
            },
            8,
        ),
    ],
    ids=["default", "accurate", "accurate-conditions", "eager", "custom"],
)
async def test_strategies_end_at_their_exact_counts(
    service_kubeconfig: Path,
    objects: Objects,
    redis_server: RedisServer,
    strategy: dict[str, Any],
    count: int,
) -> None:
    """With five items that nobody takes and at most ten jobs, each strategy stops by its rule."""
    push(redis_server, 5)
    async with running(service_kubeconfig):
        await define(objects, redis_server, scalingStrategy=strategy, maxReplicaCount=10)
        await until(f"{count} jobs have begun", partial(begun, objects, count))
        await asyncio.sleep(SETTLED_SECONDS)
        assert len(await jobs(objects)) == count


async def test_restarts_of_the_service_create_no_further_job(
    service_kubeconfig: Path, objects: Objects, redis_server: RedisServer
) -> None:
    """Stopped in the middle of creating, and again while jobs start: in the end there are 20."""
    push(redis_server, 20)
    async with running(service_kubeconfig):
        await define(objects, redis_server)
        await until("some jobs are there", partial(at_least, objects, 3))
    for _ in range(2):
        async with running(service_kubeconfig):
            await until("there are 20 jobs", partial(count_is, objects, 20))
    async with running(service_kubeconfig):
        await until("all have begun", partial(begun, objects, 20))
        await asyncio.sleep(SETTLED_SECONDS)
        assert len(await jobs(objects)) == 20


async def test_a_killed_api_server_makes_no_job_twice(
    control_plane: ControlPlane, objects: Objects, redis_server: RedisServer
) -> None:
    """Killed while jobs are created, the API server has 20 jobs in the end, not one more."""
    push(redis_server, 20)
    _, kubeconfig = await account_of_the_service(control_plane, objects)
    async with running(kubeconfig):
        await define(objects, redis_server)
        await until("some jobs are there", partial(at_least, objects, 1))
        await asyncio.to_thread(control_plane.restart_apiserver, down_seconds=DOWN_SECONDS)
        await until("there are 20 jobs", partial(count_is, objects, 20), 60)
        await until("all have begun", partial(begun, objects, 20), 60)
        await asyncio.sleep(SETTLED_SECONDS)
        assert len(await jobs(objects)) == 20


@pytest.mark.parametrize("rollout", [{}, {"strategy": "immediate"}])
async def test_rollout_leaves_running_jobs_unless_told(
    service_kubeconfig: Path, objects: Objects, redis_server: RedisServer, rollout: dict[str, str]
) -> None:
    """A changed spec leaves the jobs of the old one; ``immediate`` replaces them and their pods."""
    push(redis_server, 3)
    async with running(service_kubeconfig):
        await define(objects, redis_server, rollout=rollout)
        await until("three jobs have begun", partial(begun, objects, 3))
        before = {job["metadata"]["name"] for job in await jobs(objects)}
        change = {"spec": {"jobTargetRef": {"backoffLimit": 1}}}
        await objects.patch(FLYBALL, "ScaledJob", NAME, change)
        if not rollout:
            await asyncio.sleep(SETTLED_SECONDS)
            assert {job["metadata"]["name"] for job in await jobs(objects)} == before
            push(redis_server, 1)
        wanted = 4 if not rollout else 3

        async def are_replaced() -> bool:
            found = {job["metadata"]["name"] for job in await jobs(objects)}
            return len(found) == wanted and found & before == (set() if rollout else before)

        await until("the new jobs are there", are_replaced)
        new = [job for job in await jobs(objects) if job["metadata"]["name"] not in before]
        assert {job["metadata"]["annotations"][GENERATION] for job in new} == {"2"}


async def test_a_deleted_scaled_job_takes_its_jobs_along(
    service_kubeconfig: Path, objects: Objects, redis_server: RedisServer
) -> None:
    """The jobs are owned: the garbage collector removes them and their pods."""
    push(redis_server, 2)
    async with running(service_kubeconfig) as service:
        await define(objects, redis_server)
        await until("two jobs have begun", partial(begun, objects, 2))
        await objects.delete(FLYBALL, "ScaledJob", NAME)

        async def are_gone() -> bool:
            pods = await objects.find("v1", "Pod", labelSelector=f"{NAME_LABEL}={NAME}")
            return not pods and not await jobs(objects)

        await until("jobs and pods are gone", are_gone, 60)
        # Objects of other tests may still be going, with their namespaces.
        left = [one for one in service.objects() if one["namespace"] == objects.namespace]
        assert left == []
