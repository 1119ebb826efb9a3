"""metrics.k8s.io and external.metrics.k8s.io reads."""

from __future__ import annotations

import aiohttp
import pytest

from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.metrics_api import Usage

ROOT = "/apis/metrics.k8s.io/v1beta1"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "labels": {"app": "web"}},
    "spec": {
        "nodeName": "n",
        "containers": [{"name": "main", "image": "demo"}, {"name": "side", "image": "demo"}],
    },
}


@pytest.fixture
async def cluster() -> EmbeddedCluster:
    """Give a cluster with one node and one pod."""
    made = EmbeddedCluster(workloads=False)
    made.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
    made.create(POD)
    return made


async def read(cluster: EmbeddedCluster, path: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """GET a path of the cluster."""
    async with (
        cluster,
        aiohttp.ClientSession() as session,
        session.get(cluster.url + path) as response,
    ):
        is_json = response.content_type == "application/json"
        return response.status, await response.json() if is_json else {}


async def test_usage_is_shown_per_container(cluster: EmbeddedCluster) -> None:
    """A pod's usage is spread over its containers, with a window and an instant."""
    cluster.metrics.usage = lambda _pod: Usage(300, 2 * 1024 * 1024)
    code, body = await read(cluster, f"{ROOT}/namespaces/default/pods?labelSelector=app%3Dweb")
    assert code == 200
    (item,) = body["items"]
    assert item["window"] == "15s"
    usage = {"cpu": "150m", "memory": "1024Ki"}
    expected = [{"name": "main", "usage": usage}, {"name": "side", "usage": usage}]
    assert item["containers"] == expected


async def test_usage_may_be_given_per_container(cluster: EmbeddedCluster) -> None:
    """Each container has its own; one that is not named has none, and a node's is the sum."""
    cluster.metrics.usage = lambda _pod: {"side": Usage(900, 4096), "main": Usage(10, 1024)}
    _, body = await read(cluster, f"{ROOT}/namespaces/default/pods/p")
    assert body["containers"] == [
        {"name": "main", "usage": {"cpu": "10m", "memory": "1Ki"}},
        {"name": "side", "usage": {"cpu": "900m", "memory": "4Ki"}},
    ]
    _, node = await read(cluster, f"{ROOT}/nodes/n")
    assert node["usage"] == {"cpu": "910m", "memory": "5Ki"}
    cluster.metrics.usage = lambda _pod: {"side": Usage(900, 4096)}
    _, body = await read(cluster, f"{ROOT}/namespaces/default/pods/p")
    assert [one["name"] for one in body["containers"]] == ["side"]


async def test_selector_leaves_other_pods_out(cluster: EmbeddedCluster) -> None:
    """Label selectors apply to the pods."""
    cluster.metrics.usage = lambda _pod: Usage(300, 0)
    _, body = await read(cluster, f"{ROOT}/namespaces/default/pods?labelSelector=app%3Dother")
    assert body["items"] == []


async def test_pod_without_usage_is_missing(cluster: EmbeddedCluster) -> None:
    """What has not been measured is in no list and cannot be read."""
    _, body = await read(cluster, f"{ROOT}/namespaces/default/pods")
    assert body["items"] == []


async def test_single_pod_without_usage_is_404(cluster: EmbeddedCluster) -> None:
    """Reading one says NotFound."""
    code, _ = await read(cluster, f"{ROOT}/namespaces/default/pods/p")
    assert code == 404


async def test_nodes_sum_up_their_pods(cluster: EmbeddedCluster) -> None:
    """A node uses what its pods use."""
    cluster.metrics.usage = lambda _pod: Usage(300, 1024)
    _, body = await read(cluster, f"{ROOT}/nodes/n")
    assert body["usage"] == {"cpu": "300m", "memory": "1Ki"}


async def test_metrics_are_read_only(cluster: EmbeddedCluster) -> None:
    """There is nothing to write."""
    async with cluster, aiohttp.ClientSession() as session:
        url = f"{cluster.url}{ROOT}/namespaces/default/pods/p"
        async with session.delete(url) as response:
            assert response.status == 405


async def test_external_metric_is_a_list_of_values(cluster: EmbeddedCluster) -> None:
    """A set value is answered in thousandths, an unknown name is not found."""
    cluster.metrics.external_values["queue"] = 12.5
    path = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default"
    code, body = await read(cluster, f"{path}/queue")
    assert code == 200
    assert body["items"][0]["value"] == "12500m"


async def test_unknown_external_metric_is_404(cluster: EmbeddedCluster) -> None:
    """Nobody provides it."""
    path = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/none"
    assert (await read(cluster, path))[0] == 404
