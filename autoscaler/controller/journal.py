"""The last decisions about an object, for whoever asks why."""

from __future__ import annotations

from collections import deque
from enum import StrEnum

import msgspec

from autoscaler.core.model import Decision


class Outcome(StrEnum):
    """What became of a decision."""

    UNCHANGED = "unchanged"
    WRITTEN = "written"
    SHADOW = "shadow"
    """Would have been written; the object only watches."""
    FAILED = "failed"
    """The API server refused the write; it is tried again."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A decision and what became of it.

    Attributes:
        error: Why it could not be written, else empty.
    """

    decision: Decision
    outcome: Outcome
    error: str = ""


class Journal:
    """The latest decision, and before it the last ones that were different in kind.

    A steady object decides the same thing over and over; such repetitions replace each other, so
    that the bounded ring reaches back to the last changes.
    """

    def __init__(self, length: int) -> None:
        self._entries: deque[Entry] = deque(maxlen=length)

    def add(self, entry: Entry) -> None:
        """Remember a decision."""
        if self._entries and _kind(self._entries[-1]) == _kind(entry):
            self._entries[-1] = entry
        else:
            self._entries.append(entry)

    @property
    def latest(self) -> Entry | None:
        """Return the last decision."""
        return self._entries[-1] if self._entries else None

    def entries(self) -> list[Entry]:
        """Return what is remembered, oldest first."""
        return list(self._entries)


def _kind(entry: Entry) -> tuple[object, ...]:
    decision = entry.decision
    if decision.is_rescale:
        return (decision.at,)
    return (
        entry.outcome,
        decision.desired_replicas,
        decision.is_active,
        tuple(step.code for step in decision.steps),
    )
