"""Objects that cannot work say exactly why, are not scaled, and trouble nobody else."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.integration.world import World, running


def cron(**metadata: str) -> dict[str, Any]:
    """Return a trigger that always wants three replicas, changed by ``metadata``."""
    always = {
        "timezone": "UTC",
        "start": "0 0 1 1 *",
        "end": "59 23 31 12 *",
        "desiredReplicas": "3",
    }
    return {"type": "cron", "metadata": {**always, **metadata}}


def redis(auth: str = "", **metadata: str) -> dict[str, Any]:
    """Return a Redis trigger that nobody answers."""
    given = {"address": "127.0.0.1:1", "listName": "jobs", **metadata}
    trigger: dict[str, Any] = {"type": "redis", "metadata": given}
    if auth:
        trigger["authenticationRef"] = {"name": auth}
    return trigger


def authentication(world: World, name: str, **spec: Any) -> None:
    """Create a TriggerAuthentication."""
    world.create("TriggerAuthentication", name, api="flyball.dev/v1alpha1", spec=spec)


def password(secret: str, key: str) -> dict[str, Any]:
    """Return an authentication that takes ``password`` from a Secret."""
    return {"secretTargetRef": [{"parameter": "password", "name": secret, "key": key}]}


BAD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "unknown-type": (
        {"triggers": [{"type": "rediss", "metadata": {}}]},
        ["spec.triggers[0].type", 'unknown trigger type "rediss"', 'did you mean "redis"'],
    ),
    "missing-parameter": (
        {"triggers": [{"type": "redis", "metadata": {"address": "127.0.0.1:1"}}]},
        ["spec.triggers[0].metadata.listName", "required"],
    ),
    "two-problems": (
        {"triggers": [redis(listLength="many"), {"type": "cron", "metadata": {}}]},
        ["spec.triggers[0].metadata.listLength", "many", "spec.triggers[1].metadata.start"],
    ),
    "bad-tolerance": (
        {
            "triggers": [cron()],
            "advanced": {
                "horizontalPodAutoscalerConfig": {"behavior": {"scaleUp": {"tolerance": "x1"}}}
            },
        },
        ["spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp.tolerance", "x1"],
    ),
    "min-above-max": (
        {"triggers": [cron()], "minReplicaCount": 7, "maxReplicaCount": 5},
        ["spec.minReplicaCount", "maxReplicaCount (5)", "7"],
    ),
    "no-such-target": (
        {"triggers": [cron()], "scaleTargetRef": {"name": "nowhere"}},
        ['spec.scaleTargetRef.name: Deployment "default/nowhere" does not exist'],
    ),
    "no-such-kind": (
        {
            "triggers": [cron()],
            "scaleTargetRef": {"name": "x", "kind": "Rollout", "apiVersion": "argo.example/v1"},
        },
        ["spec.scaleTargetRef", "Rollout", "serves no such kind"],
    ),
    "not-scalable": (
        {
            "triggers": [cron()],
            "scaleTargetRef": {"name": "x", "kind": "ConfigMap", "apiVersion": "v1"},
        },
        ["spec.scaleTargetRef", "ConfigMap", "no scale subresource"],
    ),
    "no-such-authentication": (
        {"triggers": [redis("absent")]},
        ["spec.triggers[0].authenticationRef", "absent", "does not exist"],
    ),
    "no-such-secret": (
        {"triggers": [redis("auth-no-secret")]},
        [
            "spec.triggers[0].authenticationRef",
            'TriggerAuthentication "default/auth-no-secret"',
            "parameter password",
            'Secret "default/gone" does not exist',
        ],
    ),
    "no-such-key": (
        {"triggers": [redis("auth-no-key")]},
        ['Secret "default/keys" has no key "pasword"'],
    ),
    "unsupported-authentication": (
        {"triggers": [redis("auth-vault")]},
        ["spec.hashiCorpVault is not supported yet", "secretTargetRef"],
    ),
    "no-such-variable": (
        {"triggers": [redis(addressFromEnv="REDIS")]},
        [
            "spec.triggers[0].metadata.addressFromEnv",
            'container "main" of the scale target has no environment variable "REDIS"',
        ],
    ),
    "bad-formula": (
        {
            "triggers": [{**cron(), "name": "a"}],
            "advanced": {"scalingModifiers": {"formula": "a + ", "target": "1"}},
        },
        ["spec.advanced.scalingModifiers.formula", "position"],
    ),
    "unknown-name-in-formula": (
        {
            "triggers": [{**cron(), "name": "a"}],
            "advanced": {"scalingModifiers": {"formula": "a + b", "target": "1"}},
        },
        ["spec.advanced.scalingModifiers.formula", "b"],
    ),
}


def prepare(world: World) -> None:
    """Create what the bad objects refer to."""
    world.create("Secret", "keys", data={"password": base64.b64encode(b"hunter2").decode()})
    authentication(world, "auth-no-secret", **password("gone", "password"))
    authentication(world, "auth-no-key", **password("keys", "pasword"))
    vault = {"address": "https://vault.example", "authentication": "token", "secrets": []}
    authentication(world, "auth-vault", hashiCorpVault=vault)


@pytest.mark.timeout(90)
async def test_every_bad_object_says_why_and_others_keep_working() -> None:
    """Each kind of mistake ends in Ready=False with field and reason; a good object scales."""
    async with running() as world:
        prepare(world)
        for name, (spec, _) in BAD.items():
            world.deploy(name, 2)
            triggers, rest = spec["triggers"], {k: v for k, v in spec.items() if k != "triggers"}
            world.scale_on(name, *triggers, **rest)
        world.deploy("good", 0)
        world.scale_on("good", cron())
        await world.until(lambda: world.replicas("good") == 3)
        for name, (_, parts) in BAD.items():
            await world.until(lambda name=name: world.condition(name)[0] == "False")  # type: ignore[misc]
            _, reason, message = world.condition(name)
            assert reason == "ScaledObjectCheckFailed", name
            missing = [part for part in parts if part not in message]
            assert not missing, f"{name}: {message!r} lacks {missing}"
            assert "hunter2" not in message
            assert world.replicas(name) == 2, name
        await world.until(lambda: world.condition("good")[0] == "True")
        told = ("ScaledObjectCheckFailed", world.condition("unknown-type")[2])
        await world.until(lambda: told in world.events("unknown-type"))


Repair = Callable[[World], None]


def _edit_spec(name: str, **fields: Any) -> Repair:
    def repair(world: World) -> None:
        def change(value: dict[str, Any]) -> None:
            value["spec"].update(fields)

        world.edit("ScaledObject", name, change)

    return repair


def _create_secret(world: World) -> None:
    world.create("Secret", "gone", data={"password": base64.b64encode(b"x").decode()})


def _fix_key(world: World) -> None:
    def change(value: dict[str, Any]) -> None:
        value["spec"]["secretTargetRef"][0]["key"] = "password"

    world.edit("TriggerAuthentication", "auth-no-key", change)


REPAIRS: Mapping[str, Repair] = {
    "unknown-type": _edit_spec("unknown-type", triggers=[cron()]),
    "min-above-max": _edit_spec("min-above-max", maxReplicaCount=9),
    "no-such-target": lambda world: world.deploy("nowhere", 1),
    "no-such-secret": _create_secret,
    "no-such-key": _fix_key,
    "no-such-authentication": lambda world: authentication(
        world, "absent", **password("keys", "password")
    ),
}


@pytest.mark.timeout(90)
async def test_repaired_objects_work_without_a_restart() -> None:
    """Whatever was missing may appear later: object, target, Secret, authentication."""
    async with running() as world:
        prepare(world)
        for name in REPAIRS:
            spec = BAD[name][0]
            world.deploy(name, 2)
            triggers, rest = spec["triggers"], {k: v for k, v in spec.items() if k != "triggers"}
            world.scale_on(name, *triggers, **rest)
        for name in REPAIRS:
            await world.until(lambda name=name: world.condition(name)[0] == "False")  # type: ignore[misc]
        for repair in REPAIRS.values():
            repair(world)
        for name in REPAIRS:
            # The Redis of these triggers does not answer, but the objects themselves are right.
            await world.until(
                lambda name=name: world.condition(name)[1] != "ScaledObjectCheckFailed",  # type: ignore[misc]
                15,
            )
        await world.until(lambda: world.replicas("nowhere") == 3)
        await world.until(lambda: world.replicas("min-above-max") == 7)


async def test_broken_edit_stops_scaling_and_correction_resumes() -> None:
    """A good object that is edited into a bad one is no longer scaled by its old policy."""
    async with running() as world:
        world.deploy("web", 0)
        world.scale_on("web", cron())
        await world.until(lambda: world.replicas("web") == 3)
        _edit_spec("web", minReplicaCount=200)(world)
        await world.until(lambda: world.condition("web")[0] == "False")
        _edit_spec("web", triggers=[cron(desiredReplicas="8")])(world)
        await world.until(lambda: "minReplicaCount" in world.condition("web")[2])
        assert world.replicas("web") == 3
        _edit_spec("web", minReplicaCount=0)(world)
        await world.until(lambda: world.replicas("web") == 8)
        await world.until(lambda: world.condition("web")[0] == "True")


async def test_second_object_on_a_target_refuses_to_fight() -> None:
    """The older of two objects scales; the younger names it, and takes over when it goes."""
    async with running() as world:
        world.deploy("web", 0)
        world.scale_on("first", cron(), target="web")
        await world.until(lambda: world.replicas("web") == 3)
        world.scale_on("second", cron(desiredReplicas="9"), target="web")
        await world.until(lambda: world.condition("second")[0] == "False")
        assert 'already scaled by ScaledObject "default/first"' in world.condition("second")[2]
        assert world.history["web"] == [0, 3]
        world.delete("ScaledObject", "first")
        await world.until(lambda: world.replicas("web") == 9)
        await world.until(lambda: world.condition("second")[0] == "True")
