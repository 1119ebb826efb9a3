"""The servers the contract suite runs against: the embedded one, and with --e2e a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.kube.config import find_endpoint
from tests.contract.apiserver.server import GROUP, ApiServerUnderTest, definition

READY_POLLS = 200
POLL_SECONDS = 0.05
# The first test also starts the control plane.
REAL = pytest.param("real", marks=pytest.mark.timeout(300))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every contract on each server."""
    if "api" in metafunc.fixturenames:
        servers = ["embedded", REAL] if metafunc.config.getoption("--e2e") else ["embedded"]
        metafunc.parametrize("api", servers, indirect=True)


@pytest.fixture
async def api(request: pytest.FixtureRequest) -> AsyncIterator[ApiServerUnderTest]:
    """Give an API server with an empty namespace."""
    if request.param == "real":
        kubeconfig = request.getfixturevalue("bare_cluster").kubeconfig()
        endpoint = await find_endpoint(str(kubeconfig), None, in_cluster=False)
        connector = aiohttp.TCPConnector(ssl=endpoint.tls or True)
        headers = await endpoint.authorization()
        async with (
            aiohttp.ClientSession(connector=connector, headers=headers) as session,
            in_namespace(ApiServerUnderTest(session, endpoint.server)) as server,
        ):
            yield server
        return
    async with (
        EmbeddedCluster(workloads=False) as cluster,
        aiohttp.ClientSession() as session,
        in_namespace(ApiServerUnderTest(session, cluster.url)) as server,
    ):
        yield server


@asynccontextmanager
async def in_namespace(server: ApiServerUnderTest) -> AsyncIterator[ApiServerUnderTest]:
    """Make the test's namespace, with the service account that pods need, and remove it."""
    made = await server.created("/api/v1/namespaces", {"metadata": {"generateName": "contract-"}})
    server.namespace = made["metadata"]["name"]
    account = await server.post(server.path("serviceaccounts"), {"metadata": {"name": "default"}})
    assert account.code in {201, 409}
    try:
        yield server
    finally:
        await server.delete(f"/api/v1/namespaces/{server.namespace}")


@pytest.fixture
async def pumps(api: ApiServerUnderTest) -> AsyncIterator[ApiServerUnderTest]:
    """Give an API server that serves the custom resource ``pumps``."""
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    one = f"{definitions}/pumps.{GROUP}"
    await api.created(definitions, definition())
    try:
        await until(api, api.path("pumps", f"{GROUP}/v1"), 200)
        yield api
    finally:
        gone = await api.delete(one)
        assert gone.code == 200
        # The next test defines it anew, which has to wait for the last instance to go.
        await until(api, one, 404)


async def until(api: ApiServerUnderTest, path: str, code: int) -> None:
    """Wait until GET is answered with a status code."""
    for _ in range(READY_POLLS):
        if (await api.get(path)).code == code:
            return
        await asyncio.sleep(POLL_SECONDS)
    pytest.fail(f"GET {path} never answered {code}")
