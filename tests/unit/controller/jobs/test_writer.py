"""Creating and deleting jobs when the API server answers, refuses, or says nothing."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest

from autoscaler.controller.jobs.writer import (
    CREATIONS_MAX,
    INSIST_SECONDS,
    WRITES_AT_ONCE,
    JobWriter,
    Unsettled,
)
from autoscaler.errors import Conflict, Forbidden, KubeError, NotFound, Unreachable
from autoscaler.kube.codec import SlimMeta
from autoscaler.kube.jobs import JobView
from autoscaler.kube.store import Store
from autoscaler.kube.transport import KubeClient

pytestmark = pytest.mark.looptime

BODY = {"metadata": {"generateName": "mail-", "namespace": "shop"}}


class Api:
    """An API server for jobs whose requests may go wrong before or after they are executed."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.before: Callable[[str, str], KubeError | None] = lambda _verb, _name: None
        self.after: Callable[[str, str], KubeError | None] = lambda _verb, _name: None
        self.seconds = 0.0
        self.busy = self.busiest = 0

    async def request(
        self, method: str, path: str, *, body: bytes | None = None, **_: object
    ) -> bytes:
        """Answer as an API server."""
        sent = msgspec.json.decode(body) if body else {}
        name = sent["metadata"]["name"] if method == "POST" else path.rpartition("/")[2]
        self.asked.append((method, name))
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            await asyncio.sleep(self.seconds)
            answer = self._answer(method, name, sent)
        finally:
            self.busy -= 1
        return msgspec.json.encode(answer)

    def _answer(self, method: str, name: str, sent: dict[str, Any]) -> Any:
        error = self.before(method, name)
        if error is None:
            error, answer = self._execute(method, name, sent)
            error = error or self.after(method, name)
        if error is not None:
            raise error
        return answer

    def _execute(
        self, method: str, name: str, sent: dict[str, Any]
    ) -> tuple[KubeError | None, dict[str, Any]]:
        if method == "POST":
            if name in self.jobs:
                return Conflict("exists", status=409, api_reason="AlreadyExists"), {}
            meta = {**sent["metadata"], "uid": name, "resourceVersion": str(len(self.jobs) + 1)}
            self.jobs[name] = {"metadata": meta}
        if name not in self.jobs:
            return NotFound("no such job", status=404), {}
        return None, self.jobs.pop(name) if method == "DELETE" else self.jobs[name]


class Desk:
    """A writer and what it writes to; jobs are called mail-0, mail-1 and so on."""

    def __init__(self) -> None:
        self.api = Api()
        self.store: Store[JobView] = Store()
        numbers = itertools.count()
        client = cast("KubeClient", self.api)
        self.writer = JobWriter(client, self.store, suffix=lambda: str(next(numbers)))
        self.unsettled: dict[str, Unsettled] = {}

    async def create(self, count: int) -> tuple[int, dict[str, int]]:
        """Create jobs; returns how many, and failures by reason."""
        outcomes = await self.writer.create(BODY, count, self.unsettled)
        return outcomes.done, {reason: n for reason, (n, _) in outcomes.failures.items()}

    async def settle(self) -> tuple[int, dict[str, int]]:
        """Find out about unanswered creations."""
        outcomes = await self.writer.settle(self.unsettled)
        return outcomes.done, {reason: n for reason, (n, _) in outcomes.failures.items()}


def once(error: KubeError, name: str) -> Callable[[str, str], KubeError | None]:
    """Return a fault of the first request about a job."""
    left = [error]
    return lambda _verb, asked: left.pop() if asked == name and left else None


async def test_created_jobs_are_known_at_once() -> None:
    """The store has what was created before any watch says so."""
    desk = Desk()
    assert await desk.create(3) == (3, {})
    assert sorted(desk.store.keys()) == ["shop/mail-0", "shop/mail-1", "shop/mail-2"]
    assert desk.unsettled == {}


async def test_only_some_requests_are_under_way_at_a_time() -> None:
    """However many jobs are wanted, also by several ScaledJobs, the API server is not flooded."""
    desk = Desk()
    desk.api.seconds = 1.0
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(desk.create(20))
    assert len(desk.api.jobs) == 60
    assert desk.api.busiest == WRITES_AT_ONCE
    assert asyncio.get_running_loop().time() == 6.0


