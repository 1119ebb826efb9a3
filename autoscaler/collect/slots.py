"""Slots: how many sources are read at the same time, and how many of those may be hanging."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

HANGING_SHARE: Final = 0.5
"""Of the slots, for sources that hang: a hundred dead ones with their deadlines hold no more."""


class Ticket:
    """A wish for a slot, and the slot once it is given."""

    __slots__ = ("_on_given", "_slots", "hangs", "is_given", "is_over", "number")

    def __init__(
        self, slots: Slots, number: int, on_given: Callable[[], None], *, hangs: bool
    ) -> None:
        self._slots = slots
        self._on_given = on_given
        self.number = number
        self.hangs = hangs
        self.is_given = False
        self.is_over = False

    def give(self) -> None:
        """Let the source be read from now on."""
        self.is_given = True
        self._on_given()

    def give_back(self) -> None:
        """End with the slot, or with waiting for it."""
        if not self.is_over:
            self.is_over = True
            self._slots.take_back(self)


class Slots:
    """Gives slots to whoever asks first, but at most a share of them to sources that hang.

    A source that answers nobody holds its slot until the deadline, and is tried again and again.
    Without the share a few dozen of them would hold all slots most of the time, and sources that
    answer at once would wait for them.

    Args:
        count: Sources read at the same time.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._free_for_hanging = max(1, int(count * HANGING_SHARE))
        self._numbers = itertools.count()
        self._waiting: deque[Ticket] = deque()
        self._hanging: list[tuple[int, int, Ticket]] = []

    def ask(
        self, on_given: Callable[[], None], *, hangs: bool = False, failures: int = 0
    ) -> Ticket:
        """Ask for a slot; it may be given before this returns.

        Args:
            on_given: Called when it is given.
            hangs: The source did not answer in time when it was read last.
            failures: Of its reads in a row; of those that hang, the one with the fewest is first.
        """
        ticket = Ticket(self, next(self._numbers), on_given, hangs=hangs)
        if hangs:
            heapq.heappush(self._hanging, (failures, ticket.number, ticket))
        else:
            self._waiting.append(ticket)
        self._give()
        return ticket

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot, for a source that does not hang; waits for it."""
        given = asyncio.Event()
        ticket = self.ask(given.set)
        try:
            await given.wait()
            yield
        finally:
            ticket.give_back()

    def take_back(self, ticket: Ticket) -> None:
        """Pass a slot on; called by its ticket."""
        if ticket.is_given:
            self._free += 1
            self._free_for_hanging += ticket.hangs
            self._give()

    def _give(self) -> None:
        while self._free and (ticket := self._take_next()) is not None:
            self._free -= 1
            self._free_for_hanging -= ticket.hangs
            ticket.give()

    def _take_next(self) -> Ticket | None:
        """Take out who waits longest of those that may have a slot now."""
        while self._waiting and self._waiting[0].is_over:
            self._waiting.popleft()
        while self._hanging and self._hanging[0][2].is_over:
            heapq.heappop(self._hanging)
        hanging = self._hanging[0][2] if self._hanging and self._free_for_hanging > 0 else None
        if self._waiting and (hanging is None or self._waiting[0].number < hanging.number):
            return self._waiting.popleft()
        if hanging is not None:
            heapq.heappop(self._hanging)
        return hanging
