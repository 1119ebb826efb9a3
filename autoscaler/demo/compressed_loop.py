"""An event loop whose time runs faster than the wall's.

Everything that sleeps or times out through asyncio (the controller, the embedded cluster, the
world around them) runs unchanged, only sooner. Real work is not accelerated: a round trip of one
millisecond takes ``speed`` milliseconds of this loop's time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from typing_extensions import override

T = TypeVar("T")


class CompressedSelector(selectors.DefaultSelector):
    """A selector that waits ``speed`` times less than asked."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for at most ``timeout / speed`` seconds."""
        return super().select(timeout if timeout is None else timeout / self._speed)


class CompressedLoop(asyncio.SelectorEventLoop):
    """A loop in which ``speed`` seconds pass per second; ``speed`` > 0."""

    def __init__(self, speed: float) -> None:
        assert speed > 0
        super().__init__(CompressedSelector(speed))
        self._speed = speed
        self._started = super().time()

    @override
    def time(self) -> float:
        """Return the loop's time, seconds."""
        base = super().time()
        started = getattr(self, "_started", base)
        return started + (base - started) * getattr(self, "_speed", 1.0)


class LoopClock:
    """A clock that agrees with the running loop, whatever kind of loop that is."""

    def __init__(self, origin_at: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._origin_at = origin_at
        self._started = self._loop.time()

    def now(self) -> float:
        """Return ``origin_at`` plus the loop's seconds since the clock was made."""
        return self._origin_at + self._loop.time() - self._started

    def monotonic(self) -> float:
        """Return the loop's time."""
        return self._loop.time()


def run(main: Callable[[], Coroutine[Any, Any, T]], *, speed: float) -> T:
    """Run a coroutine function on a loop compressed by ``speed``; returns its result."""
    with asyncio.Runner(loop_factory=lambda: CompressedLoop(speed)) as runner:
        return runner.run(main())
