"""Status writes, behind everything else: they wait for each other, scaling never waits for them."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

import msgspec
import structlog

from autoscaler.controller.objects import resource_of
from autoscaler.core.model import Condition
from autoscaler.errors import KubeError, NotFound, TooManyRequests
from autoscaler.kube.codec import CustomObject
from autoscaler.kube.resources import Resource
from autoscaler.kube.status import write_status
from autoscaler.kube.transport import KubeClient
from autoscaler.runtime.backoff import Backoff
from autoscaler.runtime.clock import Clock

KEPT: Final = "lastDecision"
"""Told once per change; a later status without it must not lose one that was not written yet."""

RETRY_SECONDS_MAX: Final = 5.0
"""When nobody's status can be written. One write at a time: trying this often spares an API server
in trouble enough, and what users see is soon right again when it is back."""

OBJECT_RETRY_SECONDS_MAX: Final = 30.0
"""When one object's status is refused: a right, a policy or a webhook has to change first."""

REFUSED_SPACING_SECONDS: Final = 0.2
"""Least time from a refusal to the next repetition: however many objects are refused, they take a
few requests per second of the rate shared with scaling."""

TIMER_SLACK_SECONDS: Final = 0.001
"""Timers may fire this early; waiting anew for the rest of it would be a hot loop."""

EVERYBODYS: Final = frozenset({0, 401, 502, 503, 504})
"""HTTP statuses (0 = no answer) that say nothing about the object: the next write meets them, too.
A refusing or failing admission webhook is 4xx or 500."""

log = structlog.get_logger(__name__)


class WrittenObjects(Protocol):
    """The objects whose status is written."""

    def get(self, key: str) -> CustomObject | None:
        """Return an object."""
        ...

    def wrote(self, key: str, resource_version: str, item: CustomObject | None = None) -> None:
        """Note a write of ours."""
        ...


class _Wanted(msgspec.Struct, frozen=True):
    status: Mapping[str, Any]
    conditions: tuple[Condition, ...]


class _Resting(msgspec.Struct):
    """A status that was refused.

    Attributes:
        wanted: What to write.
        due_at: When to try again, ``loop.time()``.
    """

    wanted: _Wanted
    due_at: float


