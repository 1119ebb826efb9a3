"""Memories kept in the cluster, so that the next service decides as this one would have.

A few ConfigMaps in the service's namespace hold the memories of all objects, each object in the one
its UID says. They are read once, before anything is decided, and written behind everything else: a
change within seconds, a rescale at once, what only goes on (a steady recommendation, an active
trigger) at the pace of ``refresh_seconds``. docs/adr/0007-memory-snapshots.md says why like this.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec
import structlog

from autoscaler.controller.snapshot_format import (
    SHARDS,
    Entry,
    Shard,
    SnapshotFormatError,
    decode_shard,
    fit_shard,
    shard_of,
)
from autoscaler.controller.snapshot_shard import SCALED_OBJECT, Capture, KeptShard
from autoscaler.core.memory import MemoryFormatError, decode_memory
from autoscaler.core.model import Memory
from autoscaler.core.resume import Stored, Told, resume
from autoscaler.errors import Conflict, Forbidden, Invalid, KubeError, NotFound
from autoscaler.kube.blobs import read_blob, write_blob
from autoscaler.kube.codec import ObjectMeta
from autoscaler.kube.transport import KubeClient
from autoscaler.runtime.backoff import Backoff
from autoscaler.runtime.clock import Clock, loop_seconds

LABELS: Final = {
    "app.kubernetes.io/name": "flyball",
    "app.kubernetes.io/component": "memory",
    "app.kubernetes.io/managed-by": "flyball",
}
URGENT_GAP_SECONDS: Final = 2.0
"""Between two rounds of urgent writes: scaling must not wait behind its own records."""
HOPELESS_SECONDS: Final = 60.0
"""How long to wait after a refusal that only an administrator can end."""

log = structlog.get_logger(__name__)


class SnapshotSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where memories are kept and how often they are written.

    Attributes:
        is_enabled: False keeps nothing: after a restart only the status is known.
        namespace: Of the ConfigMaps; None = the pod's, or that of the kubeconfig's context.
        name: The ConfigMaps are called ``<name>-0``, ``<name>-1``, …; two services in one
            namespace need different names.
        write_seconds: Changes are written at most this often (real seconds).
        urgent_seconds: How long a rescale waits for others to share its write (real seconds).
        refresh_seconds: What only goes on is written at most this often (seconds of the service's
            clock); after a crash windows and cooldowns may last that much longer.
        give_up_seconds: How long a start waits for memories that cannot be read (real seconds).
    """

    is_enabled: bool = True
    namespace: str | None = None
    name: str = "flyball-memory"
    write_seconds: float = 5.0
    urgent_seconds: float = 0.5
    refresh_seconds: float = 30.0
    give_up_seconds: float = 10.0


class SnapshotStats(msgspec.Struct):
    """What keeping memories cost so far."""

    writes: int = 0
    bytes: int = 0
    errors: int = 0


