"""Reads that scalers may do."""

from __future__ import annotations

import pytest

from autoscaler.errors import MetricMalformed, MetricRejected, MetricUnavailable
from autoscaler.kube.cluster_reader import KubeClusterReader
from autoscaler.sdk.scaler import ClusterPod, ClusterReader
from tests.doubles.scripted_api import Answer, refusal, reply
from tests.unit.kube.conftest import Connected

pytestmark = pytest.mark.looptime


async def test_pods_are_listed_by_selector_over_all_pages(connected: Connected) -> None:
    """Name, phase and node of every matching pod are returned, however many pages it takes."""
    first = {
        "metadata": {"continue": "more"},
        "items": [
            {
                "metadata": {"name": "a"},
                "spec": {"nodeName": "n1"},
                "status": {"phase": "Running"},
            }
        ],
    }
    second = {"items": [{"metadata": {"name": "b"}, "status": {"phase": "Pending"}}]}
    async with connected(reply(first), reply(second)) as (api, client):
        reader: ClusterReader = KubeClusterReader(client)
        pods = await reader.list_pods("shop", "app=web")
    assert list(pods) == [
        ClusterPod(name="a", phase="Running", node="n1"),
        ClusterPod(name="b", phase="Pending"),
    ]
    assert api.requests[0].query["labelSelector"] == "app=web"
    assert api.requests[1].query["continue"] == "more"


async def test_ready_endpoints_of_a_service(connected: Connected) -> None:
    """Endpoints that are ready, or do not say, are returned with their ports, IPv6 in brackets."""
    slices = {
        "items": [
            {
                "endpoints": [
                    {"addresses": ["10.0.0.2"], "conditions": {"ready": True}},
                    {"addresses": ["10.0.0.1"]},
                    {"addresses": ["10.0.0.3"], "conditions": {"ready": False}},
                ],
                "ports": [{"port": 8080}],
            },
            {"endpoints": [{"addresses": ["fd00::1"]}], "ports": [{"port": 8080}]},
            {"endpoints": None, "ports": None},
        ]
    }
    async with connected(reply(slices)) as (api, client):
        found = await KubeClusterReader(client).service_endpoints("shop", "api")
    assert list(found) == ["10.0.0.1:8080", "10.0.0.2:8080", "[fd00::1]:8080"]
    assert api.requests[0].query["labelSelector"] == "kubernetes.io/service-name=api"


async def test_failures_are_metric_errors(connected: Connected) -> None:
    """A scaler sees its own kind of error, never an empty list."""
    script = (refusal(403, "Forbidden"), refusal(500, "InternalError"), Answer([b"{}"]))
    async with connected(*script) as (_, client):
        reader = KubeClusterReader(client)
        with pytest.raises(MetricRejected):
            await reader.list_pods("shop", "")
        with pytest.raises(MetricUnavailable):
            await reader.service_endpoints("shop", "api")
        with pytest.raises(MetricMalformed):
            await reader.list_pods("shop", "")
        with pytest.raises(MetricMalformed):
            await reader.service_endpoints("shop", "api")
