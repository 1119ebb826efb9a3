"""Push scalers: what a source says by itself becomes an immediate read."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog

from autoscaler.collect.subscription import describe
from autoscaler.runtime.backoff import Backoff
from autoscaler.runtime.clock import loop_seconds
from autoscaler.sdk.scaler import PushScaler, SourceContext

log = structlog.get_logger(__name__)

RECONNECT_SECONDS = 2.0
RECONNECT_SECONDS_MAX = 60.0


async def follow(
    scaler: PushScaler, context: SourceContext, ask: Callable[[], None], rng: random.Random
) -> None:
    """Call ``ask`` whenever the scaler reports activity; reconnect for ever, with back-off.

    A reading, never the push itself, decides: ``ask`` only makes the next read come sooner, and
    how soon is bounded by the timetable of the source. Runs until cancelled.
    """
    backoff = Backoff(rng, base_seconds=RECONNECT_SECONDS, cap_seconds=RECONNECT_SECONDS_MAX)
    while True:
        try:
            # What it says is no sign of health: servers state the activity as soon as they are
            # asked, and may fail right after it.
            async for active in scaler.activity(context):
                if active:
                    ask()
            # An ordered end says that the source is well; it may only have moved.
            backoff.reset()
        except Exception as error:  # noqa: BLE001 - polling goes on without the push stream
            log.info("push_stream_failed", error=describe(error), scaler=type(scaler).__name__)
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(loop_seconds(context.clock, backoff.next_delay(now)))
