"""Who uses an authentication: the names in its status, and how little is written for them."""

from __future__ import annotations

import asyncio
from functools import partial

import msgspec
import pytest

from autoscaler.controller import authentication_users
from autoscaler.controller.objects import WatchKeda
from autoscaler.controller.settings import ControllerSettings
from autoscaler.demo.apierrors import ApiError
from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.objects import JsonObject
from tests.integration.test_bad_input import authentication, password
from tests.integration.test_references import SLOW, bound, built, pages, settled
from tests.integration.test_watch_keda import ALL, ANNOTATED, KEDA, keda_object
from tests.integration.world import QUICK, World, running

FLYBALL = "flyball.dev/v1alpha1"
WRITE = ("patch", "triggerauthentications/status")
QUIET_SECONDS = 2.5
"""Longer than changes are gathered, so what is not written by then never is."""


def users(
    world: World, name: str = "auth", kind: str = "TriggerAuthentication", api: str = FLYBALL
) -> JsonObject:
    """Return the status of an authentication."""
    resource = world.cluster.registry.resource(api, kind)
    namespace = "default" if kind == "TriggerAuthentication" else ""
    status: JsonObject = world.cluster.registry.get(resource, namespace, name).value.get(
        "status", {}
    )
    return status


def is_used_by(world: World, name: str, user: str) -> bool:
    """Whether exactly one ScaledObject uses a TriggerAuthentication."""
    return users(world, name) == {"scaledobjects": user}


def shared(trigger: JsonObject) -> JsonObject:
    """Return the trigger with the cluster-wide authentication of the same name."""
    reference = {**trigger["authenticationRef"], "kind": "ClusterTriggerAuthentication"}
    return {**trigger, "authenticationRef": reference}


