"""The event recorder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from autoscaler.kube.events import EventRecorder, ObjectReference
from autoscaler.kube.transport import KubeClient
from tests.doubles.clock import LoopClock
from tests.doubles.scripted_api import Answer, Hang, ScriptedApi, refusal, reply
from tests.unit.kube.conftest import Connected

pytestmark = pytest.mark.looptime


def about(name: str = "web", namespace: str = "shop") -> ObjectReference:
    """Return a reference to a ScaledObject."""
    return ObjectReference(
        api_version="flyball.dev/v1alpha1",
        kind="ScaledObject",
        namespace=namespace,
        name=name,
        uid=f"uid-{name}",
    )


@asynccontextmanager
async def recording(
    connected: Connected, *answers: Answer, **options: Any
) -> AsyncIterator[tuple[ScriptedApi, EventRecorder]]:
    """Run a recorder against a script."""
    async with connected(*answers) as (api, client), running(client, **options) as recorder:
        yield api, recorder


@asynccontextmanager
async def running(client: KubeClient, **options: Any) -> AsyncIterator[EventRecorder]:
    """Run a recorder."""
    recorder = EventRecorder(client, LoopClock(), **options)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(recorder.run())
        try:
            yield recorder
        finally:
            task.cancel()


async def test_an_event_is_posted_whole(connected: Connected) -> None:
    """Object, type, reason, message, reporter and times are there."""
    async with recording(connected, reply({}, 201)) as (api, recorder):
        recorder.record(about(), "Normal", "KEDAScaleTargetActivated", "Scaled from 0 to 3")
        await asyncio.sleep(1)
    assert api.asked == ["POST /api/v1/namespaces/shop/events"]
    body = api.requests[0].json
    assert body["involvedObject"]["name"] == "web"
    assert body["involvedObject"]["apiVersion"] == "flyball.dev/v1alpha1"
    assert body["involvedObject"]["uid"] == "uid-web"
    assert (body["type"], body["reason"]) == ("Normal", "KEDAScaleTargetActivated")
    assert body["message"] == "Scaled from 0 to 3"
    assert body["source"] == {"component": "flyball"}
    assert body["count"] == 1
    assert body["firstTimestamp"] == body["lastTimestamp"] == "2023-11-14T22:13:20Z"
    assert body["metadata"]["name"].startswith("web.")


async def test_a_repetition_counts_up_instead_of_piling_up(connected: Connected) -> None:
    """The same event again raises the count of the first one."""
    async with recording(connected, reply({}, 201)) as (api, recorder):
        for _ in range(3):
            recorder.record(about(), "Warning", "ScalerFailed", "refused")
            await asyncio.sleep(10)
    name = api.requests[0].json["metadata"]["name"]
    path = f"/api/v1/namespaces/shop/events/{name}"
    assert api.asked[1:] == [f"PATCH {path}", f"PATCH {path}"]
    assert [asked.json["count"] for asked in api.requests] == [1, 2, 3]
    assert api.requests[2].json["lastTimestamp"] == "2023-11-14T22:13:40Z"


async def test_repetitions_that_wait_together_are_one_request(connected: Connected) -> None:
    """A storm between two writes costs one of them."""
    async with recording(connected, reply({}, 201)) as (api, recorder):
        for _ in range(50):
            recorder.record(about(), "Warning", "ScalerFailed", "refused")
        await asyncio.sleep(1)
    assert [asked.json["count"] for asked in api.requests] == [50]


async def test_different_messages_are_different_events_up_to_a_limit(connected: Connected) -> None:
    """Ten different messages are kept apart; the following ones share one event."""
    async with recording(connected, reply({}, 201)) as (api, recorder):
        for i in range(30):
            recorder.record(about(), "Warning", "ScalerFailed", f"error {i}")
            await asyncio.sleep(1)
    posts = [asked for asked in api.requests if asked.method == "POST"]
    patches = [asked for asked in api.requests if asked.method == "PATCH"]
    assert len(posts) == 11
    assert len(patches) == 19
    assert patches[-1].json["count"] == 20
    assert patches[-1].json["message"] == "error 29"


async def test_later_the_same_event_is_a_new_one(connected: Connected) -> None:
    """After a quiet quarter of an hour, counting starts over."""
    async with recording(connected, reply({}, 201)) as (api, recorder):
        for _ in range(2):
            recorder.record(about(), "Warning", "ScalerFailed", "refused")
            await asyncio.sleep(900)
    assert [asked.method for asked in api.requests] == ["POST", "POST"]
    names = {asked.json["metadata"]["name"] for asked in api.requests}
    assert len(names) == 2


async def test_an_event_deleted_meanwhile_is_created_again(connected: Connected) -> None:
    """The API server throws events away; counting up then starts a new one."""
    script = (reply({}, 201), refusal(404, "NotFound"), reply({}, 201))
    async with recording(connected, *script) as (api, recorder):
        for _ in range(2):
            recorder.record(about(), "Warning", "ScalerFailed", "refused")
            await asyncio.sleep(1)
    assert [asked.method for asked in api.requests] == ["POST", "PATCH", "POST"]
    assert recorder.dropped == 0


async def test_a_taken_name_is_avoided(connected: Connected) -> None:
    """A conflict on creation is answered with another name."""
    script = (refusal(409, "AlreadyExists"), reply({}, 201))
    async with recording(connected, *script) as (api, recorder):
        recorder.record(about(), "Normal", "Ready", "ok")
        await asyncio.sleep(1)
    first, second = (asked.json["metadata"]["name"] for asked in api.requests)
    assert first != second
    assert recorder.dropped == 0


async def test_an_event_that_cannot_be_written_is_lost_and_logged(connected: Connected) -> None:
    """A refused event is counted as dropped; the next one is written."""
    with capture_logs() as logs:
        async with recording(connected, refusal(403, "Forbidden"), reply({}, 201)) as (
            api,
            recorder,
        ):
            recorder.record(about("a"), "Normal", "Ready", "ok")
            recorder.record(about("b"), "Normal", "Ready", "ok")
            await asyncio.sleep(1)
            assert recorder.dropped == 1
    assert len(api.requests) == 2
    assert [line["event"] for line in logs] == ["event_not_written"]


async def test_a_silent_api_server_never_blocks_the_caller(connected: Connected) -> None:
    """Recording goes on at once; beyond the limit events are dropped and counted."""
    async with recording(connected, Answer([Hang()]), limit=10) as (_, recorder):
        recorder.record(about("first"), "Normal", "Ready", "ok")
        await asyncio.sleep(1)
        for i in range(15):
            recorder.record(about(f"web-{i}"), "Normal", "Ready", "ok")
        assert recorder.dropped == 5


async def test_writes_are_rate_limited(connected: Connected) -> None:
    """A thousand objects with something to say do not flood the API server."""
    async with recording(connected, reply({}, 201)) as (api, recorder):
        for i in range(200):
            recorder.record(about(f"web-{i}"), "Normal", "Ready", "ok")
        await asyncio.sleep(10.05)
        assert 95 <= len(api.requests) <= 102


async def test_flush_writes_the_rest_at_once(connected: Connected) -> None:
    """Last words before closing do not wait for the rate limit."""
    async with connected(reply({}, 201)) as (api, client):
        recorder = EventRecorder(client, LoopClock())
        for i in range(80):
            recorder.record(about(f"web-{i}"), "Normal", "Ready", "ok")
        await recorder.flush()
    assert len(api.requests) == 80


async def test_events_about_cluster_scoped_objects_live_in_default(connected: Connected) -> None:
    """An object without a namespace still gets its event somewhere."""
    async with connected(reply({}, 201)) as (api, client):
        recorder = EventRecorder(client, LoopClock())
        recorder.record(about(namespace=""), "Normal", "Ready", "x" * 5000)
        await recorder.flush()
    assert api.asked == ["POST /api/v1/namespaces/default/events"]
    assert len(api.requests[0].json["message"]) == 1024