async def test_one_decision_creates_a_bounded_number() -> None:
    """A queue of a million does not become a million requests."""
    desk = Desk()
    assert await desk.create(10 * CREATIONS_MAX) == (CREATIONS_MAX, {})


async def test_after_a_refusal_no_more_are_asked_for() -> None:
    """What is refused once will be refused again; what was under way is counted."""
    desk = Desk()
    desk.api.seconds = 1.0
    desk.api.before = lambda _verb, _name: Forbidden("no right", status=403)
    created, failures = await desk.create(100)
    assert (created, failures) == (0, {"Forbidden": WRITES_AT_ONCE})
    assert len(desk.api.asked) == WRITES_AT_ONCE
    assert desk.unsettled == {}


async def test_a_lost_answer_does_not_make_a_second_job() -> None:
    """The job was created, nobody heard of it; asking again for the same name tells."""
    desk = Desk()
    desk.api.after = once(Unreachable("reset"), "mail-1")
    assert await desk.create(2) == (1, {"Unreachable": 1})
    assert list(desk.unsettled) == ["mail-1"]
    assert await desk.settle() == (1, {})
    assert (len(desk.api.jobs), desk.unsettled) == (2, {})
    assert desk.store.get("shop/mail-1") is not None


async def test_an_unanswered_request_that_was_not_executed_is_repeated() -> None:
    """The job is still wanted a moment later."""
    desk = Desk()
    desk.api.before = once(Unreachable("refused"), "mail-0")
    assert await desk.create(1) == (0, {"Unreachable": 1})
    assert await desk.settle() == (1, {})
    assert list(desk.api.jobs) == ["mail-0"]


async def test_what_stays_unanswered_stays_unsettled() -> None:
    """As long as nobody answers, the job counts as one that may exist."""
    desk = Desk()
    desk.api.before = lambda _verb, _name: Unreachable("refused")
    await desk.create(1)
    for _ in range(3):
        assert await desk.settle() == (0, {"Unreachable": 1})
    assert list(desk.unsettled) == ["mail-0"]


@pytest.mark.parametrize("was_executed", [True, False])
async def test_an_old_request_is_only_looked_for(*, was_executed: bool) -> None:
    """After a long outage the job may no longer be wanted: it is found, or forgotten."""
    desk = Desk()
    fault = once(Unreachable("reset"), "mail-0")
    if was_executed:
        desk.api.after = fault
    else:
        desk.api.before = fault
    await desk.create(1)
    await asyncio.sleep(INSIST_SECONDS)
    assert await desk.settle() == (int(was_executed), {})
    assert (len(desk.api.jobs), desk.unsettled) == (int(was_executed), {})


async def test_the_watch_may_settle_what_the_answer_did_not() -> None:
    """A job that has shown up needs no request."""
    desk = Desk()
    desk.api.after = once(Unreachable("reset"), "mail-0")
    await desk.create(1)
    desk.store.put(JobView(metadata=SlimMeta(name="mail-0", namespace="shop", uid="u")))
    asked = len(desk.api.asked)
    assert await desk.settle() == (1, {})
    assert len(desk.api.asked) == asked


async def test_a_cancelled_creation_is_unsettled() -> None:
    """Whatever ends a reconcile in the middle, no job is forgotten."""
    desk = Desk()
    desk.api.seconds = 10.0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await desk.create(20)
    assert len(desk.unsettled) == WRITES_AT_ONCE
    desk.api.seconds = 0.0
    assert await desk.settle() == (WRITES_AT_ONCE, {})


async def test_a_name_that_is_taken_is_not_ours() -> None:
    """Somebody else's job of that name is not counted as created."""
    desk = Desk()
    desk.api.jobs["mail-0"] = {"metadata": {"name": "mail-0", "namespace": "shop", "uid": "x"}}
    assert await desk.create(1) == (0, {"Conflict": 1})
    assert desk.unsettled == {}


async def test_deletion_goes_on_after_a_failure() -> None:
    """One job that cannot be deleted does not keep the others; done ones are told."""
    desk = Desk()
    await desk.create(3)
    desk.api.before = once(Unreachable("reset"), "mail-1")
    told: list[str] = []
    outcomes = await desk.writer.delete(
        list(desk.store), lambda job: told.append(job.metadata.name)
    )
    assert (outcomes.done, sorted(told)) == (2, ["mail-0", "mail-2"])
    assert outcomes.error == "reset"
