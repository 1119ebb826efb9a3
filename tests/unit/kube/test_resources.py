"""REST paths and discovery."""

from __future__ import annotations

import asyncio

import pytest

from autoscaler.errors import ConfigError, KubeError, Unreachable
from autoscaler.kube.resources import (
    DEPLOYMENTS,
    KEDA_GROUP,
    NODES,
    PODS,
    SCALED_OBJECTS,
    Discovery,
    in_group,
)
from tests.doubles.scripted_api import Answer, refusal, reply
from tests.unit.kube.conftest import Connected

SERVED = reply(
    {
        "kind": "APIResourceList",
        "resources": [
            {"name": "rollouts", "kind": "Rollout", "namespaced": True},
            {"name": "rollouts/scale", "kind": "Scale", "namespaced": True},
            {"name": "rollouts/status", "kind": "Rollout", "namespaced": True},
            {"name": "analyses", "kind": "Analysis", "namespaced": False},
            {"name": "fleets", "kind": "Fleet", "namespaced": False},
            {"name": "fleets/scale", "kind": "Scale", "namespaced": False},
        ],
    }
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (PODS.path("shop", "web-1"), "/api/v1/namespaces/shop/pods/web-1"),
        (PODS.path(), "/api/v1/pods"),
        (NODES.path(None, "n1"), "/api/v1/nodes/n1"),
        (NODES.path("ignored", "n1"), "/api/v1/nodes/n1"),
        (
            DEPLOYMENTS.path("shop", "web", "scale"),
            "/apis/apps/v1/namespaces/shop/deployments/web/scale",
        ),
        (PODS.path("a/b", "c d"), "/api/v1/namespaces/a%2Fb/pods/c%20d"),
        (
            in_group(SCALED_OBJECTS, KEDA_GROUP).path("shop"),
            "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects",
        ),
    ],
)
def test_paths(path: str, expected: str) -> None:
    """Group, namespace, name and subresource make the path; names are quoted."""
    assert path == expected


@pytest.mark.looptime
async def test_workloads_are_known_without_asking(connected: Connected) -> None:
    """The usual targets cost no request; an empty reference means a Deployment."""
    async with connected(reply({}, 500)) as (api, client):
        discovery = Discovery(client)
        assert await discovery.resolve("apps/v1", "Deployment", needs_scale=True) == DEPLOYMENTS
        assert await discovery.resolve("", "") == DEPLOYMENTS
    assert api.requests == []


@pytest.mark.looptime
async def test_other_kinds_are_asked_for_once(connected: Connected) -> None:
    """Plural, scope and subresource come from discovery; the answer serves all kinds at once."""
    async with connected(SERVED) as (api, client):
        discovery = Discovery(client)
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(discovery.resolve("example.com/v1", "Rollout")) for _ in range(3)
            ]
        analysis = await discovery.resolve("example.com/v1", "Analysis")
    rollout = asked[0].result()
    assert (rollout.plural, rollout.namespaced, rollout.has_scale) == ("rollouts", True, True)
    assert rollout.api_version == "example.com/v1"
    assert (analysis.namespaced, analysis.has_scale) == (False, False)
    assert api.asked == ["GET /apis/example.com/v1"]


@pytest.mark.looptime
async def test_a_kind_without_scale_is_a_configuration_error(connected: Connected) -> None:
    """The message names apiVersion, kind and what to do."""
    async with connected(SERVED) as (_, client):
        with pytest.raises(ConfigError, match=r"'example\.com/v1', kind 'Analysis' has no scale"):
            await Discovery(client).resolve("example.com/v1", "Analysis", needs_scale=True)