def scaled_job(world: World, name: str, trigger: JsonObject, api: str = FLYBALL) -> None:
    """Create a ScaledJob."""
    container = {"name": "main", "image": "demo"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    spec = {"jobTargetRef": {"template": template}, "pollingInterval": 1, "triggers": [trigger]}
    world.create("ScaledJob", name, api=api, spec=spec)


def written(world: World) -> int:
    """Return how often the status of a TriggerAuthentication was written."""
    return world.cluster.api.requests.get(WRITE, 0)


async def test_users_are_named_as_they_come_and_go() -> None:
    """Both kinds, each in its field, each name once; an edit counts as much as a deletion."""
    async with running() as world:
        authentication(world, "auth", **password("keys", "p"))
        for name in ("web", "api"):
            world.scale_on(name, pages("auth"), pages("auth", valueLocation="w"))
        world.scale_on("other", pages(""))
        scaled_job(world, "video", pages("auth"))
        await world.until(
            lambda: users(world) == {"scaledobjects": "api,web", "scaledjobs": "video"}
        )

        def leave(value: JsonObject) -> None:
            value["spec"]["triggers"] = [pages("")]

        world.edit("ScaledObject", "api", leave)
        world.delete("ScaledJob", "video")
        await world.until(lambda: users(world) == {"scaledobjects": "web"})
        world.delete("ScaledObject", "web")
        await world.until(lambda: users(world) == {})


async def test_users_of_a_cluster_wide_authentication_are_those_of_all_namespaces() -> None:
    """A namespaced one of the same name is another one; a name in two namespaces is one name."""
    async with running() as world:
        for kind in ("TriggerAuthentication", "ClusterTriggerAuthentication"):
            world.create(kind, "auth", api=FLYBALL, spec=password("keys", "p"))
        world.scale_on("own", pages("auth"))
        world.create("Namespace", "shop")
        for namespace in ("default", "shop"):
            world.scale_on("web", shared(pages("auth")), metadata={"namespace": namespace})
        cluster_wide = "ClusterTriggerAuthentication"
        await world.until(lambda: users(world, kind=cluster_wide) == {"scaledobjects": "web"})
        await world.until(lambda: users(world) == {"scaledobjects": "own"})
        resource = world.cluster.registry.resource(FLYBALL, "ScaledObject")
        world.cluster.registry.delete(resource, "shop", "web")
        await asyncio.sleep(QUIET_SECONDS)
        assert users(world, kind=cluster_wide) == {"scaledobjects": "web"}


async def test_many_changes_are_one_write_and_polls_none() -> None:
    """Twenty objects that come at once cost a write or two; a fresh service finds nothing to do."""
    async with EmbeddedCluster() as cluster:
        async with running(cluster=cluster) as world:
            authentication(world, "auth", **password("keys", "p"))
            names = [f"web-{number:02}" for number in range(20)]
            for name in names:
                world.scale_on(name, pages("auth"))
            await world.until(lambda: users(world) == {"scaledobjects": ",".join(names)})
            await asyncio.sleep(QUIET_SECONDS)
            before = written(world)
            assert before <= 2
        async with running(cluster=cluster) as world:
            await asyncio.sleep(QUIET_SECONDS)
            assert written(world) == before


async def test_names_left_by_others_are_put_right_at_the_start() -> None:
    """An authentication that nobody uses any more says so after a start, too."""
    async with EmbeddedCluster() as cluster:
        async with running(cluster=cluster) as world:
            authentication(world, "auth", **password("keys", "p"))
            world.scale_on("web", pages("auth"))
            await world.until(lambda: users(world) == {"scaledobjects": "web"})
        world.delete("ScaledObject", "web")
        assert users(world) == {"scaledobjects": "web"}
        async with running(cluster=cluster) as again:
            await again.until(lambda: users(again) == {})


async def test_names_stay_until_the_users_are_known() -> None:
    """Objects that cannot be listed yet may be users; afterwards their absence means something."""
    async with EmbeddedCluster() as cluster:
        async with running(cluster=cluster) as world:
            authentication(world, "auth", **password("keys", "p"))
            world.scale_on("web", pages("auth"))
            await world.until(lambda: users(world) == {"scaledobjects": "web"})
        world.delete("ScaledObject", "web")
        cluster.faults.deny("list", "scaledobjects")
        async with running(cluster=cluster, wait=False) as again:
            await asyncio.sleep(QUIET_SECONDS)
            assert users(again) == {"scaledobjects": "web"}
            cluster.faults.permit("list", "scaledobjects")
            await again.until(lambda: users(again) == {}, 30)


async def test_written_names_rebuild_no_trigger() -> None:
    """A user of the authentication keeps its scaler when another one is added to the names."""
    async with running(SLOW) as world:
        world.create("Secret", "keys", data={"p": "eA=="})
        authentication(world, "auth", **password("keys", "p"))
        for name in ("web", "api"):
            world.deploy(name, 0)
        world.scale_on("web", pages("auth"))
        await bound(world, "web")
        await world.until(lambda: users(world) == {"scaledobjects": "web"})
        await settled(world)
        tracked = world.service._reconciler.tracked["default/web"]
        before, bound_at = built(world, "web"), tracked.bound_at
        world.scale_on("api", pages("auth"))
        await world.until(lambda: users(world) == {"scaledobjects": "api,web"})
        await settled(world)
        assert built(world, "web") == before
        assert (tracked.bound_at, tracked.is_stale) == (bound_at, False)


async def test_missing_right_delays_the_names_and_nothing_else() -> None:
    """Others are written, objects work, and the names come once the right is there."""
    async with EmbeddedCluster() as cluster:
        cluster.faults.deny(*WRITE)
        async with running(cluster=cluster) as world:
            names = [f"auth-{number}" for number in range(8)]
            for name in names:
                authentication(world, name, **password("keys", "p"))
                world.scale_on(f"by-{name}", pages(name))
            world.create(
                "ClusterTriggerAuthentication", "auth", api=FLYBALL, spec=password("keys", "p")
            )
            world.scale_on("web", shared(pages("auth")))
            wide = "ClusterTriggerAuthentication"
            await world.until(lambda: users(world, kind=wide) == {"scaledobjects": "web"})
            assert [users(world, name) for name in names] == [{}] * len(names)
            # One refusal stands for its namespace.
            assert written(world) <= 2
            cluster.faults.permit(*WRITE)
            for name in names:
                await world.until(partial(is_used_by, world, name, f"by-{name}"), 30)


async def test_api_server_in_trouble_is_asked_again_until_the_names_are_written() -> None:
    """Errors and lost connections delay the names; nothing has to change for the next attempt."""
    async with EmbeddedCluster() as cluster, running(cluster=cluster) as world:
        broken = ApiError(500, "InternalError", "etcd is away")
        cluster.faults.fail_next(*WRITE, broken, times=3)
        for name in ("auth", "also"):
            authentication(world, name, **password("keys", "p"))
            world.scale_on(f"by-{name}", pages(name))
        await world.until(lambda: users(world) == {"scaledobjects": "by-auth"}, 30)
        await world.until(lambda: users(world, "also") == {"scaledobjects": "by-also"}, 30)
        # Three failures and two successes: no attempt more than needed.
        assert written(world) == 5


async def test_refused_names_are_not_sent_again() -> None:
    """What the API server calls invalid stays so; the next change is another attempt."""
    async with EmbeddedCluster() as cluster, running(cluster=cluster) as world:
        cluster.faults.fail_next(*WRITE, ApiError(422, "Invalid", "status: no"))
        authentication(world, "auth", **password("keys", "p"))
        world.scale_on("web", pages("auth"))
        await world.until(lambda: written(world) == 1)
        await asyncio.sleep(QUIET_SECONDS)
        assert (users(world), written(world)) == ({}, 1)
        world.scale_on("api", pages("auth"))
        await world.until(lambda: users(world) == {"scaledobjects": "api,web"})


@pytest.mark.parametrize(("settings", "is_written"), [(ALL, True), (ANNOTATED, False)])
async def test_authentications_of_keda_are_written_where_keda_is_gone(
    settings: ControllerSettings, is_written: bool
) -> None:
    """Beside KEDA their status is KEDA's; a like-named one of our own group is another one."""
    assert settings.watch_keda is (WatchKeda.ALL if is_written else WatchKeda.ANNOTATED)
    async with running(settings) as world:
        for api in (FLYBALL, KEDA):
            world.create("TriggerAuthentication", "auth", api=api, spec=password("keys", "p"))
        keda_object(world, "theirs", pages("auth"))
        world.scale_on("ours", pages("auth"))
        await world.until(lambda: users(world) == {"scaledobjects": "ours"})
        if is_written:
            await world.until(lambda: users(world, api=KEDA) == {"scaledobjects": "theirs"})
        else:
            await asyncio.sleep(QUIET_SECONDS)
            assert users(world, api=KEDA) == {}


async def test_one_namespace_says_nothing_about_cluster_wide_authentications() -> None:
    """Users in namespaces that are not watched are not known, so none are named."""
    settings = msgspec.structs.replace(QUICK, namespace="default")
    async with running(settings) as world:
        for kind in ("TriggerAuthentication", "ClusterTriggerAuthentication"):
            world.create(kind, "auth", api=FLYBALL, spec=password("keys", "p"))
        world.scale_on("own", pages("auth"))
        world.scale_on("web", shared(pages("auth")))
        await world.until(lambda: users(world) == {"scaledobjects": "own"})
        await asyncio.sleep(QUIET_SECONDS)
        assert users(world, kind="ClusterTriggerAuthentication") == {}


async def test_very_many_names_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status stays small; it says how many names it leaves out."""
    monkeypatch.setattr(authentication_users, "NAMES_MAX", 2)
    async with running() as world:
        authentication(world, "auth", **password("keys", "p"))
        for name in ("a", "b", "c", "d"):
            world.scale_on(name, pages("auth"))
        await world.until(lambda: users(world) == {"scaledobjects": "a,b,+2 more"})
