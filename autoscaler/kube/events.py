"""Kubernetes events: counted up instead of repeated, rate limited, and never in the way.

Events are for people and may be lost; the service must not slow down or fail over them. So they are
queued, coalesced while they wait, and written by a task of their own.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, Final

import msgspec
import structlog

from autoscaler.errors import Conflict, KubeError, NotFound
from autoscaler.kube.codec import ObjectMeta
from autoscaler.kube.resources import EVENTS, Resource
from autoscaler.kube.scale import MERGE_PATCH
from autoscaler.kube.status import timestamp
from autoscaler.kube.transport import KubeClient
from autoscaler.runtime.clock import Clock
from autoscaler.runtime.throttle import TokenBucket

MESSAGE_CHARACTERS: Final = 1024
REMEMBERED_EVENTS: Final = 4096
REPEAT_SECONDS: Final = 600.0
"""An event seen again within this time is counted up; later it is a new one."""
DISTINCT_MESSAGES_MAX: Final = 10
"""More different messages of one object and reason in that time are folded into one event."""
WRITES_PER_SECOND: Final = 5.0
WRITES_BURST: Final = 50

_log = structlog.get_logger(__name__)


class ObjectReference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The object an event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str = ""
    resource_version: str = ""

    @classmethod
    def to(cls, resource: Resource, metadata: ObjectMeta) -> ObjectReference:
        """Build the reference to an object."""
        return cls(
            api_version=resource.api_version,
            kind=resource.kind,
            namespace=metadata.namespace,
            name=metadata.name,
            uid=metadata.uid,
            resource_version=metadata.resource_version,
        )

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What stays the same while the object lives."""
        return (self.kind, self.namespace, self.name, self.uid)


class _Key(msgspec.Struct, frozen=True):
    """Events with the same key are one event that happened again; a folded one has no message."""

    about: tuple[str, str, str, str]
    type: str
    reason: str
    message: str


class _Waiting(msgspec.Struct):
    about: ObjectReference
    message: str
    first_at: float
    last_at: float
    count: int = 1


class _Written(msgspec.Struct):
    name: str
    count: int
    last_at: float


class _Burst(msgspec.Struct):
    """Different messages of one object and reason since ``started_at``."""

    started_at: float
    messages: set[str]


class EventRecorder:
    """Takes events at any time and writes them from its own root task.

    Args:
        client: Connection.
        clock: For time stamps.
        component: Who reports.
        limit: Distinct events waiting at most; further ones are dropped and counted.
    """

    def __init__(
        self,
        client: KubeClient,
        clock: Clock,
        *,
        component: str = "flyball",
        limit: int = 1000,
    ) -> None:
        self._client = client
        self._clock = clock
        self._component = component
        self._limit = limit
        self._bucket = TokenBucket(WRITES_PER_SECOND, WRITES_BURST)
        self._waiting: OrderedDict[_Key, _Waiting] = OrderedDict()
        self._written: OrderedDict[_Key, _Written] = OrderedDict()
        self._bursts: OrderedDict[tuple[object, ...], _Burst] = OrderedDict()
        self._sequence = 0
        self._pending = asyncio.Event()
        self.dropped = 0
        """Events lost to the limit or to errors, since the start."""

    def record(self, about: ObjectReference, type_: str, reason: str, message: str) -> None:
        """Queue an event; returns at once and never raises.

        Args:
            about: The object.
            type_: ``Normal`` or ``Warning``.
            reason: CamelCase.
            message: For people; cut to what the API accepts.
        """
        now = self._clock.now()
        text = message[:MESSAGE_CHARACTERS]
        key = self._key(about, type_, reason, text, now)
        known = self._waiting.get(key)
        if known is not None:
            known.count += 1
            known.last_at = now
            known.message = text
            return
        if len(self._waiting) >= self._limit:
            self.dropped += 1
            return
        self._waiting[key] = _Waiting(about=about, message=text, first_at=now, last_at=now)
        self._pending.set()

    async def run(self) -> None:
        """Write queued events until cancelled (root task)."""
        while True:
            await self._pending.wait()
            await self._bucket.acquire()
            await self._write_next()

    async def flush(self) -> None:
        """Write what is queued now, without rate limit (last words before closing)."""
        while self._waiting:
            await self._write_next()

    def _key(
        self, about: ObjectReference, type_: str, reason: str, message: str, now: float
    ) -> _Key:
        series = (about.identity, type_, reason)
        burst = self._bursts.get(series)
        if burst is None or now - burst.started_at > REPEAT_SECONDS:
            burst = self._bursts[series] = _Burst(started_at=now, messages=set())
        self._bursts.move_to_end(series)
        _keep_newest(self._bursts)
        if message not in burst.messages and len(burst.messages) >= DISTINCT_MESSAGES_MAX:
            message = ""
        else:
            burst.messages.add(message)
        return _Key(about.identity, type_, reason, message)

    async def _write_next(self) -> None:
        if not self._waiting:
            self._pending.clear()
            return
        key, event = self._waiting.popitem(last=False)
        if not self._waiting:
            self._pending.clear()
        try:
            await self._write(key, event)
        except KubeError as exc:
            self.dropped += event.count
            _log.warning(
                "event_not_written",
                reason=key.reason,
                about=f"{event.about.namespace}/{event.about.name}",
                error=str(exc),
            )

    async def _write(self, key: _Key, event: _Waiting) -> None:
        written = self._written.get(key)
        if written is not None and event.first_at - written.last_at <= REPEAT_SECONDS:
            try:
                await self._count_up(written, event)
            except NotFound:
                # The API server deletes events after a while.
                del self._written[key]
            else:
                return
        name = await self._create(key, event)
        self._written[key] = _Written(name=name, count=event.count, last_at=event.last_at)
        self._written.move_to_end(key)
        _keep_newest(self._written)

    async def _count_up(self, written: _Written, event: _Waiting) -> None:
        count = written.count + event.count
        patch = {
            "count": count,
            "lastTimestamp": timestamp(event.last_at),
            "message": event.message,
        }
        await self._client.request(
            "PATCH",
            EVENTS.path(_namespace(event.about), written.name),
            body=msgspec.json.encode(patch),
            content_type=MERGE_PATCH,
        )
        written.count, written.last_at = count, event.last_at

    async def _create(self, key: _Key, event: _Waiting) -> str:
        try:
            return await self._post(key, event)
        except Conflict:
            # The name is taken: another replica, or this one before a restart, was as quick.
            return await self._post(key, event)

    async def _post(self, key: _Key, event: _Waiting) -> str:
        self._sequence += 1
        suffix = f"{int(event.first_at * 1_000_000):x}{self._sequence:x}"
        name = f"{event.about.name[:220]}.{suffix}"
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": _namespace(event.about)},
            "involvedObject": event.about,
            "type": key.type,
            "reason": key.reason,
            "message": event.message,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "count": event.count,
            "firstTimestamp": timestamp(event.first_at),
            "lastTimestamp": timestamp(event.last_at),
        }
        await self._client.request(
            "POST", EVENTS.path(_namespace(event.about)), body=msgspec.json.encode(body)
        )
        return name


def _namespace(about: ObjectReference) -> str:
    # Events of cluster-scoped objects live in "default".
    return about.namespace or "default"


def _keep_newest(known: OrderedDict[Any, Any]) -> None:
    while len(known) > REMEMBERED_EVENTS:
        known.popitem(last=False)
