"""The workers: keys from the queue, one reconcile each, and when one that failed is tried again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from autoscaler.controller.reconcile import NextTurn
from autoscaler.controller.settings import ControllerSettings
from autoscaler.errors import KubeError
from autoscaler.runtime.clock import Clock, loop_seconds
from autoscaler.runtime.throttle import ErrorThrottle
from autoscaler.runtime.workqueue import QueueClosed, WorkQueue
from autoscaler.telemetry.metrics import Metrics

QUICK_RETRY_SECONDS: Final = 0.2
SLOW_RETRY_SECONDS: Final = 8.0
"""An API server that is back must not wait long for us: work goes on within two polls of a few
seconds. What many failing objects ask of it is bounded by the connection's rate limit."""
RETRY_AFTER_SECONDS_MAX: Final = 60.0
"""Longest patience a ``Retry-After`` gets."""

log = structlog.get_logger(__name__)


async def _let_others_run() -> None:
    await asyncio.sleep(0)


class Workers:
    """Serial within a key, concurrent across keys.

    Args:
        queue: Of keys.
        reconcile: Looks at one object and does what is needed; may raise anything.
        settings: How long a reconcile may take.
        clock: The time next turns are told in.
        metrics: Counts reconciles.
        rng: Jitter of repetitions.
        pause: Waited for between two turns: most never wait themselves, and a thousand of them in
            a row must hold up nobody.
    """

    def __init__(
        self,
        queue: WorkQueue[str],
        reconcile: Callable[[str], Awaitable[NextTurn]],
        *,
        settings: ControllerSettings,
        clock: Clock,
        metrics: Metrics,
        rng: random.Random,
        pause: Callable[[], Awaitable[None]] = _let_others_run,
    ) -> None:
        self._queue = queue
        self._reconcile = reconcile
        self._throttle: ErrorThrottle[str] = ErrorThrottle(
            rng, base_seconds=QUICK_RETRY_SECONDS, cap_seconds=SLOW_RETRY_SECONDS
        )
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self._pause = pause
        self._not_before: dict[str, float] = {}

    async def run(self) -> None:
        """Work until the queue is closed; any number of these may run."""
        while True:
            try:
                key = await self._queue.get()
            except QueueClosed:
                return
            try:
                if not self._must_wait(key):
                    await self._turn(key)
            finally:
                self._queue.done(key)
            await self._pause()

    async def _turn(self, key: str) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        outcome = "ok"
        try:
            async with asyncio.timeout(self._settings.reconcile_seconds):
                turn = await self._reconcile(key)
            if turn.has_failed:
                outcome = "refused"
                self._queue.add_after(key, self._patience(key, turn.patience_seconds))
            else:
                self._throttle.succeeded(key)
            if turn.loop_seconds is not None:
                self._queue.add_after(key, turn.loop_seconds)
            if turn.seconds is not None:
                self._queue.add_after(key, loop_seconds(self._clock, turn.seconds))
        except Exception as error:
            # One object's failure must not end the worker, whatever it is.
            outcome = getattr(error, "reason", type(error).__name__)
            delay = self._patience(key, getattr(error, "retry_after_seconds", None))
            self._queue.add_after(key, delay)
            if isinstance(error, KubeError):
                log.warning("reconcile_failed", object=key, error=str(error), retry_seconds=delay)
            else:
                log.exception("reconcile_failed", object=key, retry_seconds=delay)
        self._metrics.reconciles.labels(outcome).observe(loop.time() - began)

    def _patience(self, key: str, asked_seconds: float | None) -> float:
        """Return when to try again after a failure; a wish of the API server is held to."""
        now = asyncio.get_running_loop().time()
        wish = min(asked_seconds or 0.0, RETRY_AFTER_SECONDS_MAX)
        if wish:
            self._not_before[key] = now + wish
        return self._throttle.failed(key, now, at_least=wish)

    def _must_wait(self, key: str) -> bool:
        """Whether the API server asked for more patience; readings that arrive do not end it."""
        until = self._not_before.get(key)
        if until is None:
            return False
        left = until - asyncio.get_running_loop().time()
        if left <= 0:
            del self._not_before[key]
            return False
        self._queue.add_after(key, left)
        return True
