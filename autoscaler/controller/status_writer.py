"""Status writes, behind everything else: they wait for each other, scaling never waits for them."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec
import structlog

from autoscaler.controller.objects import resource_of
from autoscaler.core.model import Condition
from autoscaler.errors import Invalid, KubeError, NotFound
from autoscaler.kube.codec import CustomObject
from autoscaler.kube.resources import Resource
from autoscaler.kube.status import write_status
from autoscaler.kube.transport import KubeClient
from autoscaler.runtime.backoff import Backoff
from autoscaler.runtime.clock import Clock

KEPT: Final = "lastDecision"
"""Told once per change; a later status without it must not lose one that was not written yet."""

RETRY_SECONDS_MAX: Final = 5.0
"""One write at a time: trying this often spares an API server in trouble enough, and what users see
is soon right again when it is back."""

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


class StatusWriter:
    """Writes the newest wanted status of each object, one object at a time.

    The API server is asked at a bounded rate. Were statuses written by whoever scales, a thousand
    of them (after a start, say) would stand before the next scale in the queue; here at most one
    does. An object waits at most once: a newer status takes the place of an older one.

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
        self._backoff = Backoff(rng, cap_seconds=RETRY_SECONDS_MAX)
        self._waiting: OrderedDict[str, _Wanted] = OrderedDict()
        self._pending = asyncio.Event()

    def put(self, key: str, status: Mapping[str, Any], conditions: tuple[Condition, ...]) -> None:
        """Want a status; returns at once.

        Args:
            key: ``namespace/name`` of the object.
            status: Fields to set; None removes one.
            conditions: To merge into the stored ones.
        """
        before = self._waiting.get(key)
        if before is not None and KEPT in before.status and KEPT not in status:
            status = {**status, KEPT: before.status[KEPT]}
        self._waiting[key] = _Wanted(status, conditions)
        self._pending.set()

    def forget(self, key: str) -> None:
        """Drop what a deleted object waits for."""
        self._waiting.pop(key, None)

    async def run(self) -> None:
        """Write until cancelled (root task)."""
        while True:
            await self._pending.wait()
            key, error = await self._write_next()
            if error is None:
                self._backoff.reset()
                continue
            delay = self._backoff.next_delay(
                asyncio.get_running_loop().time(), at_least=error.retry_after_seconds or 0.0
            )
            log.warning("status_not_written", object=key, error=str(error), retry_seconds=delay)
            await asyncio.sleep(delay)

    async def flush(self) -> None:
        """Write what still waits, each once, without repetition."""
        for _ in range(len(self._waiting)):
            key, error = await self._write_next()
            if error is not None:
                log.warning("status_not_written", object=key, error=str(error))
                return

    async def _write_next(self) -> tuple[str, KubeError | None]:
        """Write the status that has waited longest; one that fails goes to the end of the line."""
        if not self._waiting:
            self._pending.clear()
            return "", None
        key, wanted = self._waiting.popitem(last=False)
        item = self._objects.get(key)
        if item is None:
            return key, None
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
            return key, None
        except Invalid as error:
            # The same words would be refused again.
            log.warning("status_refused", object=key, error=str(error))
            return key, None
        except KubeError as error:
            self._waiting.setdefault(key, wanted)
            return key, error
        if written is not None:
            self._objects.wrote(key, written.metadata.resource_version, written)
        return key, None
