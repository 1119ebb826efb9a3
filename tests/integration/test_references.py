"""Secrets, ConfigMaps and authentications that change: who notices, when, and what is rebuilt."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Any

import msgspec
import pytest

from autoscaler.api.annotations import PAUSED
from autoscaler.collect.entries import EntryRef
from autoscaler.controller.reference_watches import ReferenceWatches
from autoscaler.controller.settings import ControllerSettings
from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.objects import JsonObject
from autoscaler.kube.resources import CONFIG_MAPS, SECRETS
from tests.integration.queue_work import template
from tests.integration.test_bad_input import authentication, cron, password
from tests.integration.world import NAMESPACE, World, running

SLOW = ControllerSettings(
    refresh_seconds=3600.0, retry_seconds=3600.0, status_seconds=1.0, event_repeat_seconds=60.0
)
"""What is noticed within a test with these settings is noticed by a watch."""


def coded(**values: str) -> dict[str, str]:
    """Return the data of a Secret."""
    return {name: base64.b64encode(text.encode()).decode() for name, text in values.items()}


def change_secret(world: World, name: str, **values: str) -> None:
    """Change a Secret as a user would."""
    world.edit("Secret", name, lambda value: value.update(data=coded(**values)), api="v1")


def pages(auth: str, **metadata: str) -> dict[str, Any]:
    """Return a trigger that authenticates; nobody answers it."""
    given = {"url": "http://127.0.0.1:1/", "valueLocation": "v", "targetValue": "1", **metadata}
    trigger: dict[str, Any] = {"type": "metrics-api", "metadata": given}
    if auth:
        trigger["authenticationRef"] = {"name": auth}
    return trigger


def built(world: World, name: str) -> list[Any]:
    """Return the scalers that read an object's metrics, in trigger order."""
    tracked = world.service._reconciler.tracked[f"{NAMESPACE}/{name}"]
    assert tracked.binding is not None
    return [reader for reader, _ in tracked.binding.readers]


def auth_of(world: World, name: str, index: int = 0) -> str:
    """Return the password a trigger was last bound with."""
    tracked = world.service._reconciler.tracked[f"{NAMESPACE}/{name}"]
    return tracked.binding.resolved[index].auth.get("password", "") if tracked.binding else ""


def watches(world: World) -> ReferenceWatches:
    """Return what watches Secrets and ConfigMaps."""
    return world.service._references


async def bound(world: World, name: str) -> None:
    """Wait until an object's triggers are built."""

    def is_bound() -> bool:
        tracked = world.service._reconciler.tracked.get(f"{NAMESPACE}/{name}")
        return tracked is not None and tracked.binding is not None

    await world.until(is_bound)


async def settled(world: World) -> None:
    """Wait until every reference is watched and the watches have said what there is."""
    await asyncio.sleep(0.3)
    assert all(ref.namespace == NAMESPACE for ref in watches(world).watched)


async def test_changed_secret_rebuilds_only_the_triggers_that_use_it_at_once() -> None:
    """Within a second, without polling; the other trigger keeps its scaler."""
    async with running(SLOW) as world:
        world.create("Secret", "one", data=coded(p="first"))
        world.create("Secret", "two", data=coded(p="other"))
        authentication(world, "auth-one", **password("one", "p"))
        authentication(world, "auth-two", **password("two", "p"))
        for name in ("web", "idle"):
            world.deploy(name, 0)
        world.scale_on("web", pages("auth-one"), pages("auth-two", valueLocation="w"))
        world.scale_on("idle", cron())
        await bound(world, "web")
        await bound(world, "idle")
        await settled(world)
        before, bystander = built(world, "web"), built(world, "idle")
        began = time.monotonic()
        change_secret(world, "one", p="second")
        await world.until(lambda: auth_of(world, "web") == "second")
        assert time.monotonic() - began < 2.0
        after = built(world, "web")
        assert after[0] is not before[0]
        assert after[1] is before[1]
        assert built(world, "idle") == bystander


