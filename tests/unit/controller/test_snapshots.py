"""When memories are written, read, refused and forgotten; virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import structlog
from msgspec.structs import replace

from autoscaler.controller.snapshot_format import Entry, Shard, decode_shard, encode_shard, shard_of
from autoscaler.controller.snapshots import Snapshots, SnapshotSettings
from autoscaler.core.memory import decode_memory, encode_memory
from autoscaler.core.model import Condition, Memory, Recommendation
from autoscaler.core.resume import Told
from autoscaler.errors import Forbidden, Unreachable
from autoscaler.kube.codec import ObjectMeta
from tests.doubles.clock import EPOCH, LoopClock
from tests.doubles.config_maps import ConfigMapClient

pytestmark = pytest.mark.looptime

META = ObjectMeta(
    name="web", namespace="shop", uid="7d4f6a3e-0c4b-4f0e-9d0c-2f6f2f3f1a11", generation=3
)
SHARD = f"flyball-memory-{shard_of(META.uid)}"
SETTINGS = SnapshotSettings()


def memory_at(at: float, *replicas: int) -> Memory:
    """Return a memory whose recommendations were made a second apart, the last one at ``at``."""
    first = at - len(replicas) + 1
    return Memory(
        recommendations=tuple(
            Recommendation(round((first + index) * 1000), count)
            for index, count in enumerate(replicas)
        )
    )


class Bench:
    """Snapshots over a client that answers on virtual time."""

    def __init__(self, client: ConfigMapClient, settings: SnapshotSettings = SETTINGS) -> None:
        self.client = client
        self.living: set[str] | None = {META.uid}
        self.snapshots = Snapshots(
            client,  # type: ignore[arg-type]
            clock=LoopClock(),
            rng=random.Random(1),
            living=lambda: self.living,
            settings=settings,
        )

    def note(self, *replicas: int, meta: ObjectMeta = META, is_urgent: bool = False) -> float:
        """Note the memory of a decision of this moment; return the moment."""
        at = LoopClock().now()
        self.snapshots.note(meta, memory_at(at, *replicas), at, is_urgent=is_urgent)
        return at

    def stored(self) -> Entry:
        """Return what is stored of the object."""
        (entry,) = decode_shard(self.client.blob(SHARD)).entries
        return entry

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run until left, without a last write."""
        task = asyncio.ensure_future(self.snapshots.run())
        await self.snapshots.wait_settled()
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def bench(
    client: ConfigMapClient | None = None, settings: SnapshotSettings = SETTINGS
) -> AsyncIterator[Bench]:
    """Run snapshots until left."""
    made = Bench(client or ConfigMapClient(), settings)
    async with made.running():
        yield made


def put(
    client: ConfigMapClient, *entries: Entry, written_at: float = EPOCH, lasts: float = 0.0
) -> None:
    """Store entries as an earlier service did."""
    client.put(SHARD, encode_shard(Shard(written_at, lasts, entries)))


def entry_of(memory: Memory, at: float = EPOCH, generation: int = 3) -> Entry:
    """Return the object's entry."""
    return Entry(META.uid, "ScaledObject", generation, at, encode_memory(memory))


async def test_a_change_is_written_within_the_interval() -> None:
    """One ConfigMap is created, holding the memory, its decision's time and the generation."""
    async with bench() as made:
        at = made.note(5)
        await asyncio.sleep(SETTINGS.write_seconds + 0.1)
        stored = made.stored()
        assert (stored.uid, stored.kind, stored.generation, stored.at) == (
            META.uid, "ScaledObject", 3, at,
        )  # fmt: skip
        assert decode_memory(stored.body) == memory_at(at, 5)
        assert [name for _, name in made.client.writes()] == [SHARD]
        assert made.client.items[SHARD]["metadata"]["labels"]["app.kubernetes.io/name"] == "flyball"