@pytest.mark.looptime
async def test_a_cluster_scoped_kind_is_no_scale_target(connected: Connected) -> None:
    """Objects of every namespace would scale the same one; to know it is all right."""
    async with connected(SERVED) as (_, client):
        discovery = Discovery(client)
        with pytest.raises(ConfigError, match="kind 'Fleet' is cluster-scoped") as refused:
            await discovery.resolve("example.com/v1", "Fleet", needs_scale=True)
        assert refused.value.field == "spec.scaleTargetRef.kind"
        assert (await discovery.resolve("example.com/v1", "Fleet")).has_scale


@pytest.mark.looptime
async def test_a_kind_that_could_not_be_scaled_is_asked_for_again(connected: Connected) -> None:
    """Its definition may get a scale, a namespace or an end; it is not asked for at every turn."""
    other = reply(
        {
            "kind": "APIResourceList",
            "resources": [
                {"name": "analyses", "kind": "Analysis", "namespaced": True},
                {"name": "analyses/scale", "kind": "Scale", "namespaced": True},
            ],
        }
    )
    async with connected(SERVED, refusal(404, "NotFound"), other) as (api, client):
        discovery = Discovery(client)
        for message in ("no scale subresource", "serves no such kind"):
            for _ in range(2):
                with pytest.raises(ConfigError, match=message):
                    await discovery.resolve("example.com/v1", "Analysis", needs_scale=True)
            await asyncio.sleep(11)
        found = await discovery.resolve("example.com/v1", "Analysis", needs_scale=True)
        assert found.is_scale_target
        await asyncio.sleep(11)
        # What could be scaled once is not forgotten because a server left it out for a moment.
        assert (await discovery.resolve("example.com/v1", "Rollout", needs_scale=True)).has_scale
        assert len(api.requests) == 3


@pytest.mark.looptime
@pytest.mark.parametrize("answer", [SERVED, refusal(404, "NotFound")], ids=["kind", "group"])
async def test_an_unknown_kind_is_a_configuration_error(
    connected: Connected, answer: Answer
) -> None:
    """A missing kind and a missing group read the same, and are not asked for again at once."""
    async with connected(answer, answer, SERVED) as (api, client):
        discovery = Discovery(client)
        for _ in range(2):
            with pytest.raises(ConfigError, match="kind 'Nothing': the API server serves no such"):
                await discovery.resolve("example.com/v1", "Nothing")
        assert len(api.requests) == 1
        await asyncio.sleep(11)
        with pytest.raises(ConfigError):
            await discovery.resolve("example.com/v1", "Nothing")
        assert len(api.requests) == 2


@pytest.mark.looptime
async def test_a_crd_installed_later_is_found(connected: Connected) -> None:
    """What did not exist a moment ago may exist now."""
    async with connected(refusal(404, "NotFound"), SERVED) as (_, client):
        discovery = Discovery(client)
        with pytest.raises(ConfigError):
            await discovery.resolve("example.com/v1", "Rollout")
        await asyncio.sleep(11)
        assert (await discovery.resolve("example.com/v1", "Rollout")).plural == "rollouts"


@pytest.mark.looptime
async def test_a_failing_api_server_is_not_the_users_fault(connected: Connected) -> None:
    """An error of the server stays an error of the server."""
    async with connected(refusal(500, "InternalError"), Answer([b"oops"])) as (_, client):
        discovery = Discovery(client)
        with pytest.raises(Unreachable):
            await discovery.resolve("example.com/v1", "Rollout")
        with pytest.raises(KubeError, match="not a list of resources"):
            await discovery.resolve("example.com/v1", "Rollout")


@pytest.mark.looptime
@pytest.mark.parametrize("api_version", ["a/b/c", "Apps/v1", "../v1", "apps/v1?x=1", " "])
async def test_a_malformed_api_version_is_never_sent(
    connected: Connected, api_version: str
) -> None:
    """What a user writes cannot steer the request elsewhere."""
    async with connected(SERVED) as (api, client):
        with pytest.raises(ConfigError, match="not of the form group/version"):
            await Discovery(client).resolve(api_version, "Rollout")
    assert api.requests == []
