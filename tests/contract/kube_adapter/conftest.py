"""A client of the API servers under test, each with an empty namespace."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from autoscaler.kube.transport import KubeClient
from tests.contract.apiserver.conftest import api, pumps, pytest_generate_tests
from tests.contract.apiserver.server import ApiServerUnderTest

__all__ = ["api", "client", "pumps", "pytest_generate_tests"]


@pytest.fixture
async def client(
    api: ApiServerUnderTest, request: pytest.FixtureRequest
) -> AsyncIterator[KubeClient]:
    """Return a client of the server under test, logged in where it wants that."""
    if request.node.callspec.params["api"] == "real":
        kubeconfig = str(request.getfixturevalue("bare_cluster").kubeconfig())
        connected = await KubeClient.connect(kubeconfig)
    else:
        connected = KubeClient.for_url(api._url)
    yield connected
    await connected.close()
