"""A client of the API servers under test, each with an empty namespace."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from autoscaler.kube.transport import KubeClient
from tests.contract.apiserver.conftest import api, pumps
from tests.contract.apiserver.server import ApiServerUnderTest

__all__ = ["api", "client", "pumps"]


@pytest.fixture
async def client(api: ApiServerUnderTest) -> AsyncIterator[KubeClient]:
    """Return a client of the server under test."""
    connected = KubeClient.for_url(api._url)
    yield connected
    await connected.close()
