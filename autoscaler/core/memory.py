"""``Memory`` to compact bytes and back, for hand-overs and restarts."""

from __future__ import annotations

from typing import Final

import msgspec

from autoscaler.core.model import MEMORY_VERSION, Memory
from autoscaler.errors import AutoscalerError


class MemoryFormatError(AutoscalerError):
    """Stored bytes are no memory this version can read; decide afresh instead."""

    reason = "MemoryFormat"


_ENCODER: Final = msgspec.msgpack.Encoder()
_ENVELOPE: Final = msgspec.msgpack.Decoder(tuple[int, msgspec.Raw])
_DECODER: Final = msgspec.msgpack.Decoder(Memory)


def encode_memory(memory: Memory) -> bytes:
    """Return the compact form: version and memory as MessagePack, histories as arrays."""
    return _ENCODER.encode((MEMORY_VERSION, memory))


def decode_memory(data: bytes) -> Memory:
    """Return the memory that :func:`encode_memory` wrote.

    Raises:
        MemoryFormatError: The bytes are damaged, or of a version this one does not know.
    """
    try:
        version, body = _ENVELOPE.decode(data)
        if version == MEMORY_VERSION:
            return _DECODER.decode(body)
    except msgspec.DecodeError as error:
        raise MemoryFormatError(f"stored memory cannot be read: {error}") from error
    raise MemoryFormatError(
        f"stored memory has version {version}, this release reads version {MEMORY_VERSION}; "
        "drop it, and the histories start afresh"
    )
