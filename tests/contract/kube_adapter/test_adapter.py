"""Our Kubernetes access against an API server: the embedded one, and a real one where given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from autoscaler.core.model import Condition
from autoscaler.errors import Conflict, Invalid, KubeError, NotFound
from autoscaler.kube.cluster_reader import KubeClusterReader
from autoscaler.kube.codec import CustomObject, decode_custom, decode_workload
from autoscaler.kube.events import EventRecorder, ObjectReference
from autoscaler.kube.pods import decode_pod
from autoscaler.kube.reflector import Reflector
from autoscaler.kube.resources import CONFIG_MAPS, DEPLOYMENTS, PODS, Discovery, Resource
from autoscaler.kube.scale import read_scale, write_scale
from autoscaler.kube.selector import parse_selector
from autoscaler.kube.status import write_status
from autoscaler.kube.store import Store
from autoscaler.kube.transport import KubeClient
from autoscaler.runtime.clock import SystemClock
from tests.contract.apiserver.server import (
    GROUP,
    ApiServerUnderTest,
    config_map,
    deployment,
    pump,
)

PATIENCE_SECONDS = 10.0


async def eventually(store: Store[Any], check: Callable[[], bool]) -> None:
    """Wait for the change of the store that makes something true."""
    changed = asyncio.Event()
    unsubscribe = store.on_change(lambda _key, _old, _new: changed.set())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not check():
                await changed.wait()
                changed.clear()
    finally:
        unsubscribe()


@asynccontextmanager
async def following(
    client: KubeClient, resource: Resource, namespace: str, **options: Any
) -> AsyncIterator[Store[Any]]:
    """Run a reflector until the block is left; the store is synced on entry."""
    store: Store[Any] = Store()
    decode = options.pop("decode", decode_custom)
    reflector = Reflector(
        client, resource, store, decode=decode, namespace=namespace, rng=Random(1), **options
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(reflector.run())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await store.wait_synced()
            yield store
        finally:
            task.cancel()


async def test_a_store_follows_its_collection(api: ApiServerUnderTest, client: KubeClient) -> None:
    """Objects there before, added, changed and deleted are all seen."""
    maps = api.path("configmaps")
    for name in ("kept", "changed", "deleted"):
        await api.created(maps, config_map(name, {"v": "1"}))
    # A real control plane puts a ConfigMap of its own into every namespace.
    own = "metadata.name!=kube-root-ca.crt"
    async with following(client, CONFIG_MAPS, api.namespace, field_selector=own) as store:
        assert len(store) == 3
        await api.created(maps, config_map("added", {"v": "1"}))
        await api.patch(f"{maps}/changed", {"data": {"v": "2"}})
        await api.delete(f"{maps}/deleted")

        def seen() -> dict[str, str]:
            return {item.metadata.name: item.raw["data"]["v"] for item in store}

        await eventually(store, lambda: seen() == {"kept": "1", "changed": "2", "added": "1"})


async def test_a_label_selector_narrows_the_store(
    api: ApiServerUnderTest, client: KubeClient
) -> None:
    """Objects that begin or cease to match come and go."""
    maps = api.path("configmaps")
    await api.created(maps, config_map("in", labels={"app": "web"}))
    await api.created(maps, config_map("out", labels={"app": "api"}))
    async with following(client, CONFIG_MAPS, api.namespace, label_selector="app=web") as store:
        assert store.keys() == (f"{api.namespace}/in",)
        await api.patch(f"{maps}/out", {"metadata": {"labels": {"app": "web"}}})
        await api.patch(f"{maps}/in", {"metadata": {"labels": {"app": None}}})
        await eventually(store, lambda: store.keys() == (f"{api.namespace}/out",))


async def test_a_list_of_several_pages_is_complete(
    api: ApiServerUnderTest, client: KubeClient
) -> None:
    """More objects than fit a page all arrive before the store counts as synced."""
    maps = api.path("configmaps")
    for i in range(510):
        await api.created(maps, config_map(f"c-{i}", labels={"paged": "yes"}))
    async with following(client, CONFIG_MAPS, api.namespace, label_selector="paged=yes") as store:
        assert len(store) == 510


async def test_a_deployment_is_scaled_and_its_event_recognised(
    api: ApiServerUnderTest, client: KubeClient
) -> None:
    """The scale written is the one read, and the store knows when the write has come back."""
    await api.created(api.path("deployments", "apps/v1"), deployment("web", 2))
    key = f"{api.namespace}/web"
    async with following(client, DEPLOYMENTS, api.namespace, decode=decode_workload) as store:
        view = await read_scale(client, DEPLOYMENTS, api.namespace, "web")
        assert (view.spec_replicas, view.selector) == (2, "app=web")
        for _ in range(20):
            try:
                written = await write_scale(
                    client,
                    DEPLOYMENTS,
                    api.namespace,
                    "web",
                    replicas=5,
                    resource_version=view.resource_version,
                )
                break
            except Conflict:
                # A deployment controller may be at work on its status.
                view = await read_scale(client, DEPLOYMENTS, api.namespace, "web")
        else:
            pytest.fail("the deployment never stood still")
        assert written.spec_replicas == 5
        store.wrote(key, written.resource_version)
        await eventually(store, lambda: not store.is_behind(key))
        assert store.get(key).spec.replicas == 5
        assert (await read_scale(client, DEPLOYMENTS, api.namespace, "web")).spec_replicas == 5


async def test_a_stale_scale_write_is_refused(
    pumps: ApiServerUnderTest, client: KubeClient
) -> None:
    """Whoever read before somebody else wrote gets a conflict, and nothing is changed."""
    await pumps.created(pumps.path("pumps", f"{GROUP}/v1"), pump("p", replicas=1))
    resource = await Discovery(client).resolve(f"{GROUP}/v1", "Pump", needs_scale=True)
    old = await read_scale(client, resource, pumps.namespace, "p")
    await write_scale(
        client, resource, pumps.namespace, "p", replicas=3, resource_version=old.resource_version
    )
    with pytest.raises(Conflict) as caught:
        await write_scale(
            client,
            resource,
            pumps.namespace,
            "p",
            replicas=9,
            resource_version=old.resource_version,
        )
    assert caught.value.status == 409
    assert (await read_scale(client, resource, pumps.namespace, "p")).spec_replicas == 3


async def test_a_stale_scale_write_of_a_deployment_is_refused(
    api: ApiServerUnderTest, client: KubeClient
) -> None:
    """The guard works for built-in kinds too, whose Scale is made up on the fly."""
    deployments = api.path("deployments", "apps/v1")
    await api.created(deployments, deployment("web", 2))
    old = await read_scale(client, DEPLOYMENTS, api.namespace, "web")
    await api.patch(f"{deployments}/web", {"spec": {"replicas": 4}})
    with pytest.raises(Conflict):
        await write_scale(
            client,
            DEPLOYMENTS,
            api.namespace,
            "web",
            replicas=9,
            resource_version=old.resource_version,
        )


async def test_scaling_to_zero_and_back(pumps: ApiServerUnderTest, client: KubeClient) -> None:
    """Zero survives the round trip, although the API leaves zeros out."""
    await pumps.created(pumps.path("pumps", f"{GROUP}/v1"), pump("p", replicas=1))
    resource = await Discovery(client).resolve(f"{GROUP}/v1", "Pump")
    view = await read_scale(client, resource, pumps.namespace, "p")
    for replicas in (0, 4):
        view = await write_scale(
            client,
            resource,
            pumps.namespace,
            "p",
            replicas=replicas,
            resource_version=view.resource_version,
        )
        assert view.spec_replicas == replicas


async def test_status_is_written_apart_from_spec(
    pumps: ApiServerUnderTest, client: KubeClient
) -> None:
    """Conditions land in status, spec stays, and what is there already is not written again."""
    path = pumps.path("pumps", f"{GROUP}/v1")
    made = await pumps.created(path, pump("p", replicas=1, speed=7))
    resource = await Discovery(client).resolve(f"{GROUP}/v1", "Pump")
    item = await _custom(client, resource, pumps.namespace, "p")
    ready = Condition("Ready", "True", "Fine", "all is well")
    written = await write_status(
        client, resource, item, {"replicas": 1}, conditions=[ready], at=1_793_527_200.0
    )
    assert written is not None
    assert written.raw["spec"] == {"replicas": 1, "speed": 7}
    assert written.status["replicas"] == 1
    assert written.status["conditions"][0]["type"] == "Ready"
    assert written.metadata.generation == made["metadata"]["generation"]
    stored = await _custom(client, resource, pumps.namespace, "p")
    again = await write_status(client, resource, stored, {"replicas": 1}, at=1_793_527_300.0)
    assert again is None


async def test_events_are_counted_up(api: ApiServerUnderTest, client: KubeClient) -> None:
    """The same event twice is one object with a count of two."""
    made = await api.created(api.path("configmaps"), config_map("web"))
    about = ObjectReference(
        api_version="v1",
        kind="ConfigMap",
        namespace=api.namespace,
        name="web",
        uid=made["metadata"]["uid"],
    )
    recorder = EventRecorder(client, SystemClock())
    for _ in range(2):
        recorder.record(about, "Warning", "ScalerFailed", "connection refused")
        await recorder.flush()
    assert recorder.dropped == 0
    listed = await api.get(
        api.path("events"), fieldSelector="involvedObject.name=web,reason=ScalerFailed"
    )
    (event,) = listed.body["items"]
    assert (event["count"], event["message"]) == (2, "connection refused")
    assert event["involvedObject"]["uid"] == made["metadata"]["uid"]


async def test_discovery_knows_scale_and_scope(
    pumps: ApiServerUnderTest, client: KubeClient
) -> None:
    """A custom resource is found with its plural and subresource; built-in kinds likewise."""
    discovery = Discovery(client)
    found = await discovery.resolve(f"{GROUP}/v1", "Pump", needs_scale=True)
    assert (found.plural, found.namespaced, found.has_scale) == ("pumps", True, True)
    node = await discovery.resolve("v1", "Node")
    assert (node.plural, node.namespaced) == ("nodes", False)


async def test_pods_are_read_the_same_way_twice(
    api: ApiServerUnderTest, client: KubeClient
) -> None:
    """The store's view and a scaler's read of the same pods agree."""
    for name in ("a", "b"):
        await api.created(
            api.path("pods"),
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": {"app": "web"}},
                "spec": {
                    "containers": [
                        {
                            "name": "main",
                            "image": "example.test/app:1",
                            "resources": {"requests": {"cpu": "250m"}},
                        }
                    ]
                },
            },
        )
    listed = await KubeClusterReader(client).list_pods(api.namespace, "app=web")
    async with following(
        client, PODS, api.namespace, decode=decode_pod, label_selector="app=web"
    ) as store:
        found = store.select(api.namespace, parse_selector("app=web"))
    assert [pod.name for pod in listed] == [view.pod.name for view in found] == ["a", "b"]
    assert found[0].pod.containers[0].requests_milli == {"cpu": 250}


async def test_errors_carry_the_servers_words(api: ApiServerUnderTest, client: KubeClient) -> None:
    """Status, reason and message of a real refusal arrive in our error."""
    with pytest.raises(NotFound, match="missing") as caught:
        await read_scale(client, DEPLOYMENTS, api.namespace, "missing")
    assert (caught.value.status, caught.value.api_reason) == (404, "NotFound")
    with pytest.raises(Invalid):
        await client.request("POST", api.path("configmaps"), body=b"{not json")
    with pytest.raises(KubeError):
        await client.request("GET", "/apis/nowhere.example.com/v1/things")


async def _custom(
    client: KubeClient, resource: Resource, namespace: str, name: str
) -> CustomObject:
    return decode_custom(await client.request("GET", resource.path(namespace, name)))