async def test_a_rescale_is_written_at_once() -> None:
    """It waits just long enough for others of the same moment."""
    async with bench() as made:
        await asyncio.sleep(1.0)
        made.note(5, is_urgent=True)
        await asyncio.sleep(0.2)
        made.note(9, is_urgent=True)
        await asyncio.sleep(SETTINGS.urgent_seconds)
        ((at, name),) = made.client.writes()
        assert (at, name) == (1.0 + SETTINGS.urgent_seconds, SHARD)
        assert decode_memory(made.stored().body).recommendations[-1].replicas == 9


async def test_a_storm_of_rescales_is_written_every_other_second() -> None:
    """A thousand rescales a minute do not become a thousand writes."""
    async with bench() as made:
        for count in range(600):
            made.note(count, is_urgent=True)
            await asyncio.sleep(0.1)
        assert 20 <= len(made.client.writes()) <= 30


async def test_what_only_goes_on_is_written_rarely() -> None:
    """A steady object, decided each second, costs two writes a minute."""
    async with bench() as made:
        for _ in range(600):
            made.note(5)
            await asyncio.sleep(1.0)
        assert 19 <= len(made.client.writes()) <= 21
        assert made.stored().at >= EPOCH + 600 - SETTINGS.refresh_seconds - SETTINGS.write_seconds
        assert len(decode_memory(made.stored().body).recommendations) == 1


async def test_nothing_new_is_nothing_to_write() -> None:
    """Without decisions there are no requests after the first read."""
    async with bench() as made:
        made.note(5)
        await asyncio.sleep(60)
        assert len(made.client.writes()) == 1


async def test_the_last_write_says_that_nothing_follows() -> None:
    """While running a snapshot tells how long more may have happened; a flushed one is complete."""
    async with bench() as made:
        made.note(5)
        await asyncio.sleep(6)
        running = decode_shard(made.client.blob(SHARD))
        assert running.lasts_seconds == SETTINGS.refresh_seconds + SETTINGS.write_seconds
        at = made.note(5)
        await made.snapshots.flush()
        assert decode_shard(made.client.blob(SHARD)).lasts_seconds == 0.0
        assert made.stored().at == at
        writes = len(made.client.writes())
        await made.snapshots.flush()
        assert len(made.client.writes()) == writes


async def test_a_memory_is_resumed_from_its_snapshot() -> None:
    """After an orderly end the next service goes on with exactly what was there."""
    client = ConfigMapClient()
    async with bench(client) as made:
        at = made.note(9, 5)
        await made.snapshots.flush()
    async with bench(client) as made:
        assert made.snapshots.resume(META, Told()) == memory_at(at, 9, 5)
        # Once taken over, only this service knows how it goes on.
        assert made.snapshots.resume(META, Told()) == Memory()


async def test_after_a_crash_the_last_state_is_prolonged() -> None:
    """What the crashed service no longer wrote is assumed to have gone on."""
    client = ConfigMapClient()
    put(client, entry_of(memory_at(EPOCH, 5)), lasts=35.0)
    async with bench(client) as made:
        await asyncio.sleep(20.0)
        resumed = made.snapshots.resume(META, Told())
        assert resumed.recommendations == (Recommendation(round((EPOCH + 20) * 1000), 5),)


async def test_a_recreated_object_starts_fresh() -> None:
    """The same name with another UID has nothing to do with the old memory, which is pruned."""
    client = ConfigMapClient()
    put(client, entry_of(memory_at(EPOCH, 5)))
    async with bench(client) as made:
        again = replace(META, uid="another")
        made.living = {"another"}
        assert made.snapshots.resume(again, Told()) == Memory()
        made.snapshots.forget(META.uid)
        await asyncio.sleep(6)
        assert decode_shard(client.blob(SHARD)).entries == ()


