"""Creating and deleting jobs: several at a time, never one twice, each outcome known for certain.

A request that is not answered may have been executed. Its job keeps its name and is *unsettled*: it
counts as created until asking again tells. Job names are ours, so asking again for the same one
finds out instead of creating a second job.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final, TypeVar

import msgspec

from autoscaler.controller.jobs.template import named
from autoscaler.errors import Conflict, KubeError
from autoscaler.kube.jobs import JobView, create_job, delete_job, read_job
from autoscaler.kube.store import Store
from autoscaler.kube.transport import KubeClient

T = TypeVar("T")

WRITES_AT_ONCE: Final = 10
CREATIONS_MAX: Final = 1000
"""Jobs created for one decision at most; what is missing then is up to the next reading."""
INSIST_SECONDS: Final = 30.0
"""How long an unanswered creation is asked for again; later it is only looked for."""
SUFFIX_BYTES: Final = 4
ALREADY_EXISTS: Final = "AlreadyExists"
CERTAIN: Final = range(400, 500)
"""Statuses after which a request has certainly not been executed."""


class Unsettled(msgspec.Struct, frozen=True):
    """A job that may or may not have been created.

    Attributes:
        body: As asked for, with its name.
        asked_at: First, by the loop's clock.
    """

    body: Mapping[str, Any]
    asked_at: float


class Outcomes(msgspec.Struct):
    """What became of some writes.

    Attributes:
        done: Jobs that were created, or deleted.
        failures: By the error's reason: how often, and the first of them.
    """

    done: int = 0
    failures: dict[str, tuple[int, KubeError]] = {}

    def failed(self, error: KubeError) -> None:
        """Count a failure."""
        count, first = self.failures.get(error.reason, (0, error))
        self.failures[error.reason] = (count + 1, first)

    @property
    def error(self) -> str:
        """The first failures of each kind, for people; empty when there are none."""
        return "; ".join(str(first) for _, first in self.failures.values())


class JobWriter:
    """Writes jobs, a bounded number at a time for all ScaledJobs together.

    Args:
        client: Connection.
        store: Gets created jobs at once, so that the next decision counts them.
        suffix: Makes the end of a job's name, different each time.
    """

    def __init__(
        self,
        client: KubeClient,
        store: Store[JobView],
        *,
        suffix: Callable[[], str] = lambda: secrets.token_hex(SUFFIX_BYTES),
    ) -> None:
        self._client = client
        self._store = store
        self._suffix = suffix
        self._slots = asyncio.Semaphore(WRITES_AT_ONCE)

    async def create(
        self, body: dict[str, Any], count: int, unsettled: MutableMapping[str, Unsettled]
    ) -> Outcomes:
        """Create jobs; after a failure no further ones are tried.

        Args:
            body: Of each job, without its name.
            count: How many.
            unsettled: Gets the jobs whose creation was not answered, by name; also those of a
                cancelled call.
        """
        outcomes = Outcomes()
        suffixes = (self._suffix() for _ in range(min(count, CREATIONS_MAX)))
        jobs = (named(body, suffix) for suffix in suffixes)

        async def one(job: dict[str, Any]) -> None:
            if not outcomes.failures:
                now = asyncio.get_running_loop().time()
                unsettled[job["metadata"]["name"]] = Unsettled(job, now)
                await self._ask(job, unsettled, outcomes, is_first=True)

        await self._each(jobs, one)
        return outcomes

    async def settle(self, unsettled: MutableMapping[str, Unsettled]) -> Outcomes:
        """Find out about jobs whose creation was not answered; what stays in is still unknown.

        A young request is repeated: it was wanted a moment ago. For an old one it is only looked
        whether it was executed.
        """
        outcomes = Outcomes()

        async def one(wanted: tuple[str, Unsettled]) -> None:
            name, job = wanted
            namespace = job.body["metadata"]["namespace"]
            if self._store.get(f"{namespace}/{name}") is not None:
                del unsettled[name]
                outcomes.done += 1
            elif asyncio.get_running_loop().time() - job.asked_at < INSIST_SECONDS:
                await self._ask(job.body, unsettled, outcomes, is_first=False)
            else:
                await self._look(job.body, unsettled, outcomes)

        await self._each(list(unsettled.items()), one)
        return outcomes

    async def delete(
        self,
        jobs: Iterable[JobView],
        on_deleted: Callable[[JobView], None],
        *,
        propagation_policy: str = "Background",
    ) -> Outcomes:
        """Delete jobs and their pods; one failure does not keep the others.

        Args:
            jobs: Which.
            on_deleted: Called for each that the API server accepted to delete.
            propagation_policy: ``Background`` or ``Foreground``.
        """
        outcomes = Outcomes()

        async def one(job: JobView) -> None:
            try:
                await delete_job(self._client, job, propagation_policy=propagation_policy)
            except KubeError as error:
                outcomes.failed(error)
            else:
                outcomes.done += 1
                on_deleted(job)

        await self._each(jobs, one)
        return outcomes

    async def _ask(
        self,
        job: Mapping[str, Any],
        unsettled: MutableMapping[str, Unsettled],
        outcomes: Outcomes,
        *,
        is_first: bool,
    ) -> None:
        meta = job["metadata"]
        try:
            created = await create_job(self._client, meta["namespace"], job)
        except KubeError as error:
            exists = isinstance(error, Conflict) and error.api_reason == ALREADY_EXISTS
            if exists and not is_first:
                await self._look(job, unsettled, outcomes)
                return
            if error.status in CERTAIN:
                del unsettled[meta["name"]]
            outcomes.failed(error)
            return
        self._store.put(created)
        del unsettled[meta["name"]]
        outcomes.done += 1

    async def _look(
        self,
        job: Mapping[str, Any],
        unsettled: MutableMapping[str, Unsettled],
        outcomes: Outcomes,
    ) -> None:
        meta = job["metadata"]
        try:
            found = await read_job(self._client, meta["namespace"], meta["name"])
        except KubeError as error:
            outcomes.failed(error)
            return
        del unsettled[meta["name"]]
        if found is not None:
            self._store.put(found)
            outcomes.done += 1

    async def _each(self, items: Iterable[T], write: Callable[[T], Awaitable[None]]) -> None:
        """Call ``write`` for each item, several at a time."""
        left = iter(items)

        async def work() -> None:
            for item in left:
                async with self._slots:
                    await write(item)

        async with asyncio.TaskGroup() as group:
            for _ in range(WRITES_AT_ONCE):
                group.create_task(work(), name="write-jobs")
