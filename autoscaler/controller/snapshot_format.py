"""Memories of many objects to a few compact blobs and back.

A blob is ``(version, written_at, lasts_seconds, entries)`` as MessagePack, deflated. Each entry
carries its memory in the memory's own versioned form, so that a release that changes one kind of
memory still reads the others.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Final

import msgspec

from autoscaler.errors import AutoscalerError, shorten

SNAPSHOT_VERSION: Final = 1
SHARDS: Final = 8
BLOB_BYTES_MAX: Final = 900 * 1024
"""An object of the API may hold 1 MiB, its own metadata included."""
RAW_BYTES_MAX: Final = 64 * 1024 * 1024
"""More is not inflated: whatever it is, it was not written by us."""


class SnapshotFormatError(AutoscalerError):
    """A stored blob is none this release can read; what it held is decided afresh."""

    reason = "SnapshotFormat"


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One object's memory.

    Attributes:
        kind: ``ScaledObject`` or ``ScaledJob``: says how to read ``body``.
        generation: Of the object, when the memory was made.
        at: Of the decision the memory came with, epoch seconds.
        body: The memory, encoded.
    """

    uid: str
    kind: str
    generation: int
    at: float
    body: bytes


class Shard(msgspec.Struct, frozen=True, array_like=True):
    """The memories stored in one object of the API.

    Attributes:
        written_at: Epoch seconds.
        lasts_seconds: Steady memories are not written again for that long; 0 = nothing was
            decided after this (the service ended in order).
    """

    written_at: float = 0.0
    lasts_seconds: float = 0.0
    entries: tuple[Entry, ...] = ()


_ENCODER: Final = msgspec.msgpack.Encoder()
_ENVELOPE: Final = msgspec.msgpack.Decoder(tuple[int, msgspec.Raw])
_DECODER: Final = msgspec.msgpack.Decoder(Shard)


def shard_of(uid: str, shards: int = SHARDS) -> int:
    """Return the number of the shard an object belongs to; the same in every process."""
    digest = hashlib.blake2s(uid.encode(), digest_size=8).digest()
    return int.from_bytes(digest) % shards


def encode_shard(shard: Shard) -> bytes:
    """Return the blob."""
    return zlib.compress(_ENCODER.encode((SNAPSHOT_VERSION, shard)))


def decode_shard(blob: bytes) -> Shard:
    """Return what :func:`encode_shard` wrote.

    Raises:
        SnapshotFormatError: The bytes are damaged, or of a version this release does not know.
    """
    try:
        inflater = zlib.decompressobj()
        raw = inflater.decompress(blob, RAW_BYTES_MAX)
        if not inflater.eof:
            raise SnapshotFormatError(
                f"the snapshot is cut off or inflates to more than {RAW_BYTES_MAX} bytes"
            )
        version, body = _ENVELOPE.decode(raw)
        if version == SNAPSHOT_VERSION:
            return _DECODER.decode(body)
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SnapshotFormatError(f"the snapshot cannot be read: {shorten(str(error))}") from error
    raise SnapshotFormatError(
        f"the snapshot has version {version}, this release reads version {SNAPSHOT_VERSION}"
    )


def fit_shard(shard: Shard, limit: int = BLOB_BYTES_MAX) -> tuple[bytes, int]:
    """Return the blob of a shard in at most ``limit`` bytes, and how many entries it lacks.

    The largest memories are left out first, so that the fewest objects lose theirs.
    """
    blob, kept = encode_shard(shard), list(shard.entries)
    if len(blob) <= limit:
        return blob, 0
    kept.sort(key=lambda entry: len(entry.body))
    while len(blob) > limit and kept:
        del kept[-max(1, len(kept) // 20) :]
        blob = encode_shard(msgspec.structs.replace(shard, entries=tuple(kept)))
    return blob, len(shard.entries) - len(kept)