async def test_references_are_watched_one_by_one_and_only_while_named() -> None:
    """No other Secret is asked for; the watch ends with the last object that needs it."""
    async with running(SLOW) as world:
        for name in ("keys", "unrelated"):
            world.create("Secret", name, data=coded(p="x"))
        authentication(world, "auth", **password("keys", "p"))
        for name in ("web", "also"):
            world.deploy(name, 0)
            world.scale_on(name, pages("auth"))
            await bound(world, name)
        wanted = EntryRef(SECRETS, NAMESPACE, "keys")
        assert watches(world).watched == {wanted}
        world.delete("ScaledObject", "web")
        await world.until(lambda: len(world.service.objects()) == 1)
        assert watches(world).watched == {wanted}
        world.edit("ScaledObject", "also", lambda value: value["spec"].update(triggers=[cron()]))
        await world.until(lambda: not watches(world).watched)


@pytest.mark.parametrize("kind", ["ScaledObject", "ScaledJob"])
async def test_an_object_created_again_at_once_ends_the_old_one(kind: str) -> None:
    """Nobody saw it gone between two looks; its scalers, watches and readings end all the same."""
    async with running(SLOW) as world:
        world.create("Secret", "keys", data=coded(p="x"))
        authentication(world, "auth", **password("keys", "p"))
        world.deploy("web", 0)
        triggers = world.service._reconciler._bindings._binder._triggers

        def define(trigger: dict[str, Any]) -> str:
            spec: dict[str, Any] = {"triggers": [trigger]}
            if kind == "ScaledObject":
                spec["scaleTargetRef"] = {"name": "web"}
            else:
                spec["jobTargetRef"] = {"template": template(0.0, 1.0)}
            world.create(kind, "web", api="flyball.dev/v1alpha1", spec=spec)
            return str(world.get(kind, "web")["metadata"]["uid"])

        def built_for() -> set[str]:
            return set(triggers._built)

        old = define(pages("auth"))
        await world.until(lambda: built_for() == {old})
        await world.until(lambda: len(watches(world).watched) == 1)
        world.delete(kind, "web")
        new = define(cron())
        await world.until(lambda: new in built_for())
        assert built_for() == {new}
        assert not watches(world).watched


async def test_missing_secret_that_appears_and_goes_is_noticed_at_once() -> None:
    """An object that misses a Secret waits for that one, and stops when it is deleted again."""
    async with running(SLOW) as world:
        authentication(world, "auth", **password("keys", "p"))
        world.deploy("web", 0)
        world.scale_on("web", pages("auth"))
        await world.until(lambda: '"default/keys" does not exist' in world.condition("web")[2])
        await settled(world)
        world.create("Secret", "keys", data=coded(q="x"))
        await world.until(lambda: 'has no key "p"' in world.condition("web")[2])
        change_secret(world, "keys", p="x")
        await world.until(lambda: auth_of(world, "web") == "x")
        world.delete("Secret", "keys", api="v1")
        await world.until(lambda: '"default/keys" does not exist' in world.condition("web")[2])


async def test_config_map_behind_the_environment_is_watched_too() -> None:
    """What a container takes from a ConfigMap changes the trigger that reads its environment."""
    async with running(SLOW) as world:
        world.create("ConfigMap", "settings", data={"address": "127.0.0.1:1"})
        source = {"configMapKeyRef": {"name": "settings", "key": "address"}}
        world.deploy("web", 0, env=[{"name": "ADDRESS", "valueFrom": source}])
        metadata = {"addressFromEnv": "ADDRESS", "listName": "jobs"}
        world.scale_on("web", {"type": "redis", "metadata": metadata})
        await bound(world, "web")
        assert watches(world).watched == {EntryRef(CONFIG_MAPS, NAMESPACE, "settings")}
        await settled(world)

        def address() -> str:
            tracked = world.service._reconciler.tracked[f"{NAMESPACE}/web"]
            return tracked.binding.resolved[0].env["ADDRESS"] if tracked.binding else ""

        world.edit(
            "ConfigMap",
            "settings",
            lambda value: value.update(data={"address": "127.0.0.1:2"}),
            api="v1",
        )
        await world.until(lambda: address() == "127.0.0.1:2")

        def literal(value: JsonObject) -> None:
            container = value["spec"]["template"]["spec"]["containers"][0]
            container["env"] = [{"name": "ADDRESS", "value": "127.0.0.1:3"}]

        world.edit("Deployment", "web", literal, api="apps/v1")
        await world.until(lambda: address() == "127.0.0.1:3")
        assert not watches(world).watched


