"""Missing rights, impatient clients and rotating tokens."""

from __future__ import annotations

import time

import msgspec
import pytest

from autoscaler.demo.apierrors import ApiError
from autoscaler.demo.cluster import EmbeddedCluster
from tests.integration.test_bad_input import cron
from tests.integration.test_targets import ROLLOUT, count, define
from tests.integration.world import QUICK, running


@pytest.mark.parametrize(
    ("verb", "plural"),
    [("patch", "deployments/scale"), ("list", "deployments")],
)
async def test_missing_right_on_the_target_is_a_condition(verb: str, plural: str) -> None:
    """Verb and resource are named, nothing is lowered, and the right is used once it is there."""
    async with EmbeddedCluster() as cluster:
        cluster.faults.deny(verb, plural)
        async with running(cluster=cluster) as world:
            world.deploy("web", 1)
            world.scale_on("web", cron())
            await world.until(lambda: world.condition("web")[0] == "False")
            assert f'cannot {verb} resource "{plural}"' in world.condition("web")[2]
            assert world.history["web"] == [1]
            told = [text for _, text in world.events("web") if plural in text]
            assert len(told) <= 1
            cluster.faults.permit(verb, plural)
            await world.until(lambda: world.replicas("web") == 3, 40)
            await world.until(lambda: world.condition("web")[0] == "True")


async def test_missing_right_on_a_custom_target_is_a_condition() -> None:
    """The scale subresource of another kind needs its own right; the message says which."""
    async with EmbeddedCluster() as cluster, running(cluster=cluster) as world:
        define(world, ROLLOUT)
        world.create("Rollout", "web", api="argoproj.io/v1alpha1", spec={"replicas": 1})
        cluster.faults.deny("get", "rollouts/scale")
        ref = {"name": "web", "kind": "Rollout", "apiVersion": "argoproj.io/v1alpha1"}
        world.scale_on("web", cron(), scaleTargetRef=ref)
        await world.until(lambda: world.condition("web")[0] == "False")
        assert 'cannot get resource "rollouts/scale"' in world.condition("web")[2]
        cluster.faults.permit("get", "rollouts/scale")
        await world.until(lambda: count(world, ROLLOUT, "web") == 3)


async def test_patience_the_api_server_asks_for_is_given() -> None:
    """A refused write is not repeated before its Retry-After, though readings keep coming."""
    settings = msgspec.structs.replace(QUICK, status_seconds=60.0)
    async with EmbeddedCluster() as cluster, running(settings, cluster=cluster) as world:
        busy = ApiError(429, "TooManyRequests", "try again later", retry_after_seconds=3)
        world.deploy("web", 1)
        cluster.faults.fail_next("patch", "deployments/scale", busy)
        world.scale_on("web", cron())
        asked = ("patch", "deployments/scale")
        await world.until(lambda: cluster.api.requests.get(asked, 0) == 1)
        began = time.monotonic()
        await world.until(lambda: world.replicas("web") == 3)
        assert time.monotonic() - began > 2.5
        assert cluster.api.requests[asked] == 2
