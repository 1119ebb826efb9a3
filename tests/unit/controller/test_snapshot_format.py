"""Many memories in a few blobs."""

from __future__ import annotations

import contextlib
import random
import uuid
import zlib
from collections import Counter

import msgspec
import pytest
from msgspec.structs import replace

from autoscaler.controller import snapshot_format
from autoscaler.controller.snapshot_format import (
    SHARDS,
    Entry,
    Shard,
    SnapshotFormatError,
    decode_shard,
    encode_shard,
    fit_shard,
    shard_of,
)


def entry(number: int, size: int = 20) -> Entry:
    """Return an entry with a body that cannot be made smaller."""
    chance = random.Random(number)
    uid = str(uuid.UUID(int=chance.getrandbits(128)))
    return Entry(uid, "ScaledObject", 1, 1_700_000_000.5, chance.randbytes(size))


def test_a_shard_survives() -> None:
    """Everything comes back as it was, an empty shard, too."""
    shard = Shard(1_700_000_000.25, 35.0, tuple(entry(number) for number in range(50)))
    assert decode_shard(encode_shard(shard)) == shard
    assert decode_shard(encode_shard(Shard())) == Shard()


def test_objects_spread_over_the_shards_and_stay_where_they_are() -> None:
    """The shard is a function of the UID alone, and no shard gets far more than its share."""
    uids = [entry(number).uid for number in range(4000)]
    counts = Counter(map(shard_of, uids))
    assert sorted(counts) == list(range(SHARDS))
    assert max(counts.values()) < 1.2 * 4000 / SHARDS
    # A fixed point: another process, another release, finds it in the same place.
    assert shard_of("7d4f6a3e-0c4b-4f0e-9d0c-2f6f2f3f1a11") == 0


def test_damage_is_an_error_wherever_it_is() -> None:
    """A flipped bit, a cut, or other data never passes as a memory."""
    shard = Shard(1.0, 35.0, (entry(1), entry(2)))
    blob = encode_shard(shard)
    chance = random.Random(5)
    for _ in range(300):
        place = chance.randrange(len(blob))
        broken = bytearray(blob)
        broken[place] ^= 1 << chance.randrange(8)
        # A few bits of the stream mean nothing; flipping those loses nothing.
        with contextlib.suppress(SnapshotFormatError):
            assert decode_shard(bytes(broken)) == shard
        with pytest.raises(SnapshotFormatError):
            decode_shard(blob[:place])
    for other in (b"", b"{}", zlib.compress(b"\xc1"), zlib.compress(msgspec.msgpack.encode([1]))):
        with pytest.raises(SnapshotFormatError, match=r"cannot be read|cut off"):
            decode_shard(other)


def test_a_newer_version_is_named() -> None:
    """The error says which version there is and which one is read."""
    blob = zlib.compress(msgspec.msgpack.encode((7, {"new": "shape"})))
    with pytest.raises(SnapshotFormatError, match="has version 7, this release reads version 1"):
        decode_shard(blob)


def test_a_bomb_is_not_inflated() -> None:
    """A small blob that would fill the memory is refused half-way."""
    bomb = zlib.compress(b"\0" * (snapshot_format.RAW_BYTES_MAX + 1))
    with pytest.raises(SnapshotFormatError, match="more than"):
        decode_shard(bomb)


def test_what_does_not_fit_loses_the_fewest_objects() -> None:
    """The largest memories are left out until the rest fits."""
    entries = tuple(entry(number, size=1000 if number % 10 else 20_000) for number in range(100))
    shard = Shard(1.0, 35.0, entries)
    blob, missing = fit_shard(shard, 100_000)
    assert len(blob) <= 100_000
    kept = decode_shard(blob).entries
    assert 10 <= missing <= 15
    assert len(kept) == 100 - missing
    assert all(len(one.body) == 1000 for one in kept)
    assert fit_shard(shard) == (encode_shard(shard), 0)
    assert fit_shard(replace(shard, entries=(entry(1, 5000),)), 1000)[1] == 1
