"""What one ConfigMap of memories holds, and what of it is worth writing."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from autoscaler.controller.snapshot_format import Entry, Shard
from autoscaler.core.memory import encode_memory
from autoscaler.core.model import Memory
from autoscaler.core.resume import Outline, compact, outline

SCALED_OBJECT: Final = "ScaledObject"


class Capture(msgspec.Struct, frozen=True):
    """The memory of one decision."""

    generation: int
    at: float
    memory: Memory


class KeptShard:
    """One ConfigMap and what is to be written to it.

    Attributes:
        entries: As they are to be stored.
        outlines: Of the entries made by this process.
        noted: Not looked at yet.
        pending: Made compact, newer than the entries.
        version: Of the ConfigMap; empty = there is none, None = not known: read it first.
        is_open: Written since the last orderly end, so that a reader has to assume more followed.
    """

    __slots__ = (
        "checked_at", "entries", "is_changed", "is_open", "is_urgent", "name", "noted", "outlines",
        "pending", "version", "written_at",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: dict[str, Entry] = {}
        self.outlines: dict[str, Outline] = {}
        self.noted: dict[str, Capture] = {}
        self.pending: dict[str, Capture] = {}
        self.version: str | None = None
        self.is_changed = self.is_urgent = self.is_open = False
        self.checked_at = self.written_at = float("-inf")

    def look(self, living: AbstractSet[str] | None) -> None:
        """Find out whether anything is worth a write soon; drop objects that are gone.

        Args:
            living: UIDs of all objects that exist; None while that is not known.
        """
        if living is not None:
            for uid in (self.entries.keys() | self.noted.keys()) - living:
                self.is_changed |= self.drop(uid)
        for uid, capture in self.noted.items():
            memory = compact(capture.memory)
            shape = outline(memory)
            if self.outlines.get(uid) != shape:
                self.outlines[uid] = shape
                self.is_changed = True
            self.pending[uid] = Capture(capture.generation, capture.at, memory)
        self.noted.clear()

    def settle(self) -> tuple[Entry, ...]:
        """Return the entries with what is pending."""
        for uid, capture in self.pending.items():
            body = encode_memory(capture.memory)
            self.entries[uid] = Entry(uid, SCALED_OBJECT, capture.generation, capture.at, body)
        self.pending.clear()
        return tuple(self.entries.values())

    def adopt(self, found: Shard) -> list[Entry]:
        """Take over stored entries of objects nothing newer is known of; return those."""
        known = self.entries.keys() | self.noted.keys() | self.pending.keys()
        adopted = [entry for entry in found.entries if entry.uid not in known]
        self.entries.update((entry.uid, entry) for entry in adopted)
        return adopted

    def drop(self, uid: str) -> bool:
        """Forget an object; return whether it was known."""
        self.noted.pop(uid, None)
        self.pending.pop(uid, None)
        self.outlines.pop(uid, None)
        return self.entries.pop(uid, None) is not None
