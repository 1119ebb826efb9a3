"""Asking a source many distinct questions at once, with a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Final, TypeVar

from autoscaler.errors import MetricError
from autoscaler.sdk.http import NoConnection
from autoscaler.sdk.scaler import Answer

DEFAULT_CONCURRENCY: Final = 16

Q = TypeVar("Q", bound=Hashable)


async def fetch_each(
    queries: Sequence[Q],
    ask: Callable[[Q], Awaitable[Answer]],
    *,
    concurrency: int = DEFAULT_CONCURRENCY,
) -> Mapping[Hashable, Answer | MetricError]:
    """Ask every query, at most ``concurrency`` at a time.

    Once nobody answers at the address at all, the queries not yet sent fail the same way at once
    instead of each waiting for its own timeout.

    Args:
        queries: Distinct.
        ask: Answers one query, or raises MetricError for it.
        concurrency: Queries in flight.

    Returns:
        An answer or the error for each query.
    """
    answers: dict[Hashable, Answer | MetricError] = {}
    waiting = list(reversed(queries))
    unreachable: NoConnection | None = None

    async def work() -> None:
        nonlocal unreachable
        while waiting:
            query = waiting.pop()
            if unreachable is not None:
                answers[query] = unreachable
                continue
            try:
                answers[query] = await ask(query)
            except NoConnection as error:
                unreachable = answers[query] = error
            except MetricError as error:
                answers[query] = error

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(queries))):
            group.create_task(work(), name="fetch")
    return answers
