"""The servers the contract suite runs against."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import aiohttp
import pytest

from autoscaler.demo.cluster import EmbeddedCluster
from tests.contract.apiserver.server import GROUP, ApiServerUnderTest, definition

REAL_URL = "CONTRACT_APISERVER_URL"
READY_POLLS = 100


SERVERS = ["embedded", "real"] if REAL_URL in os.environ else ["embedded"]


@pytest.fixture(params=SERVERS)
async def api(request: pytest.FixtureRequest) -> AsyncIterator[ApiServerUnderTest]:
    """Give an API server with an empty namespace."""
    if request.param == "real":
        url = os.environ[REAL_URL]
        has_controllers = bool(os.environ.get("CONTRACT_HAS_CONTROLLERS"))
        async with aiohttp.ClientSession() as session:
            server = ApiServerUnderTest(session, url, has_controllers=has_controllers)
            async for ready in in_namespace(server):
                yield ready
        return
    async with EmbeddedCluster(workloads=False) as cluster, aiohttp.ClientSession() as session:
        server = ApiServerUnderTest(session, cluster.url, has_controllers=True)
        async for ready in in_namespace(server):
            yield ready


async def in_namespace(server: ApiServerUnderTest) -> AsyncIterator[ApiServerUnderTest]:
    """Make the test's namespace, with the service account that pods need, and remove it."""
    made = await server.created("/api/v1/namespaces", {"metadata": {"generateName": "contract-"}})
    server.namespace = made["metadata"]["name"]
    account = await server.post(server.path("serviceaccounts"), {"metadata": {"name": "default"}})
    assert account.code in {201, 409}
    yield server
    await server.delete(f"/api/v1/namespaces/{server.namespace}")


@pytest.fixture
async def pumps(api: ApiServerUnderTest) -> AsyncIterator[ApiServerUnderTest]:
    """Give an API server that serves the custom resource ``pumps``."""
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await api.created(definitions, definition())
    for _ in range(READY_POLLS):
        listed = await api.get(api.path("pumps", f"{GROUP}/v1"))
        if listed.code == 200:
            break
        await asyncio.sleep(0.05)
    else:
        pytest.fail("the custom resource is not served")
    yield api
    gone = await api.delete(f"{definitions}/pumps.{GROUP}")
    assert gone.code == 200
