"""Memory to bytes and back."""

from __future__ import annotations

import msgspec
import pytest

from autoscaler.core.memory import MemoryFormatError, decode_memory, encode_memory
from autoscaler.core.model import (
    Condition,
    Health,
    Memory,
    Recommendation,
    ScaleEvent,
    SmoothingState,
)


def test_everything_survives() -> None:
    """Histories, conditions and per-metric state come back as they were."""
    memory = Memory(
        recommendations=(Recommendation(1_700_000_000_123, 4),),
        scale_ups=(ScaleEvent(5, 2, outdated=True),),
        scale_downs=(ScaleEvent(6, 1),),
        last_active_at=1.5,
        last_sync_at=2.5,
        last_scale_at=3.5,
        desired_replicas=0,
        conditions=(Condition("Ready", "True", "ScaledObjectReady", "fine"),),
        health={"m": Health(3, 9)},
        smoothing={"m": SmoothingState(7, (1.0, 2.0))},
    )
    assert decode_memory(encode_memory(memory)) == memory


def test_an_empty_memory_is_tiny() -> None:
    """Defaults are left out."""
    assert len(encode_memory(Memory())) < 8
    assert decode_memory(encode_memory(Memory())) == Memory()


def test_other_versions_are_refused() -> None:
    """The error names both versions and what follows."""
    data = msgspec.msgpack.encode((2, {"anything": True}))
    with pytest.raises(MemoryFormatError, match="has version 2, this release reads version 1"):
        decode_memory(data)


@pytest.mark.parametrize("data", [b"", b"\xff", b"{}", msgspec.msgpack.encode((1, [3]))])
def test_damaged_bytes_are_refused(data: bytes) -> None:
    """Garbage is an error, never an empty memory."""
    with pytest.raises(MemoryFormatError, match="cannot be read"):
        decode_memory(data)
