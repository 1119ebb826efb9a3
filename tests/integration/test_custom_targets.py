"""Targets of kinds that others define: their rights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autoscaler.demo.cluster import EmbeddedCluster
from tests.integration.test_bad_input import authentication, cron, password
from tests.integration.test_references import auth_of, coded, pages
from tests.integration.test_targets import ROLLOUT, count, define
from tests.integration.world import World, running

API = "argoproj.io/v1alpha1"
REF = {"name": "web", "kind": "Rollout", "apiVersion": API}
TEMPLATE = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "main", "env": [{"name": "LOGIN", "value": "known"}]}]},
}


def roll_out(world: World, **spec: Any) -> None:
    """Create a Rollout as its user does; its status is its controller's."""
    define(world, ROLLOUT)
    world.create("Rollout", "web", api=API, spec={"replicas": 1, "template": TEMPLATE, **spec})


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
