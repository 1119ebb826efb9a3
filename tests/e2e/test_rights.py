"""Rights that are missing on a real control plane: told, harmless to the others, used when given."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from tests.deploy.rights import Right
from tests.e2e.controlplane import AuditEvent, ControlPlane
from tests.e2e.controlplane.audit import scale_writes
from tests.e2e.deployed import ACCOUNT, grant
from tests.e2e.live import account_of_the_service, running
from tests.e2e.objects import FLYBALL, PATIENT_SECONDS, Objects, until
from tests.e2e.test_deploy import asks_for, authentication, secret, target, workload
from tests.e2e.test_lifecycle import asked, cron
from tests.servers import RedisServer

SCALE = Right("*", "*/scale", "patch")
SECRETS = [Right("", "secrets", verb) for verb in ("get", "list", "watch")]
LASTING_SECONDS = 10.0
"""Long enough for several further attempts."""
REFUSED_PER_SECOND_MAX = 2.0
"""A service without a right must not ask for it all the time; ``retry_seconds`` is 1 here."""


async def ready(objects: Objects, name: str) -> tuple[str, str]:
    """Return status and message of a ScaledObject's Ready condition; empty if absent."""
    status = (await objects.get(FLYBALL, "ScaledObject", name)).get("status", {})
    for condition in status.get("conditions", ()):
        if condition["type"] == "Ready":
            return condition["status"], condition["message"]
    return "", ""


async def lacks_right(objects: Objects, name: str, said: str) -> bool:
    """Return whether an object says which right it lacks."""
    status, message = await ready(objects, name)
    return status == "False" and said in message


async def works(objects: Objects, name: str) -> bool:
    """Return whether an object is ready."""
    return (await ready(objects, name))[0] == "True"


async def let_scale(objects: Objects, resource: str) -> None:
    """Let the service's account scale one resource of apps/v1 in the objects' namespace."""
    api = "rbac.authorization.k8s.io"
    metadata = {"name": "scale-one-kind"}
    rule = {"apiGroups": ["apps"], "resources": [f"{resource}/scale"], "verbs": ["patch"]}
    role = {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": metadata}
    await objects.create({**role, "rules": [rule]})
    account = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": objects.namespace}
    binding = {
        **role,
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": api, "kind": "Role", "name": metadata["name"]},
        "subjects": [account],
    }
    await objects.create(binding)


def refused_of(events: list[AuditEvent]) -> list[Right]:
    """Return the rights that requests were refused for, one for each request."""
    return [
        Right(
            event.object_ref.api_group,
            "/".join(filter(None, (event.object_ref.resource, event.object_ref.subresource))),
            event.verb,
        )
        for event in events
        if event.is_forbidden
    ]


async def test_scaling_that_is_not_allowed_is_a_condition_of_its_objects_alone(
    control_plane: ControlPlane, objects: Objects
) -> None:
    """May it scale StatefulSets only, those are scaled and the Deployment says what is missing.

    Once the right is there the Deployment gets the replicas it should have, and no others before.
    """
    user, kubeconfig = await account_of_the_service(control_plane, objects, without=[SCALE])
    await let_scale(objects, "statefulsets")
    mark = control_plane.audit_mark()
    await objects.deploy("web", 1)
    await objects.create(workload("StatefulSet", "store", serviceName="store"))

    async def events() -> list[AuditEvent]:
        return await asyncio.to_thread(control_plane.audit_events, user=user, since=mark)

    async with running(kubeconfig):
        await objects.scale_on("web", cron(3))
        await objects.scale_on("store", cron(4), **target("apps/v1", "StatefulSet", "store"))
        store = partial(asks_for, objects, "apps/v1", "StatefulSet", "store")
        await until("the StatefulSet is scaled", partial(store, 4))
        said = 'cannot patch resource "deployments/scale"'
        await until("the right is named", partial(lacks_right, objects, "web", said))
        denied = len(refused_of(await events()))
        await asyncio.sleep(LASTING_SECONDS)
        assert await lacks_right(objects, "web", said)
        assert await objects.replicas("web") == 1
        more = refused_of(await events())
        assert set(more) == {Right("apps", "deployments/scale", "patch")}
        assert 1 <= len(more) - denied <= LASTING_SECONDS * REFUSED_PER_SECOND_MAX
        # The others are served as ever, new wishes included.
        for name, count in (("web", 2), ("store", 5)):
            change = {"spec": {"triggers": [cron(count)]}}
            await objects.patch(FLYBALL, "ScaledObject", name, change)
        await until("the StatefulSet follows", partial(store, 5))

        await grant(objects, ACCOUNT)
        await until("the Deployment is scaled", partial(asked, objects, 2), PATIENT_SECONDS)
        await until("it is ready", partial(works, objects, "web"))
    written = list(scale_writes(await events(), objects.namespace))
    assert [count for name, count in written if name == "web"] == [2]
    assert [count for name, count in written if name == "store"] == [4, 5]


@pytest.mark.real("redis-server")
async def test_secret_that_must_not_be_read_is_a_condition_of_its_objects_alone(
    control_plane: ControlPlane, objects: Objects, redis_server: RedisServer
) -> None:
    """Without any right to Secrets whoever needs none is scaled; whoever does says so and holds.

    Once the right is there the trigger reads its source and the target follows.
    """
    user, kubeconfig = await account_of_the_service(control_plane, objects, without=SECRETS)
    mark = control_plane.audit_mark()
    await objects.apply(secret("redis", address=redis_server.address))
    await objects.create(authentication("TriggerAuthentication", "secretTargetRef"))
    redis_server.send("RPUSH", objects.namespace, *map(str, range(50)))
    for name in ("web", "open"):
        await objects.deploy(name, 1)

    async def events() -> list[AuditEvent]:
        return await asyncio.to_thread(control_plane.audit_events, user=user, since=mark)

    async with running(kubeconfig):
        length: dict[str, Any] = {"listName": objects.namespace, "listLength": "10"}
        trigger = {"type": "redis", "metadata": length, "authenticationRef": {"name": "redis"}}
        await objects.scale_on("web", trigger)
        await objects.scale_on("open", cron(3))
        await until("the other is scaled", partial(asked, objects, 3, "open"))
        said = 'cannot get resource "secrets"'
        await until("the right is named", partial(lacks_right, objects, "web", said))
        denied = len(refused_of(await events()))
        await asyncio.sleep(LASTING_SECONDS)
        assert await lacks_right(objects, "web", said)
        assert await objects.replicas("web") == 1
        assert await works(objects, "open")
        more = refused_of(await events())
        assert set(more) <= set(SECRETS)
        assert 1 <= len(more) - denied <= LASTING_SECONDS * REFUSED_PER_SECOND_MAX

        await grant(objects, ACCOUNT)
        await until("the target follows its queue", partial(asked, objects, 5), PATIENT_SECONDS)
        await until("it is ready", partial(works, objects, "web"))
    written = list(scale_writes(await events(), objects.namespace))
    assert [count for name, count in written if name == "web"] == [5]