async def test_changed_authentication_rebuilds_only_its_triggers() -> None:
    """A TriggerAuthentication that names another Secret counts at once, for its users."""
    async with running(SLOW) as world:
        for name in ("one", "two"):
            world.create("Secret", name, data=coded(p=name))
        authentication(world, "auth", **password("one", "p"))
        authentication(world, "other", **password("one", "p"))
        world.deploy("web", 0)
        world.scale_on("web", pages("auth"), pages("other", valueLocation="w"))
        await bound(world, "web")
        before = built(world, "web")
        world.edit(
            "TriggerAuthentication", "auth", lambda value: value.update(spec=password("two", "p"))
        )
        await world.until(lambda: auth_of(world, "web") == "two")
        assert built(world, "web")[1] is before[1]
        assert auth_of(world, "web", 1) == "one"
        names = {ref.name for ref in watches(world).watched}
        assert names == {"one", "two"}


async def test_without_the_right_to_watch_references_are_looked_up_regularly() -> None:
    """Only the right to get is needed; a change is then noticed at the next look-up."""
    settings = msgspec.structs.replace(SLOW, refresh_seconds=1.0)
    async with EmbeddedCluster() as cluster, running(settings, cluster=cluster) as world:
        cluster.faults.deny("list", "secrets")
        world.create("Secret", "keys", data=coded(p="first"))
        authentication(world, "auth", **password("keys", "p"))
        world.deploy("web", 0)
        world.scale_on("web", pages("auth"))
        await bound(world, "web")
        await world.until(lambda: not watches(world).watched)
        change_secret(world, "keys", p="second")
        await world.until(lambda: auth_of(world, "web") == "second", 15)
        assert cluster.api.requests["list", "secrets"] == 1


async def test_denied_secret_is_named_in_the_condition() -> None:
    """Without the right to read it the object says verb and resource, and recovers with it."""
    settings = msgspec.structs.replace(SLOW, retry_seconds=0.5)
    async with EmbeddedCluster() as cluster, running(settings, cluster=cluster) as world:
        cluster.faults.deny("get", "secrets")
        world.create("Secret", "keys", data=coded(p="first"))
        authentication(world, "auth", **password("keys", "p"))
        world.deploy("web", 0)
        world.scale_on("web", pages("auth"))
        await world.until(lambda: 'cannot get resource "secrets"' in world.condition("web")[2])
        assert 'TriggerAuthentication "default/auth"' in world.condition("web")[2]
        cluster.faults.permit("get", "secrets")
        await world.until(lambda: auth_of(world, "web") == "first")


async def test_paused_object_follows_its_references_all_the_same() -> None:
    """A pause stops scaling, not looking: after it the object works with what is true then."""
    async with running(SLOW) as world:
        world.create("Secret", "keys", data=coded(p="first"))
        authentication(world, "auth", **password("keys", "p"))
        world.deploy("web", 0)
        world.scale_on("web", pages("auth"), metadata={"annotations": {PAUSED: "true"}})
        await bound(world, "web")
        await settled(world)
        change_secret(world, "keys", p="second")
        await world.until(lambda: auth_of(world, "web") == "second")