async def test_objects_deleted_while_nobody_watched_are_pruned_once_all_are_known() -> None:
    """Before the first complete list nothing is dropped."""
    client = ConfigMapClient()
    gone = replace(
        META, uid=next(u for u in map(str, range(99)) if shard_of(u) == shard_of(META.uid))
    )
    put(client, entry_of(memory_at(EPOCH, 5)), Entry(gone.uid, "ScaledObject", 1, EPOCH, b""))
    async with bench(client) as made:
        made.living = None
        made.note(5)
        await asyncio.sleep(6)
        assert len(decode_shard(client.blob(SHARD)).entries) == 2
        made.living = {META.uid}
        made.note(6)
        await asyncio.sleep(6)
        assert made.stored().uid == META.uid


async def test_another_generation_forgets_the_metrics_only() -> None:
    """The histories of an object edited meanwhile go on."""
    client = ConfigMapClient()
    put(client, entry_of(memory_at(EPOCH, 5), generation=2))
    async with bench(client) as made:
        assert made.snapshots.resume(META, Told()) == memory_at(EPOCH, 5)


@pytest.mark.parametrize(
    "blob",
    [b"garbage", encode_shard(Shard())[:-3], b"", None],
    ids=["garbage", "cut", "empty", "no-value"],
)
async def test_damaged_snapshots_are_ignored_and_replaced(blob: bytes | None) -> None:
    """The log names the ConfigMap; objects start with their status; the next write is good."""
    client = ConfigMapClient()
    client.put(SHARD, blob)
    status = Memory(desired_replicas=4)
    with structlog.testing.capture_logs() as logs:
        async with bench(client) as made:
            assert made.snapshots.resume(META, Told(memory=status)) == status
            made.note(5)
            await asyncio.sleep(6)
            assert made.stored().uid == META.uid
    named = [line["config_map"] for line in logs if line["event"] == "snapshot_ignored"]
    assert named == ([] if blob is None else [f"flyball-system/{SHARD}"])


async def test_a_memory_of_a_newer_release_is_ignored_by_name() -> None:
    """One object's memory in a form not known costs only that object's history."""
    client = ConfigMapClient()
    newer = Entry(META.uid, "ScaledObject", 3, EPOCH, msgspec.msgpack.encode((9, {})))
    put(client, newer)
    with structlog.testing.capture_logs() as logs:
        async with bench(client) as made:
            assert made.snapshots.resume(META, Told()) == Memory()
    (line,) = [line for line in logs if line["event"] == "snapshot_ignored"]
    assert line["object"] == "shop/web"
    assert "has version 9" in line["error"]


async def test_a_memory_of_another_kind_is_not_a_scaled_objects() -> None:
    """Room for other kinds: their entries stay, but are not read as this one."""
    client = ConfigMapClient()
    put(client, replace(entry_of(memory_at(EPOCH, 5)), kind="ScaledJob"))
    async with bench(client) as made:
        assert made.snapshots.resume(META, Told()) == Memory()


async def test_an_unreadable_past_delays_the_start_only_so_long() -> None:
    """The service says what it waits for, then goes on with what statuses say."""
    client = ConfigMapClient()
    client.error = Unreachable("GET configmaps: refused")
    made = Bench(client)
    task = asyncio.ensure_future(made.snapshots.run())
    with structlog.testing.capture_logs() as logs:
        await asyncio.sleep(1.0)
        assert not made.snapshots.is_settled
        assert "flyball-system/flyball-memory-*: not read yet (GET" in made.snapshots.unready_reason
        await asyncio.sleep(SETTINGS.give_up_seconds)
        assert made.snapshots.unready_reason == ""
    assert "snapshots_unreadable" in [line["event"] for line in logs]
    status = Memory(desired_replicas=4)
    assert made.snapshots.resume(META, Told(memory=status)) == status
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_hung_api_server_delays_the_start_only_so_long() -> None:
    """No answer at all counts as unreadable, too."""
    client = ConfigMapClient()
    client.delay_seconds = 3600.0
    made = Bench(client)
    task = asyncio.ensure_future(made.snapshots.run())
    await asyncio.sleep(SETTINGS.give_up_seconds + 0.1)
    assert made.snapshots.is_settled
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_missing_right_does_not_delay_the_start() -> None:
    """Waiting would not help: the log says so, and writing is tried rarely."""
    client = ConfigMapClient()
    client.error = Forbidden("configmaps is forbidden", status=403)
    async with bench(client) as made:
        assert asyncio.get_running_loop().time() < 1.0
        for _ in range(300):
            made.note(5)
            await asyncio.sleep(1.0)
        assert len(client.requests) <= 8


