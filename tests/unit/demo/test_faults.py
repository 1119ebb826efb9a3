"""The fault layer: off by default, reproducible, and each fault does what its name says."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from autoscaler.demo.apierrors import ApiError
from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.faults import FaultRates, Faults
from autoscaler.demo.resources import Catalogue

PATH = "/api/v1/namespaces/default/configmaps"
MERGE = {"Content-Type": "application/merge-patch+json"}


async def codes(rates: FaultRates, seed: int = 7, count: int = 40) -> list[int]:
    """Return the status codes of some patches; 0 for a dropped connection."""
    found = []
    async with EmbeddedCluster(seed=seed, workloads=False) as cluster:
        cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
        cluster.faults.rates = rates
        async with aiohttp.ClientSession() as session:
            for index in range(count):
                body = json.dumps({"data": {"k": str(index)}})
                url = f"{cluster.url}{PATH}/a"
                try:
                    async with session.patch(url, data=body, headers=MERGE) as response:
                        found.append(response.status)
                except aiohttp.ClientError:
                    found.append(0)
    return found


async def test_nothing_fails_by_default() -> None:
    """Without rates every request succeeds."""
    assert await codes(FaultRates()) == [200] * 40


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        (FaultRates(conflicts=0.5), {200, 409}),
        (FaultRates(too_many_requests=0.5), {200, 429}),
        (FaultRates(server_errors=0.8), {200, 500, 502, 503, 504}),
        (FaultRates(lost_replies=0.5), {200, 0}),
    ],
    ids=["conflicts", "too many requests", "server errors", "lost replies"],
)
async def test_writes_fail_as_asked(rates: FaultRates, expected: set[int]) -> None:
    """Each rate brings its own failures and no others."""
    assert set(await codes(rates)) == expected


async def test_same_seed_gives_the_same_faults() -> None:
    """The same traffic meets the same faults."""
    rates = FaultRates(conflicts=0.3, server_errors=0.3)
    first = await codes(rates, seed=1)
    assert first == await codes(rates, seed=1)
    assert first != await codes(rates, seed=2)


async def test_lost_reply_was_performed() -> None:
    """The write is done although the client does not learn it."""
    async with EmbeddedCluster(workloads=False) as cluster, aiohttp.ClientSession() as session:
        cluster.faults.rates = FaultRates(lost_replies=1.0)
        with pytest.raises(aiohttp.ClientError):
            await session.post(cluster.url + PATH, json={"metadata": {"name": "a"}})
        assert cluster.store.get("configmaps", "default", "a") is not None


async def test_scripted_fault_hits_the_named_request_once() -> None:
    """A test can fail exactly one call."""
    resource = Catalogue().find("apps", "v1", "deployments")
    assert resource is not None
    faults = Faults()
    faults.fail_next("patch", "deployments/scale", ApiError(503, "ServiceUnavailable", "no"))
    faults.before("get", resource, "scale", "web")
    faults.before("patch", resource, "", "web")
    with pytest.raises(ApiError, match="no"):
        faults.before("patch", resource, "scale", "web")
    faults.before("patch", resource, "scale", "web")


async def watched(rates: FaultRates) -> tuple[list[dict[str, Any]], str]:
    """Watch through one event under the given rates; returns events and how it ended."""
    async with EmbeddedCluster(workloads=False) as cluster, aiohttp.ClientSession() as session:
        cluster.faults.rates = rates
        query = {"watch": "1", "timeoutSeconds": "1", "resourceVersion": str(cluster.store.version)}
        events = []
        async with session.get(cluster.url + PATH, params=query) as response:
            cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
            try:
                async with asyncio.timeout(5):
                    async for line in response.content:
                        events.append(json.loads(line))  # noqa: PERF401 - what came before a cut counts
            except aiohttp.ClientPayloadError:
                return events, "dropped"
        return events, "ended"


@pytest.mark.looptime
async def test_dropped_watch_breaks_off() -> None:
    """The connection is cut in the middle of the stream."""
    _, end = await watched(FaultRates(dropped_watches=1.0, watch_seconds=0.5))
    assert end == "dropped"


@pytest.mark.looptime
async def test_stalled_watch_goes_silent() -> None:
    """Nothing comes any more until the timeout."""
    events, end = await watched(FaultRates(stalled_watches=1.0, watch_seconds=0.0))
    assert (events, end) == ([], "ended")


@pytest.mark.looptime
async def test_expired_watch_says_so() -> None:
    """The stream ends with a 410 event."""
    events, end = await watched(FaultRates(expired_watches=1.0, watch_seconds=0.5))
    assert end == "ended"
    assert events[-1]["type"] == "ERROR"
    assert events[-1]["object"]["code"] == 410


@pytest.mark.looptime
async def test_slow_answers_take_time(looptime: Any) -> None:
    """Answers are held back for up to the configured time."""
    await codes(FaultRates(slow=1.0, slow_seconds=4.0), count=10)
    assert 5 < looptime < 40


@pytest.mark.looptime
async def test_closed_client_leaves_no_watch_behind() -> None:
    """A watch ends on the server when its client hangs up."""
    async with EmbeddedCluster(workloads=False) as cluster, aiohttp.ClientSession() as session:
        async with session.get(cluster.url + PATH, params={"watch": "1"}) as response:
            assert response.status == 200
            assert cluster.store.open_watches == 1
        await asyncio.sleep(1)
        assert cluster.store.open_watches == 0
