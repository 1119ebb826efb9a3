"""Shadow mode, pauses and forced activation on a real control plane."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from autoscaler.api.annotations import FORCE_ACTIVATION, PAUSED, PAUSED_REPLICAS
from tests.e2e.controlplane import ControlPlane
from tests.e2e.live import account_of_the_service, running
from tests.e2e.objects import FLYBALL, Objects, until
from tests.e2e.test_lifecycle import asked, cron
from tests.e2e.test_service import counts_written

LOOK_SECONDS = 2.5


async def annotate(objects: Objects, **values: str | None) -> None:
    """Set, or with None remove, annotations of the object by the names of their constants."""
    known = {
        "force": FORCE_ACTIVATION,
        "paused": PAUSED,
        "paused_replicas": PAUSED_REPLICAS,
    }
    change = {known[name]: text for name, text in values.items()}
    await objects.patch(FLYBALL, "ScaledObject", "web", {"metadata": {"annotations": change}})


async def has(objects: Objects, kind: str, status: str) -> bool:
    """Return whether a condition of the object has a status."""
    return (await objects.condition("web", kind))[0] == status


async def test_shadow_decides_and_writes_nothing(
    control_plane: ControlPlane, objects: Objects
) -> None:
    """The count is in status and explanation; the audit log knows of no scale write."""
    user, kubeconfig = await account_of_the_service(control_plane, objects)
    mark = control_plane.audit_mark()

    async def is_recorded() -> bool:
        status = (await objects.get(FLYBALL, "ScaledObject", "web")).get("status", {})
        return bool(status.get("desiredReplicas") == 3)

    async with running(kubeconfig) as service:
        await objects.deploy("web", 1)
        await objects.scale_on("web", cron(), mode="shadow")
        await until("the decision is recorded", is_recorded)
        await asyncio.sleep(LOOK_SECONDS)
        assert "shadow" in (service.explain_text(objects.namespace, "web") or "")
        assert await objects.replicas("web") == 1
    events = await asyncio.to_thread(control_plane.audit_events, user=user, since=mark)
    assert any(event.object_ref.subresource == "status" for event in events)
    assert counts_written(events, objects.namespace) == []


async def test_pause_holds_and_may_name_a_count(service_kubeconfig: Path, objects: Objects) -> None:
    """A paused object holds whatever its triggers say, goes to a named count, and goes on after."""

    async def is_seen(generation: int) -> bool:
        status = (await objects.get(FLYBALL, "ScaledObject", "web"))["status"]
        return bool(status["observedGeneration"] == generation)

    async with running(service_kubeconfig):
        await objects.deploy("web", 0)
        await objects.scale_on("web", cron(3))
        await until("three are asked for", partial(asked, objects, 3))
        await annotate(objects, paused="true")
        await until("it is paused", partial(has, objects, "Paused", "True"))
        more: dict[str, Any] = {"spec": {"triggers": [cron(6)]}}
        edited = await objects.patch(FLYBALL, "ScaledObject", "web", more)
        await until("the edit is seen", partial(is_seen, edited["metadata"]["generation"]))
        await asyncio.sleep(LOOK_SECONDS)
        assert await objects.replicas("web") == 3
        await annotate(objects, paused=None, paused_replicas="1")
        await until("the named count is asked for", partial(asked, objects, 1))
        await annotate(objects, paused_replicas=None)
        await until("six are asked for", partial(asked, objects, 6))
        await until("it is not paused", partial(has, objects, "Paused", "False"))


async def test_forced_activation_counts_as_work(service_kubeconfig: Path, objects: Objects) -> None:
    """The annotation lifts the target from zero; without it the target goes back."""
    never = cron()
    never["metadata"].update(start="0 0 31 12 *", end="1 0 31 12 *")
    async with running(service_kubeconfig):
        await objects.deploy("web", 0)
        await objects.scale_on("web", never, cooldownPeriod=0)
        await until("it is idle", partial(has, objects, "Active", "False"))
        assert await objects.replicas("web") == 0
        await annotate(objects, force="true")
        await until("one is asked for", partial(asked, objects, 1))
        await until("it is active", partial(has, objects, "Active", "True"))
        await annotate(objects, force=None)
        await until("none is asked for", partial(asked, objects, 0))
