"""Status writes: newest wins, one at a time, repeated with back-off, never in the way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from autoscaler.controller.status_writer import StatusWriter
from autoscaler.core.model import Condition
from autoscaler.errors import Invalid, NotFound, Unreachable
from autoscaler.kube.codec import CustomObject, ObjectMeta
from autoscaler.kube.resources import SCALED_OBJECTS
from autoscaler.kube.store import Store
from tests.doubles.clock import LoopClock

pytestmark = pytest.mark.looptime


class Api:
    """Keeps the statuses written to it; fails as told."""

    def __init__(self, store: Store[CustomObject]) -> None:
        self.store = store
        self.failures: list[Exception] = []
        self.writes: list[tuple[str, dict[str, Any]]] = []
        self.running = 0

    async def request(
        self, method: str, path: str, *, body: bytes | None = None, **_: Any
    ) -> bytes:
        assert self.running == 0, "one write at a time"
        self.running += 1
        await asyncio.sleep(0.1)
        self.running -= 1
        if self.failures:
            raise self.failures.pop(0)
        name = path.split("/")[-2]
        status = msgspec.json.decode(body or b"")["status"]
        self.writes.append((name, status))
        known = self.store.get(f"shop/{name}")
        assert known is not None
        version = str(int(known.metadata.resource_version) + 1)
        meta = {"name": name, "namespace": "shop", "resourceVersion": version}
        return msgspec.json.encode({"metadata": meta, "status": {**known.status, **status}})


class Desk:
    """A writer over an API with the objects ``a`` and ``b``."""

    def __init__(self) -> None:
        self.store: Store[CustomObject] = Store()
        names = ("a", "b")
        self.store.replace({f"shop/{name}": item(name) for name in names}, "1")
        self.api = Api(self.store)
        self.writer = StatusWriter(
            self.api,  # type: ignore[arg-type]
            self.store,
            resource=SCALED_OBJECTS,
            clock=LoopClock(),
            rng=random.Random(1),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[StatusWriter]:
        task = asyncio.ensure_future(self.writer.run())
        try:
            yield self.writer
        finally:
            task.cancel()
            await asyncio.wait([task])

    @property
    def counts(self) -> list[tuple[str, int]]:
        return [(name, status["desiredReplicas"]) for name, status in self.api.writes]


def item(name: str) -> CustomObject:
    """Return a ScaledObject without status."""
    meta = ObjectMeta(name=name, namespace="shop", resource_version="1")
    return CustomObject(metadata=meta, raw={"metadata": {"name": name}})


def want(count: int, **more: Any) -> Mapping[str, Any]:
    """Return a status."""
    return {"desiredReplicas": count, **more}


async def test_newest_status_wins_and_is_seen_at_once() -> None:
    """Statuses that are overtaken while they wait are never written."""
    desk = Desk()
    async with desk.running() as writer:
        for count in range(5):
            writer.put("shop/a", want(count), (Condition("Ready", "True"),))
            writer.put("shop/b", want(10 + count), ())
        await asyncio.sleep(1)
    assert desk.counts == [("a", 4), ("b", 14)]
    stored = desk.store.get("shop/a")
    assert stored is not None
    assert stored.status["desiredReplicas"] == 4


async def test_unchanged_status_is_not_written() -> None:
    """What the object says already costs no request."""
    desk = Desk()
    async with desk.running() as writer:
        writer.put("shop/a", want(1), ())
        await asyncio.sleep(1)
        writer.put("shop/a", want(1), ())
        await asyncio.sleep(1)
    assert desk.counts == [("a", 1)]


async def test_last_decision_survives_being_overtaken() -> None:
    """The word about a change is kept until it is written."""
    desk = Desk()
    desk.writer.put("shop/a", want(1, lastDecision={"message": "m"}), ())
    desk.writer.put("shop/a", want(2), ())
    await desk.writer.flush()
    assert desk.api.writes == [("a", {"desiredReplicas": 2, "lastDecision": {"message": "m"}})]


async def test_failed_write_is_repeated_later_and_lets_others_pass() -> None:
    """An API server that does not answer delays statuses but loses none."""
    desk = Desk()
    desk.api.failures = [Unreachable("no answer"), Unreachable("no answer")]
    async with desk.running() as writer:
        writer.put("shop/a", want(1), ())
        writer.put("shop/b", want(2), ())
        await asyncio.sleep(10)
    assert sorted(desk.counts) == [("a", 1), ("b", 2)]


async def test_status_is_right_within_seconds_after_a_long_outage() -> None:
    """An API server that is back is told the newest status after five seconds at most."""
    desk = Desk()
    desk.api.failures = [Unreachable("PATCH: 503 Service Unavailable", status=503)] * 1000
    async with desk.running() as writer:
        writer.put("shop/a", want(1), ())
        await asyncio.sleep(300)
        assert desk.api.writes == []
        desk.api.failures.clear()
        await asyncio.sleep(5.2)
    assert desk.counts == [("a", 1)]


async def test_hopeless_writes_are_dropped() -> None:
    """A deleted object, or a status the API refuses, is not tried again."""
    desk = Desk()
    desk.api.failures = [NotFound("gone", status=404), Invalid("no", status=422)]
    async with desk.running() as writer:
        writer.put("shop/a", want(1), ())
        writer.put("shop/b", want(2), ())
        writer.put("shop/unknown", want(3), ())
        await asyncio.sleep(100)
    assert desk.api.writes == []


async def test_forgotten_object_is_not_written() -> None:
    """What a deleted object still wanted to say is dropped."""
    desk = Desk()
    desk.writer.put("shop/a", want(1), ())
    desk.writer.forget("shop/a")
    await desk.writer.flush()
    assert desk.api.writes == []


async def test_flush_gives_up_at_the_first_failure() -> None:
    """Last words are tried once; a stop must not hang."""
    desk = Desk()
    desk.api.failures = [Unreachable("no answer")]
    desk.writer.put("shop/a", want(1), ())
    desk.writer.put("shop/b", want(2), ())
    await desk.writer.flush()
    assert desk.api.writes == []