async def test_what_could_not_be_read_at_first_is_not_overwritten() -> None:
    """Objects not looked at yet keep their stored memories when writing works again."""
    client = ConfigMapClient()
    other = replace(
        META, uid=next(u for u in map(str, range(99)) if shard_of(u) == shard_of(META.uid))
    )
    old = replace(entry_of(memory_at(EPOCH, 7)), uid=other.uid)
    put(client, old)
    client.error = Forbidden("configmaps is forbidden", status=403)
    async with bench(client) as made:
        made.living = {META.uid, other.uid}
        client.error = None
        made.note(5)
        await asyncio.sleep(6)
        assert {e.uid for e in decode_shard(client.blob(SHARD)).entries} == {META.uid, other.uid}
        assert made.snapshots.resume(other, Told()) == memory_at(EPOCH, 7)


async def test_failed_writes_are_repeated() -> None:
    """Nothing is lost by an API server that is away for a while."""
    async with bench() as made:
        made.client.error = Unreachable("refused")
        at = made.note(5, is_urgent=True)
        await asyncio.sleep(20)
        assert made.snapshots.stats.errors > 1
        made.client.error = None
        await asyncio.sleep(40)
        assert made.stored().at == at


async def test_a_config_map_changed_or_deleted_by_others_is_written_again() -> None:
    """A conflict means to read the version again; a missing one is created anew."""
    async with bench() as made:
        made.note(5)
        await asyncio.sleep(6)
        put(made.client)
        at = made.note(6)
        await asyncio.sleep(12)
        assert made.stored().at == at
        del made.client.items[SHARD]
        at = made.note(7)
        await asyncio.sleep(12)
        assert made.stored().at == at


async def test_switched_off_nothing_is_asked() -> None:
    """No request, no waiting, no memory."""
    settings = SnapshotSettings(is_enabled=False)
    async with bench(settings=settings) as made:
        made.note(5, is_urgent=True)
        await asyncio.sleep(60)
        await made.snapshots.flush()
        assert made.client.requests == []


async def test_a_stop_before_the_past_is_known_writes_nothing() -> None:
    """A service that never decided must not replace the memories of the one before."""
    client = ConfigMapClient()
    put(client, entry_of(memory_at(EPOCH, 5)), lasts=35.0)
    client.delay_seconds = 5.0
    made = Bench(client)
    task = asyncio.ensure_future(made.snapshots.run())
    await asyncio.sleep(1.0)
    made.snapshots.stop_waiting()
    await made.snapshots.wait_settled()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await made.snapshots.flush()
    assert client.writes() == []


async def test_memories_that_outgrow_their_shard_are_named_in_the_log() -> None:
    """Too much for one ConfigMap leaves out the largest memories, and says how many."""
    chance = random.Random(3)
    uids = [str(u) for u in range(3000) if shard_of(str(u)) == shard_of(META.uid)]
    client = ConfigMapClient()
    async with bench(client) as made:
        made.living = set(uids)
        with structlog.testing.capture_logs() as logs:
            for uid in uids:
                said = Condition("Ready", "False", "No", chance.randbytes(4096).hex())
                made.snapshots.note(replace(META, uid=uid), Memory(conditions=(said,)), EPOCH)
            await asyncio.sleep(6)
    (line,) = [line for line in logs if line["event"] == "snapshot_too_large"]
    assert line["shard"] == SHARD
    blob = client.blob(SHARD)
    assert len(blob) <= 900 * 1024
    assert len(decode_shard(blob).entries) == len(uids) - line["objects_left_out"]
