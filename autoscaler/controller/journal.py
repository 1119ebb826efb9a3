"""The last decisions about an object, for whoever asks why."""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

import msgspec

from autoscaler.core.model import Decision


class Outcome(StrEnum):
    """What became of a decision."""

    UNCHANGED = "unchanged"
    WRITTEN = "written"
    SHADOW = "shadow"
    """Would have been written; the object only watches."""
    SERVED = "served"
    """Another autoscaler was told; it writes."""
    FAILED = "failed"
    """The API server refused the write; it is tried again."""


class Kept(Protocol):
    """What a journal keeps."""

    @property
    def kind(self) -> tuple[object, ...]:
        """What tells entries apart: of equal ones in a row only the last is kept."""
        ...


E = TypeVar("E", bound=Kept)


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A decision and what became of it.

    Attributes:
        error: Why it could not be written, else empty.
        retry_after_seconds: How long the API server asked to wait, None = it did not.
        readings: Name and value of each metric it saw; None = an error, or samples of pods.
    """

    decision: Decision
    outcome: Outcome
    error: str = ""
    retry_after_seconds: float | None = None
    readings: tuple[tuple[str, float | None], ...] = ()

    @property
    def kind(self) -> tuple[object, ...]:
        """Every rescale is one of a kind; other decisions by what they say."""
        decision = self.decision
        if decision.is_rescale:
            return (decision.at,)
        return (
            self.outcome,
            decision.desired_replicas,
            decision.is_active,
            tuple(step.code for step in decision.steps),
        )


class Journal(Generic[E]):
    """The latest decision, and before it the last ones that were different in kind.

    A steady object decides the same thing over and over; such repetitions replace each other, so
    that the bounded ring reaches back to the last changes.
    """

    def __init__(self, length: int) -> None:
        self._entries: deque[E] = deque(maxlen=length)

    def add(self, entry: E) -> None:
        """Remember a decision."""
        if self._entries and self._entries[-1].kind == entry.kind:
            self._entries[-1] = entry
        else:
            self._entries.append(entry)

    @property
    def latest(self) -> E | None:
        """Return the last decision."""
        return self._entries[-1] if self._entries else None

    def entries(self) -> list[E]:
        """Return what is remembered, oldest first."""
        return list(self._entries)
