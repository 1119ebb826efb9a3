"""Root tasks of the process: started together, and none of them may end unnoticed.

A service whose watch or poll loop died quietly looks healthy and does nothing. So a root task that
returns or raises before a stop was asked for stops all others, and the process ends with an error
for its supervisor (the kubelet) to restart. A wished stop (SIGTERM, SIGINT, ``Supervisor.stop``) is
ordered: stop taking work, let draining tasks finish within the grace, cancel the rest, close.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import structlog

from autoscaler.errors import AutoscalerError

DEFAULT_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

Run = Callable[[], Coroutine[Any, Any, None]]
Close = Callable[[], Awaitable[None]]

_log = structlog.get_logger(__name__)


class RootTaskEnded(AutoscalerError):
    """A root task ended although nobody asked it to; its exception, if any, is the cause."""

    reason = "RootTaskEnded"


class Supervisor:
    """Runs named root tasks until one ends or a stop is asked for.

    Args:
        grace_seconds: How long draining tasks may take after a stop.
        cancel_seconds: How long cancelled tasks, and each closer, may take before they are reported
            as stuck and left behind.
    """

    def __init__(self, *, grace_seconds: float = 20.0, cancel_seconds: float = 5.0) -> None:
        self._grace_seconds = grace_seconds
        self._cancel_seconds = cancel_seconds
        self._waiting: list[tuple[str, Run, bool]] = []
        self._tasks: dict[asyncio.Task[None], bool] = {}
        self._on_stop: list[Callable[[], None]] = []
        self._closers: list[tuple[str, Close]] = []
        self._is_running = False
        self._stop_cause: str | None = None
        self._failure: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()

    @property
    def is_stopping(self) -> bool:
        """Whether a stop has begun; ``/readyz`` should say no from then on."""
        return self._stopping.is_set()

    def add(self, name: str, run: Run, *, drains: bool = False) -> None:
        """Add a root task; may also be called while running, is ignored once stopping.

        Args:
            name: For logs.
            run: Coroutine function without arguments; must not return before a stop.
            drains: The task ends by itself after ``on_stop`` (workers on a closed queue); it is
                cancelled only when the grace is over. Others are cancelled once those are done.
        """
        if self._stopping.is_set():
            return
        if self._is_running:
            self._start(name, run, drains=drains)
        else:
            self._waiting.append((name, run, drains))

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` first when stopping: stop taking work (``queue.close``)."""
        self._on_stop.append(callback)

    def on_close(self, name: str, close: Close) -> None:
        """Await ``close()`` after all tasks ended, last added first."""
        self._closers.append((name, close))

    def stop(self, cause: str = "stop requested") -> None:
        """Ask for the ordered stop; returns at once. Asked again, the grace is cut short."""
        if self._stopping.is_set():
            self._hurried.set()
            return
        self._stop_cause = cause
        self._stopping.set()

    async def run(self, *, signals: Sequence[signal.Signals] = DEFAULT_SIGNALS) -> None:
        """Run until stopped; returns after an ordered stop.

        Args:
            signals: Which signals ask for the stop; a second one cuts the grace short.

        Raises:
            RootTaskEnded: A root task ended unexpectedly; everything was stopped and closed.
        """
        self._is_running = True
        with self._signals(signals):
            try:
                for name, run, drains in self._waiting:
                    self._start(name, run, drains=drains)
                await self._stopping.wait()
                _log.info("stopping", cause=self._stop_cause)
            finally:
                # Also when run() itself is cancelled: tasks are never left behind.
                self._stopping.set()
                await self._wind_down()
        if self._failure is not None:
            name = self._failure.get_name()
            error = None if self._failure.cancelled() else self._failure.exception()
            how = f"failed: {error!r}" if error else "ended"
            raise RootTaskEnded(f"root task {name!r} {how} while the service runs") from error

    def _start(self, name: str, run: Run, *, drains: bool) -> None:
        task = asyncio.create_task(run(), name=name)
        self._tasks[task] = drains
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if self._stopping.is_set():
            if error is not None:
                _log.error("root_task_failed_while_stopping", task=task.get_name(), exc_info=error)
            return
        _log.critical("root_task_ended", task=task.get_name(), exc_info=error)
        self._failure = task
        self.stop(f"root task {task.get_name()!r} ended")

    async def _wind_down(self) -> None:
        for callback in self._on_stop:
            try:
                callback()
            except Exception:  # noqa: BLE001 -- one failing callback must not keep the rest running
                _log.exception("stop_callback_failed")
        draining = {task for task, drains in self._tasks.items() if drains and not task.done()}
        if draining and self._failure is None:
            await self._grace(draining)
        running = {task for task in self._tasks if not task.done()}
        for task in running:
            task.cancel()
        if running:
            _, stuck = await asyncio.wait(running, timeout=self._cancel_seconds)
            for task in stuck:
                _log.error("root_task_stuck", task=task.get_name(), at=_where(task))
        for name, close in reversed(self._closers):
            try:
                async with asyncio.timeout(self._cancel_seconds):
                    await close()
            except Exception:  # noqa: BLE001 -- the remaining closers must have their turn
                _log.exception("close_failed", resource=name)

    async def _grace(self, draining: set[asyncio.Task[None]]) -> None:
        hurry = asyncio.create_task(self._hurried.wait(), name="hurry")
        loop = asyncio.get_running_loop()
        over_at = loop.time() + self._grace_seconds
        pending: set[asyncio.Task[Any]] = set(draining)
        while pending and not hurry.done() and loop.time() < over_at:
            _, waiting = await asyncio.wait(
                {*pending, hurry},
                timeout=over_at - loop.time(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            pending = waiting - {hurry}
        hurry.cancel()
        for task in pending:
            _log.warning("grace_over", task=task.get_name(), at=_where(task))

    @contextmanager
    def _signals(self, signals: Sequence[signal.Signals]) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in signals:
            loop.add_signal_handler(number, self.stop, f"received {number.name}")
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)


def _where(task: asyncio.Task[Any]) -> str:
    """Return ``file:line in function`` of the innermost frame a task waits in."""
    frames = task.get_stack()
    if not frames:
        return "no frame"
    code = frames[-1].f_code
    return f"{code.co_filename}:{frames[-1].f_lineno} in {code.co_name}"
