"""What inline policies need of the cluster: it may come later, and it may change."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import grpc
import pytest

from autoscaler.demo.cluster import EmbeddedCluster
from tests.integration.external_world import (
    SETTINGS,
    Client,
    Serving,
    client_credentials,
    eventually,
    folder_with,
    ref,
    serving,
)
from tests.integration.test_external_scaler import deployment, inline, keda_object
from tests.integration.test_external_sharing import with_address
from tests.integration.test_references import coded


async def refused_for(keda: Client, metadata: dict[str, str], expected: str) -> None:
    """Check that a policy is refused for a reason."""
    code, why = await keda.refused(ref(metadata))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert expected in why


async def test_a_target_may_be_created_after_kedas_object():
    """The same policy is served as soon as its target is there."""
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url) as world,
        world.client() as keda,
    ):
        cluster.create(keda_object("web"))
        world.source.values["jobs"] = 42
        policy = inline(world.source.trigger("jobs"))
        await refused_for(keda, policy, 'Deployment "default/web" does not exist')
        cluster.create(deployment(0))
        await keda.until(ref(policy), 9, seconds=3)


async def test_authentications_and_variables_may_be_added_later(tmp_path: Path):
    """Each thing that was missing is looked for again until it is there."""
    authority, folder = folder_with(tmp_path)
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url, certificate_folder=str(folder)) as world,
        world.client(client_credentials(authority)) as keda,
    ):
        cluster.create(deployment(0))
        cluster.create(keda_object("web"))
        world.source.values["jobs"] = 42
        policy = inline(world.source.trigger("jobs", authenticationRef={"name": "login"}))
        await refused_for(keda, policy, 'TriggerAuthentication "default/login" does not exist')
        cluster.create(authentication("login"))
        await eventually(lambda: "Secret" in why_of(world))
        cluster.create(secret("login"))
        await keda.until(ref(policy), 9, seconds=3)

        redis = {"addressFromEnv": "ADDRESS", "listName": "jobs"}
        policy = inline({"type": "redis", "metadata": redis})
        await refused_for(keda, policy, 'no environment variable "ADDRESS"')
        resource = cluster.registry.resource("apps/v1", "Deployment")
        cluster.registry.modify(resource, "default", "web", lambda value: with_address(value, "1"))
        await eventually(lambda: "Redis 127.0.0.1:1" in why_of(world), seconds=4)


def why_of(world: Serving) -> str:
    """Return what is wrong with the policy last asked for."""
    served = world.scaler.policies.newest("default", "web")
    assert served is not None
    return served.verdict.why if served.verdict else ""


def authentication(name: str) -> dict[str, Any]:
    """Return an authentication of KEDA's that names a Secret."""
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "TriggerAuthentication",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"secretTargetRef": [{"parameter": "password", "name": name, "key": "password"}]},
    }


def secret(name: str) -> dict[str, Any]:
    """Return the Secret."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "data": coded(password="hidden"),
    }


async def test_a_text_that_is_wrong_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch):
    """Whatever the cluster has: nonsense takes one turn, and no request."""
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url) as world,
        world.client() as keda,
    ):
        binder = world.scaler.policies._binder
        turns = Mock(side_effect=binder.find)
        lookups = Mock(side_effect=AssertionError("the API server was asked"))
        monkeypatch.setattr(binder, "find", turns)
        monkeypatch.setattr(binder._cluster, "keda_object", lookups)
        nonsense = [
            ({"type": "nonsense"}, 'unknown trigger type "nonsense"'),
            ({"type": "cron"}, "spec.triggers[0].metadata.start"),
            (inline(minReplicaCount=5, maxReplicaCount=2), "minReplicaCount"),
        ]
        for metadata, expected in nonsense:
            await refused_for(keda, metadata, expected)
        await asyncio.sleep(3 * SETTINGS.retry_seconds)
        assert (turns.call_count, lookups.call_count) == (len(nonsense), 0)


async def test_a_changed_target_of_kedas_object_is_followed():
    """Pods, environment and messages are those of the new one; answers go on meanwhile."""
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url) as world,
        world.client() as keda,
    ):
        cluster.create(keda_object("web"))
        cluster.create(deployment(3))
        cluster.create(other_deployment())
        world.source.values["jobs"] = 42
        web = ref(inline(world.source.trigger("jobs")))
        await keda.until(web, 9)
        assert target_of(world) == ('Deployment "default/web"', "app=web")
        asked = world.source.asked["jobs"]
        resource = cluster.registry.resource("keda.sh/v1alpha1", "ScaledObject")
        cluster.registry.modify(resource, "default", "web", with_other_target)
        await eventually(lambda: target_of(world) == ('Deployment "default/other"', "app=other"))
        assert await keda.value(web) == 9
        assert world.source.asked["jobs"] <= asked + 5


async def test_an_object_of_kedas_seen_later_gives_its_target():
    """Until then the policy does without one."""
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url) as world,
        world.client() as keda,
    ):
        cluster.create(deployment(3))
        world.source.values["jobs"] = 42
        await keda.until(ref(inline(world.source.trigger("jobs"))), 9)
        assert target_of(world)[1] == ""
        cluster.create(keda_object("web"))
        await eventually(lambda: target_of(world) == ('Deployment "default/web"', "app=web"))


def target_of(world: Serving) -> tuple[str, str]:
    """Return target and pod selector of the only policy."""
    (served,) = world.scaler.policies.all()
    binding = served.tracked.binding
    assert binding is not None
    return binding.target.text, binding.pod_selector


def with_other_target(value: dict[str, Any]) -> dict[str, Any]:
    """Return KEDA's object for the other target."""
    return {**value, "spec": {**value["spec"], "scaleTargetRef": {"name": "other"}}}


def other_deployment() -> dict[str, Any]:
    """Return another target."""
    labels = {"app": "other"}
    pod = {"containers": [{"name": "main", "image": "demo"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "other", "namespace": "default"},
        "spec": {
            "replicas": 7,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
