"""A clock that follows the event loop, so that virtual time moves both."""

from __future__ import annotations

import asyncio

EPOCH = 1_700_000_000.0


class LoopClock:
    """Loop time as wall time; usable only while a loop runs."""

    def now(self) -> float:
        """Return epoch seconds."""
        return EPOCH + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()