class StatusWriter:
    """Writes the newest wanted status of each object, one object at a time.

    The API server is asked at a bounded rate. Were statuses written by whoever scales, a thousand
    of them (after a start, say) would stand before the next scale in the queue; here at most one
    does. An object waits at most once: a newer status takes the place of an older one. An object
    whose status is refused rests, so that it is not in the way of others.

    Args:
        client: Connection.
        objects: The scaling objects; sees our writes at once.
        resource: Kind of the objects; the group is each object's own.
        clock: For condition times.
        rng: Jitter of repetitions.
    """

    def __init__(
        self,
        client: KubeClient,
        objects: WrittenObjects,
        *,
        resource: Resource,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._client = client
        self._objects = objects
        self._resource = resource
        self._clock = clock
        self._rng = rng
        self._backoff = Backoff(rng, cap_seconds=RETRY_SECONDS_MAX)
        self._waiting: OrderedDict[str, _Wanted] = OrderedDict()
        self._resting: dict[str, _Resting] = {}
        # May name objects that rest no longer, or longer.
        self._due: list[tuple[float, str]] = []
        self._backoffs: dict[str, Backoff] = {}
        self._no_repetition_before = 0.0
        self._pending = asyncio.Event()

    def put(self, key: str, status: Mapping[str, Any], conditions: tuple[Condition, ...]) -> None:
        """Want a status; returns at once.

        Args:
            key: ``namespace/name`` of the object.
            status: Fields to set; None removes one.
            conditions: To merge into the stored ones.
        """
        wanted = _Wanted(status, conditions)
        resting = self._resting.get(key)
        if resting is not None:
            resting.wanted = _newest(resting.wanted, wanted)
            return
        self._waiting[key] = _newest(self._waiting.get(key), wanted)
        self._pending.set()

    def forget(self, key: str) -> None:
        """Drop what a deleted object waits for."""
        self._waiting.pop(key, None)
        self._resting.pop(key, None)
        self._backoffs.pop(key, None)

    async def run(self) -> None:
        """Write until cancelled (root task)."""
        loop = asyncio.get_running_loop()
        while True:
            found = self._take(loop.time())
            if found is None:
                await self._wait(loop.time())
                continue
            key, wanted = found
            error = await self._write(key, wanted)
            if error is None:
                self._backoffs.pop(key, None)
                self._backoff.reset()
                continue
            at_least = error.retry_after_seconds or 0.0
            if _is_everybodys(error):
                # To the end of the line: whatever it is, it may still be this object's fault.
                self._waiting[key] = _newest(wanted, self._waiting.pop(key, None))
                delay = self._backoff.next_delay(loop.time(), at_least=at_least)
                log.warning("status_not_written", object=key, error=str(error), retry_seconds=delay)
                await asyncio.sleep(delay)
                continue
            self._backoff.reset()
            delay = self._rest(key, wanted, loop.time(), at_least=at_least)
            log.warning("status_refused", object=key, error=str(error), retry_seconds=delay)

    async def flush(self) -> None:
        """Write what still waits, each once, without repetition."""
        resting = {key: one.wanted for key, one in self._resting.items()}
        # Those that were refused come last: there may be no time for all.
        left = {**self._waiting, **resting}
        self._waiting.clear()
        self._resting.clear()
        for key, wanted in left.items():
            error = await self._write(key, wanted)
            if error is not None:
                log.warning("status_not_written", object=key, error=str(error))
                if _is_everybodys(error):
                    return

    def _take(self, now: float) -> tuple[str, _Wanted] | None:
        """Take out what is to be written now: a repetition that is due, else who waited longest."""
        due_at = self._next_due_at()
        if due_at is not None and due_at <= now + TIMER_SLACK_SECONDS:
            _, key = heapq.heappop(self._due)
            return key, self._resting.pop(key).wanted
        return self._waiting.popitem(last=False) if self._waiting else None

    def _next_due_at(self) -> float | None:
        """Return when the next repetition may be, ``loop.time()``; None when nobody rests."""
        while self._due:
            due_at, key = self._due[0]
            resting = self._resting.get(key)
            if resting is not None and resting.due_at == due_at:
                return max(due_at, self._no_repetition_before)
            heapq.heappop(self._due)
        return None

    async def _wait(self, now: float) -> None:
        """Wait until there may be something to write: nothing waits, all that is left rests."""
        self._pending.clear()
        due_at = self._next_due_at()
        with suppress(TimeoutError):
            async with asyncio.timeout(None if due_at is None else due_at - now):
                await self._pending.wait()

    def _rest(self, key: str, wanted: _Wanted, now: float, *, at_least: float) -> float:
        """Put an object aside whose status was refused; returns for how long (seconds)."""
        backoff = self._backoffs.get(key)
        if backoff is None:
            backoff = Backoff(self._rng, cap_seconds=OBJECT_RETRY_SECONDS_MAX)
            self._backoffs[key] = backoff
        delay = backoff.next_delay(now, at_least=at_least)
        newest = _newest(wanted, self._waiting.pop(key, None))
        self._resting[key] = _Resting(newest, now + delay)
        heapq.heappush(self._due, (now + delay, key))
        self._no_repetition_before = now + REFUSED_SPACING_SECONDS
        return delay

    async def _write(self, key: str, wanted: _Wanted) -> KubeError | None:
        """Write a status; returns why it was not written, None where nothing is left to do."""
        item = self._objects.get(key)
        if item is None:
            return None
        try:
            written = await write_status(
                self._client,
                resource_of(self._resource, item),
                item,
                wanted.status,
                conditions=wanted.conditions,
                at=self._clock.now(),
            )
        except NotFound:
            return None
        except KubeError as error:
            return error
        if written is not None:
            self._objects.wrote(key, written.metadata.resource_version, written)
        return None


def _newest(before: _Wanted | None, after: _Wanted | None) -> _Wanted:
    """Return what to write of two wishes, with the word about a change that is in either."""
    if before is None or after is None:
        found = before or after
        assert found is not None
        return found
    if KEPT in before.status and KEPT not in after.status:
        return _Wanted({**after.status, KEPT: before.status[KEPT]}, after.conditions)
    return after


def _is_everybodys(error: KubeError) -> bool:
    """Whether an error would meet any other object's status, too."""
    return isinstance(error, TooManyRequests) or error.status in EVERYBODYS
