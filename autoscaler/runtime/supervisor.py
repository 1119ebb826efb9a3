"""Root tasks of the process: started together, and none of them may end unnoticed.

A service whose watch or poll loop died quietly looks healthy and does nothing. So a root task that
returns or raises before a stop was asked for stops all others, and the process ends with an error
for its supervisor (the kubelet) to restart. A wished stop (SIGTERM, SIGINT, :meth:`Supervisor.stop`)
is ordered: stop taking work, let draining tasks finish within the grace, cancel the rest, close.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from autoscaler.errors import AutoscalerError

DEFAULT_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class RootTaskEnded(AutoscalerError):
    """A root task ended although nobody asked it to; the cause is chained."""

    reason = "RootTaskEnded"


class Supervisor:
    """Runs named root tasks until one ends or a stop is asked for.

    Args:
        grace_seconds: How long draining tasks may take after a stop.
        cancel_seconds: How long cancelled tasks and closers may take each before they are reported
            as stuck and left behind.
    """

    def __init__(self, *, grace_seconds: float = 20.0, cancel_seconds: float = 5.0) -> None:
        self._grace_seconds = grace_seconds
        self._cancel_seconds = cancel_seconds

    def add(
        self,
        name: str,
        run: Callable[[], Coroutine[Any, Any, None]],
        *,
        drains: bool = False,
    ) -> None:
        """Add a root task; may also be called while running.

        Args:
            name: For logs.
            run: Coroutine function without arguments; must not return before a stop.
            drains: The task ends by itself after ``on_stop`` (workers on a closed queue); it is
                cancelled only when the grace is over. Others are cancelled once those are done.
        """
        raise NotImplementedError

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` first when stopping: stop taking work (``queue.close``)."""
        raise NotImplementedError

    def on_close(self, name: str, close: Callable[[], Awaitable[None]]) -> None:
        """Await ``close()`` after all tasks ended, last added first."""
        raise NotImplementedError

    def stop(self, cause: str = "stop requested") -> None:
        """Ask for the ordered stop; returns at once."""
        raise NotImplementedError

    async def run(self, *, signals: Sequence[signal.Signals] = DEFAULT_SIGNALS) -> None:
        """Run until stopped; returns after an ordered stop.

        Raises:
            RootTaskEnded: A root task ended unexpectedly; everything was stopped and closed.
        """
        raise NotImplementedError