class Snapshots:
    """Keeps the memories of all objects of this process.

    Args:
        client: Connection.
        clock: The service's clock.
        rng: Jitter of repetitions.
        living: Returns the UIDs of all objects that exist; None while that is not known.
        settings: Where and how often.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        clock: Clock,
        rng: random.Random,
        living: Callable[[], AbstractSet[str] | None],
        settings: SnapshotSettings,
    ) -> None:
        self._client = client
        self._clock = clock
        self._living = living
        self._settings = settings
        self._namespace = settings.namespace or client.namespace
        self._backoff = Backoff(rng)
        self._shards = [KeptShard(f"{settings.name}-{number}") for number in range(SHARDS)]
        self._found: dict[str, tuple[Entry, float]] = {}
        self._settled = asyncio.Event()
        self._urgent = asyncio.Event()
        self._is_loaded = False
        self._last_error = ""
        self.stats = SnapshotStats()
        if not settings.is_enabled:
            self._settled.set()

    @property
    def is_settled(self) -> bool:
        """Whether what there is to know of the past is known."""
        return self._settled.is_set()

    @property
    def unready_reason(self) -> str:
        """Why nothing can be decided yet; empty when it can."""
        if self.is_settled:
            return ""
        error = f" ({self._last_error})" if self._last_error else ""
        return f"memory snapshots {self._namespace}/{self._settings.name}-*: not read yet{error}"

    async def wait_settled(self) -> None:
        """Wait until objects may be decided on; returns too when the service stops before that."""
        await self._settled.wait()

    def stop_waiting(self) -> None:
        """Release everybody who waits: the service stops."""
        self._settled.set()

    def resume(self, meta: ObjectMeta, told: Told) -> Memory:
        """Return the memory to begin an object with.

        Args:
            meta: Of the object.
            told: What its status says.
        """
        found = self._found.pop(meta.uid, None)
        if found is None:
            return told.memory
        entry, unseen_until = found
        if entry.kind != SCALED_OBJECT:
            return told.memory
        try:
            memory = decode_memory(entry.body)
        except MemoryFormatError as error:
            log.warning("snapshot_ignored", object=meta.key, error=str(error))
            return told.memory
        stored = Stored(
            memory=memory,
            at=entry.at,
            unseen_until=unseen_until,
            is_same_generation=entry.generation == meta.generation,
        )
        return resume(stored, told, self._clock.now())

    def note(self, meta: ObjectMeta, memory: Memory, at: float, *, is_urgent: bool = False) -> None:
        """Keep the memory of a decision; returns at once.

        Args:
            meta: Of the object.
            memory: To go on with.
            at: Of the decision, epoch seconds.
            is_urgent: Its replicas were changed: do not wait for the next round.
        """
        if not self._settings.is_enabled:
            return
        shard = self._shards[shard_of(meta.uid)]
        shard.noted[meta.uid] = Capture(meta.generation, at, memory)
        if is_urgent:
            shard.is_urgent = True
            self._urgent.set()

    def forget(self, uid: str) -> None:
        """Drop the memory of an object that is gone."""
        self._found.pop(uid, None)
        shard = self._shards[shard_of(uid)]
        shard.is_changed |= shard.drop(uid)

    async def run(self) -> None:
        """Read what is there, then write until cancelled (root task)."""
        if not self._settings.is_enabled:
            await asyncio.Event().wait()
        await self._load()
        while True:
            was_urgent = await self._rest()
            for shard in self._shards:
                await self._round(shard)
            if was_urgent:
                await asyncio.sleep(URGENT_GAP_SECONDS)

    async def flush(self) -> None:
        """Write everything as it is now, once: after this nothing is decided any more."""
        if not (self._settings.is_enabled and self._is_loaded):
            return
        async with asyncio.TaskGroup() as group:
            for shard in self._shards:
                self._look(shard)
                if shard.is_open or shard.pending or shard.is_changed:
                    group.create_task(self._write(shard, is_last=True))

    async def _rest(self) -> bool:
        """Wait for the next round; say whether something could not wait for it."""
        try:
            async with asyncio.timeout(self._settings.write_seconds):
                await self._urgent.wait()
        except TimeoutError:
            return False
        await asyncio.sleep(self._settings.urgent_seconds)
        self._urgent.clear()
        return True

    async def _round(self, shard: KeptShard) -> None:
        """Write a shard if it is time."""
        now = asyncio.get_running_loop().time()
        settings = self._settings
        if not shard.is_urgent and now - shard.checked_at < settings.write_seconds:
            return
        shard.checked_at = now
        self._look(shard)
        age = self._clock.monotonic() - shard.written_at
        is_old = bool(shard.pending) and age >= settings.refresh_seconds
        if shard.is_urgent or shard.is_changed or is_old:
            error = await self._write(shard)
            if error is None:
                self._backoff.reset()
            else:
                await asyncio.sleep(self._delay(error))
        # The loop belongs to others, too, between two shards.
        await asyncio.sleep(0)

    def _look(self, shard: KeptShard) -> None:
        living = self._living()
        shard.look(living)
        if living is not None:
            for uid in self._found.keys() - living:
                del self._found[uid]

    async def _write(self, shard: KeptShard, *, is_last: bool = False) -> KubeError | None:
        """Write a shard; on failure everything stays to be written."""
        try:
            try:
                await self._try_write(shard, is_last=is_last)
            except (Conflict, NotFound) as error:
                # Changed or deleted by somebody: only its version was wrong.
                log.warning("snapshot_changed_by_others", shard=shard.name, error=str(error))
                shard.version = None
                await self._try_write(shard, is_last=is_last)
        except KubeError as error:
            shard.is_changed = True
            self.stats.errors += 1
            log.warning("snapshot_not_written", shard=shard.name, error=str(error))
            return error
        return None

    async def _try_write(self, shard: KeptShard, *, is_last: bool) -> None:
        if shard.version is None:
            self._take(shard, await self._read(shard))
        entries = shard.settle()
        lasts = 0.0
        if not is_last:
            speed = 1.0 / loop_seconds(self._clock, 1.0)
            lasts = self._settings.refresh_seconds + self._settings.write_seconds * speed
        blob, missing = fit_shard(Shard(self._clock.now(), lasts, entries))
        if missing:
            log.warning("snapshot_too_large", shard=shard.name, objects_left_out=missing)
        shard.is_changed = shard.is_urgent = False
        shard.version = await write_blob(
            self._client,
            self._namespace,
            shard.name,
            blob,
            labels=LABELS,
            resource_version=shard.version or "",
        )
        shard.is_open = not is_last
        shard.written_at = self._clock.monotonic()
        self.stats.writes += 1
        self.stats.bytes += len(blob)

    async def _read(self, shard: KeptShard) -> Shard:
        """Learn a shard's version; return what it holds, nothing if that cannot be read."""
        blob = await read_blob(self._client, self._namespace, shard.name)
        shard.version = blob.resource_version if blob else ""
        if blob is None or blob.data is None:
            return Shard()
        try:
            return decode_shard(blob.data)
        except SnapshotFormatError as error:
            where = f"{self._namespace}/{shard.name}"
            log.warning("snapshot_ignored", config_map=where, error=str(error))
            return Shard()

    async def _load(self) -> None:
        """Read all shards; in the end decide without them rather than never."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._settings.give_up_seconds
        waiting = list(self._shards)
        while waiting:
            shard = waiting[0]
            try:
                async with asyncio.timeout_at(give_up_at):
                    found = await self._read(shard)
            except (KubeError, TimeoutError) as error:
                self._last_error = str(error) or "no answer"
                delay = self._delay(error)
                if loop.time() + delay >= give_up_at:
                    log.warning("snapshots_unreadable", error=self._last_error)
                    break
                await asyncio.sleep(delay)
                continue
            del waiting[0]
            self._take(shard, found)
        self._is_loaded = True
        self._settled.set()

    def _take(self, shard: KeptShard, found: Shard) -> None:
        """Take over what an earlier service stored."""
        unseen_until = found.written_at + found.lasts_seconds if found.lasts_seconds else 0.0
        for entry in shard.adopt(found):
            self._found[entry.uid] = entry, unseen_until
            shard.is_open |= bool(unseen_until)

    def _delay(self, error: Exception) -> float:
        at = asyncio.get_running_loop().time()
        if isinstance(error, Forbidden | Invalid):
            return HOPELESS_SECONDS
        wish = getattr(error, "retry_after_seconds", None) or 0.0
        return self._backoff.next_delay(at, at_least=wish)
