"""A client of a scripted server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from autoscaler.kube.transport import KubeClient
from tests.doubles.scripted_api import Answer, ScriptedApi

Connected = Callable[..., AbstractAsyncContextManager[tuple[ScriptedApi, KubeClient]]]


@asynccontextmanager
async def _connected(*answers: Answer) -> AsyncIterator[tuple[ScriptedApi, KubeClient]]:
    api = ScriptedApi(*answers)
    async with api.serve():
        client = KubeClient.for_url(api.url)
        try:
            yield api, client
        finally:
            await client.close()


@pytest.fixture
def connected() -> Connected:
    """Return ``connected(*answers)``: a scripted server and a client of it."""
    return _connected
