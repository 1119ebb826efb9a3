"""Push scalers: what a source says by itself becomes an immediate read."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from autoscaler.runtime.clock import loop_seconds
from autoscaler.sdk.scaler import PushScaler, SourceContext

log = logging.getLogger(__name__)

RECONNECT_SECONDS = 1.0
RECONNECT_SECONDS_MAX = 60.0


async def follow(
    scaler: PushScaler, context: SourceContext, ask: Callable[[], None], rng: random.Random
) -> None:
    """Call ``ask`` whenever the scaler reports activity; reconnect for ever, with back-off.

    A reading, never the push itself, decides: ``ask`` only makes the next read come sooner, and
    how soon is bounded by the timetable of the source. Runs until cancelled.
    """
    wait = RECONNECT_SECONDS
    while True:
        try:
            async for active in scaler.activity(context):
                wait = RECONNECT_SECONDS
                if active:
                    ask()
        except Exception as error:  # noqa: BLE001 - polling goes on without the push stream
            log.info(
                "push_stream_failed", extra={"error": str(error), "type": type(error).__name__}
            )
        await asyncio.sleep(loop_seconds(context.clock, wait * rng.uniform(0.5, 1.0)))
        wait = min(wait * 2, RECONNECT_SECONDS_MAX)
