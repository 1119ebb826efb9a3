"""The webhook's HTTP side, over a scripted reviewer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from autoscaler.api.problems import Problem, ProblemReason
from autoscaler.telemetry.metrics import Metrics
from autoscaler.web.admission import PATH, WAITING_MAX, Admission, AdmissionLimits
from autoscaler.web.admission_review import AdmissionRequest
from autoscaler.web.admission_rules import Verdict

REVIEW = {
    "apiVersion": "admission.k8s.io/v1",
    "kind": "AdmissionReview",
    "request": {
        "uid": "705ab4f5",
        "kind": {"group": "flyball.dev", "version": "v1alpha1", "kind": "ScaledObject"},
        "operation": "CREATE",
        "namespace": "shop",
        "object": {"kind": "ScaledObject", "metadata": {"name": "web", "namespace": "shop"}},
    },
}


class Scripted:
    """Answers what it is told, when it is told."""

    def __init__(self) -> None:
        self.verdict = Verdict()
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.sizes: list[bool] = []
        self.now = self.most = 0

    async def review(self, request: AdmissionRequest, *, is_large: bool = False) -> Verdict:
        self.sizes.append(is_large)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.may_answer.wait()
            if self.error is not None:
                raise self.error
            return self.verdict
        finally:
            self.now -= 1


class World:
    """A webhook and a client."""

    def __init__(self, **limits: Any) -> None:
        self.reviewer = Scripted()
        self.metrics = Metrics()
        self.admission = Admission(self.reviewer, self.metrics, limits=AdmissionLimits(**limits))
        self.session: aiohttp.ClientSession

    async def post(self, body: Any = REVIEW) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        async with self.session.post(PATH, data=data) as response:
            text = await response.read()
        return response.status, msgspec.json.decode(text) if response.status == 200 else text

    def counted(self, outcome: str, kind: str = "ScaledObject", action: str = "create") -> float:
        series = self.metrics.webhook_validations.labels(kind, action, outcome)
        return sum(sample.value for sample in series.collect()[0].samples[:1])


@asynccontextmanager
async def served(**limits: Any) -> AsyncIterator[World]:
    """Serve a scripted webhook on loopback, without TLS."""
    world = World(**limits)
    runner = web.AppRunner(world.admission.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(url, connector=connector) as world.session:
            yield world
    finally:
        await runner.cleanup()


async def test_an_accepted_object_is_answered_in_the_words_of_the_api() -> None:
    """The answer repeats the uid; nothing found leaves out status and warnings."""
    async with served() as world:
        status, answer = await world.post()
        assert status == 200
        assert answer == {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": {"uid": "705ab4f5", "allowed": True},
        }
        assert world.counted("allowed") == 1


async def test_a_refused_object_gets_every_cause() -> None:
    """The status is that of a validation error: message for people, causes for programs."""
    async with served() as world:
        world.reviewer.verdict = Verdict(
            (
                Problem("spec.triggers", "needs at least one trigger", ProblemReason.REQUIRED),
                Problem("spec.cooldownPeriod", "has no effect", is_warning=True),
                Problem("spec.minReplicaCount", "must be at most 2", ProblemReason.INVALID),
            )
        )
        _, answer = await world.post()
        response = answer["response"]
        assert response["allowed"] is False
        assert response["warnings"] == ["spec.cooldownPeriod: has no effect"]
        assert response["status"] == {
            "code": 422,
            "reason": "Invalid",
            "message": "ScaledObject shop/web: spec.triggers: needs at least one trigger; "
            "spec.minReplicaCount: must be at most 2",
            "details": {
                "name": "web",
                "group": "flyball.dev",
                "kind": "ScaledObject",
                "causes": [
                    {
                        "reason": "FieldValueRequired",
                        "message": "needs at least one trigger",
                        "field": "spec.triggers",
                    },
                    {
                        "reason": "FieldValueInvalid",
                        "message": "must be at most 2",
                        "field": "spec.minReplicaCount",
                    },
                ],
            },
        }
        assert world.counted("rejected") == 1


async def test_answers_are_bounded_however_much_is_wrong() -> None:
    """Ten thousand problems make neither a huge message nor a huge list."""
    async with served() as world:
        world.reviewer.verdict = Verdict(
            tuple(Problem(f"spec.triggers[{n}].name", "is wrong") for n in range(10_000))
            + tuple(Problem("spec.x", "odd " * 1000, is_warning=True) for _ in range(1000))
        )
        _, answer = await world.post()
        response = answer["response"]
        assert len(response["status"]["message"]) <= 4096
        assert len(response["status"]["details"]["causes"]) == 100
        assert sum(map(len, response["warnings"])) <= 4096


async def test_what_is_not_examined_is_counted_apart() -> None:
    """Objects passed unseen are allowed, as skipped."""
    async with served() as world:
        world.reviewer.verdict = Verdict(was_examined=False)
        _, answer = await world.post()
        assert answer["response"]["allowed"] is True
        assert world.counted("skipped") == 1


async def test_labels_are_bounded() -> None:
    """Kinds and operations nobody knows do not become series."""
    async with served() as world:
        request = {**REVIEW["request"], "kind": {"kind": "Sofa"}, "operation": "SIT"}
        assert (await world.post({**REVIEW, "request": request}))[0] == 200
        assert world.counted("allowed", "other", "other") == 1


async def test_bodies_that_are_no_review_are_refused() -> None:
    """Whatever is sent, the answer is 400 and says why."""
    bodies = (
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"a":' * 100_000,
        b"[" * 500_000,
        {"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": {}},
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"},
        {**REVIEW, "request": {"uid": "1", "object": 5}},
        {**REVIEW, "kind": "Pod"},
    )
    async with served() as world:
        for body in bodies:
            status, text = await world.post(body)
            assert status == 400, body[:20]
            assert text.strip()
        assert world.counted("malformed", "other", "other") == len(bodies)
        assert world.reviewer.sizes == []


async def test_long_bodies_are_refused_and_large_ones_marked() -> None:
    """A body beyond the limit is 413; one that takes long to check goes off the loop."""
    async with served(body_bytes=100_000) as world:
        for filler, status in ((200_000, 413), (50_000, 200), (0, 200)):
            raw = {**REVIEW["request"]["object"], "spec": "x" * filler}
            request = {**REVIEW["request"], "object": raw}
            assert (await world.post({**REVIEW, "request": request}))[0] == status
        assert world.reviewer.sizes == [True, False]
        assert world.counted("too_large", "other", "other") == 1


async def test_concurrency_is_bounded_and_so_is_waiting() -> None:
    """So many at a time, four times as many wait, the rest is sent away at once."""
    async with served(concurrent=2) as world:
        world.reviewer.may_answer.clear()
        held, refused = 2 * (1 + WAITING_MAX), 3
        posted = {asyncio.ensure_future(world.post()) for _ in range(held + refused)}
        done: set[Any] = set()
        while len(done) < refused:
            some, posted = await asyncio.wait(posted, return_when=asyncio.FIRST_COMPLETED)
            done |= some
        assert {task.result() for task in done} == {(503, b"too many reviews at the same time\n")}
        world.reviewer.may_answer.set()
        late, _ = await asyncio.wait(posted)
        assert [task.result()[0] for task in late] == [200] * held
        assert world.reviewer.most == 2
        assert world.counted("busy", "other", "other") == refused


async def test_a_review_that_takes_too_long_is_given_up() -> None:
    """The API server hears in time that there is no verdict, and its place is free again."""
    async with served(concurrent=1, timeout_seconds=0.05) as world:
        world.reviewer.may_answer.clear()
        status, text = await world.post()
        assert (status, text) == (503, b"not reviewed within 0.05 s\n")
        world.reviewer.may_answer.set()
        assert (await world.post())[0] == 200
        assert world.counted("timeout", "other", "other") == 1


async def test_a_defect_of_ours_is_no_verdict() -> None:
    """An unforeseen error is 500 without details, counted, and the next review works."""
    async with served() as world:
        world.reviewer.error = RuntimeError("secret detail")
        status, text = await world.post()
        assert status == 500
        assert b"secret" not in text
        assert world.counted("error") == 1
        world.reviewer.error = None
        assert (await world.post())[0] == 200


async def test_there_is_nothing_else_to_find() -> None:
    """Only the review path and a health path answer."""
    async with served() as world:
        assert (await world.session.get("/healthz")).status == 200
        assert (await world.session.get(PATH)).status == 405
        assert (await world.session.post("/")).status == 404
