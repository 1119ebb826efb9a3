"""Status writes: newest wins, one at a time, repeated with back-off, never in the way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from autoscaler.controller.status_writer import StatusWriter
from autoscaler.core.model import Condition
from autoscaler.errors import (
    Conflict,
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
    TooManyRequests,
    Unreachable,
)
from autoscaler.kube.codec import CustomObject, ObjectMeta
from autoscaler.kube.resources import SCALED_OBJECTS
from autoscaler.kube.store import Store
from tests.doubles.clock import LoopClock

pytestmark = pytest.mark.looptime


class Api:
    """Keeps the statuses written to it; fails as told, at the next writes or for some objects."""

    def __init__(self, store: Store[CustomObject]) -> None:
        self.store = store
        self.failures: list[Exception] = []
        self.refused: dict[str, KubeError] = {}
        self.refusals: list[tuple[float, str]] = []
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
        if name in self.refused:
            self.refusals.append((asyncio.get_running_loop().time(), name))
            raise self.refused[name]
        status = msgspec.json.decode(body or b"")["status"]
        self.writes.append((name, status))
        known = self.store.get(f"shop/{name}")
        assert known is not None
        version = str(int(known.metadata.resource_version) + 1)
        meta = {"name": name, "namespace": "shop", "resourceVersion": version}
        return msgspec.json.encode({"metadata": meta, "status": {**known.status, **status}})


class Desk:
    """A writer over an API with some objects."""

    def __init__(self, names: Sequence[str] = ("a", "b")) -> None:
        self.store: Store[CustomObject] = Store()
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


async def test_writes_to_objects_that_are_gone_are_dropped() -> None:
    """A deleted object is not tried again."""
    desk = Desk()
    desk.api.failures = [NotFound("gone", status=404)]
    async with desk.running() as writer:
        writer.put("shop/a", want(1), ())
        writer.put("shop/unknown", want(3), ())
        await asyncio.sleep(100)
    assert desk.api.writes == []


REFUSALS = (
    Forbidden("no right", status=403),
    Invalid("a policy denied the request", status=422),
    Unreachable("failed calling webhook", status=500),
    Conflict("somebody else wrote", status=409),
)


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: str(error.status))
async def test_refused_objects_do_not_delay_others(error: KubeError) -> None:
    """Whatever concerns one object only lets all others' statuses through at once."""
    bad = [f"bad{number}" for number in range(30)]
    desk = Desk([*bad, "good"])
    desk.api.refused = dict.fromkeys(bad, error)
    async with desk.running() as writer:
        for name in bad:
            writer.put(f"shop/{name}", want(1), ())
        await asyncio.sleep(20)
        for count in range(10):
            writer.put("shop/good", want(count), ())
            await asyncio.sleep(0.25)
            assert desk.counts[-1] == ("good", count)


async def test_many_refused_objects_ask_rarely_and_are_all_right_soon() -> None:
    """A right that is missing for all costs a few requests per second; given, all are written."""
    names = [f"n{number}" for number in range(300)]
    desk = Desk(names)
    desk.api.refused = dict.fromkeys(names, Forbidden("no right", status=403))
    loop = asyncio.get_running_loop()
    async with desk.running() as writer:
        for name in names:
            writer.put(f"shop/{name}", want(1), ())
        await asyncio.sleep(300)
        late = [at for at, _ in desk.api.refusals if at > loop.time() - 100]
        assert 100 < len(late) <= 500
        assert {name for _, name in desk.api.refusals} == set(names)
        desk.api.refused.clear()
        # Thirty seconds until the last is due, and a tenth of a second for each write.
        await asyncio.sleep(30 + 30)
    assert sorted(desk.counts) == sorted((name, 1) for name in names)


async def test_refused_status_is_repeated_with_the_newest_words() -> None:
    """While an object rests, newer statuses replace the older one and do not shorten the rest."""
    desk = Desk()
    desk.api.refused = {"a": Forbidden("no right", status=403)}
    async with desk.running() as writer:
        writer.put("shop/a", want(0, lastDecision={"message": "m"}), ())
        for count in range(1, 600):
            writer.put("shop/a", want(count), ())
            await asyncio.sleep(0.1)
        assert len(desk.api.refusals) < 15
        desk.api.refused.clear()
        await asyncio.sleep(31)
        assert desk.api.writes == [
            ("a", {"desiredReplicas": 599, "lastDecision": {"message": "m"}})
        ]
        writer.put("shop/a", want(7), ())
        await asyncio.sleep(0.25)
    assert desk.counts[-1] == ("a", 7)


@pytest.mark.parametrize(
    "error",
    [TooManyRequests("slow down", status=429, retry_after_seconds=20.0), Unreachable("no answer")],
    ids=["429", "no answer"],
)
async def test_trouble_of_everybody_holds_all_back(error: KubeError) -> None:
    """An API server that asks for patience, or does not answer, is left alone by all."""
    desk = Desk()
    desk.api.failures = [error] * 20
    async with desk.running() as writer:
        for _ in range(10):
            writer.put("shop/a", want(1), ())
            writer.put("shop/b", want(2), ())
            await asyncio.sleep(1)
    least = 19 if error.retry_after_seconds else 10
    assert len(desk.api.failures) >= least
    assert desk.api.writes == []


async def test_object_forgotten_while_it_rests_is_not_written() -> None:
    """What a refused object wanted to say goes with it."""
    desk = Desk()
    desk.api.refused = {"a": Forbidden("no right", status=403)}
    async with desk.running() as writer:
        writer.put("shop/a", want(1), ())
        await asyncio.sleep(0.15)
        writer.forget("shop/a")
        desk.api.refused.clear()
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


async def test_flush_passes_over_a_refused_object() -> None:
    """One object whose status is refused takes nobody's last words away; it is tried once, too."""
    desk = Desk(["a", "b", "c"])
    desk.api.refused = {"a": Forbidden("no right", status=403)}
    async with desk.running() as writer:
        writer.put("shop/a", want(1), ())
        await asyncio.sleep(0.15)
    writer.put("shop/b", want(2), ())
    writer.put("shop/c", want(3), ())
    before = len(desk.api.refusals)
    await writer.flush()
    assert desk.counts == [("b", 2), ("c", 3)]
    assert len(desk.api.refusals) == before + 1
