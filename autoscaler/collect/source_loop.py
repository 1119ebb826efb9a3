"""One source, read by one task: never twice at a time, never longer than its deadline."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
import structlog

from autoscaler.collect.breaker import Breaker
from autoscaler.collect.settings import CollectorSettings
from autoscaler.collect.slots import Slots, Ticket
from autoscaler.collect.subscription import Subscription, describe
from autoscaler.collect.timetable import Timetable
from autoscaler.core.model import Reading
from autoscaler.errors import MetricError, MetricMalformed, MetricUnavailable
from autoscaler.runtime.clock import Clock, loop_seconds
from autoscaler.sdk.scaler import Answer, Source

log = structlog.get_logger(__name__)

Delivery = Sequence[tuple[Subscription, Reading]]
SHORTEST_WAIT_SECONDS = 0.001
REUSED_SECONDS = 5.0
"""An answer younger than this, and than half a polling interval, is as good as a new one."""
HANGING_SECONDS = 1.0
"""A read that took longer, or half its deadline, and failed, was not refused: nobody answered."""


class SourceHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a source.

    Attributes:
        scaler: Class name of the scalers that use it.
        metrics: How many metrics it serves.
        is_open: Whether its breaker is open (it is left alone).
        last_error: Why the last whole read failed, empty if it did not.
        fetches: Reads so far.
        queries: Distinct queries asked so far.
    """

    scaler: str
    metrics: int
    is_open: bool
    last_error: str
    fetches: int
    queries: int


class FetchReport(msgspec.Struct, frozen=True, kw_only=True):
    """One read of a source, for metrics.

    Attributes:
        scaler: Class name of the scalers that use it.
        seconds: How long it took.
        queries: Distinct queries asked.
        error_reason: Reason of the whole failure, empty if there was none.
    """

    scaler: str
    seconds: float
    queries: int
    error_reason: str


class SourceLoop:
    """Reads a source whenever one of its metrics is due and delivers the readings."""

    def __init__(
        self,
        source: Source,
        *,
        scaler: str,
        clock: Clock,
        rng: random.Random,
        settings: CollectorSettings,
        slots: Slots,
        deliver: Callable[[Delivery], None],
        report: Callable[[FetchReport], None],
        first_interval_seconds: float,
    ) -> None:
        self._source = source
        self._scaler = scaler
        self._clock = clock
        self._settings = settings
        self._slots = slots
        self._deliver = deliver
        self._report = report
        self._breaker = Breaker(settings.breaker, rng)
        speed = 1.0 / loop_seconds(clock, 1.0)
        self._timetable = Timetable(
            clock.monotonic() + rng.random() * first_interval_seconds,
            window_seconds=settings.coalesce_seconds * speed,
            gap_seconds=settings.asked_gap_seconds * speed,
        )
        self._wake = asyncio.Event()
        self._stopped = False
        self._fetches = 0
        self._queries = 0
        self._probed = 0
        self._hangs = False
        self._ticket: Ticket | None = None
        self._answers: Mapping[Hashable, Answer | MetricError] = {}
        self._answered_at = (0.0, 0.0)

    def add(self, one: Subscription) -> None:
        """Serve another metric."""
        self._timetable.add(one, self._clock.monotonic())
        self._wake.set()

    def remove(self, one: Subscription) -> bool:
        """Stop serving a metric; say whether it was the last one."""
        self._timetable.remove(one)
        return len(self._timetable) == 0

    def recall(self, one: Subscription) -> Reading | None:
        """Return a reading of a new metric from the answer another one has just got, if any."""
        answer = self._answers.get(one.query)
        at, read_at = self._answered_at
        age = self._clock.monotonic() - read_at
        is_young = age < min(one.interval_seconds / 2, REUSED_SECONDS)
        if answer is None or isinstance(answer, MetricError) or not is_young:
            return None
        reading = one.reading(answer, at)
        return reading if reading.error is None else None

    def ask(self, wanted: Iterable[Subscription]) -> None:
        """Read metrics at once (unless the source is being left alone)."""
        self._timetable.ask(wanted, self._clock.monotonic())
        self._wake.set()

    def stop(self) -> None:
        """End :meth:`run` after the read under way and close the source."""
        self._stopped = True
        self._wake.set()

    def health(self) -> SourceHealth:
        """Return what is known about the source."""
        return SourceHealth(
            scaler=self._scaler,
            metrics=len(self._timetable),
            is_open=self._breaker.is_open,
            last_error=str(self._breaker.failure or ""),
            fetches=self._fetches,
            queries=self._queries,
        )

    async def run(self) -> None:
        """Read until stopped; closes the source at the end."""
        try:
            while not self._stopped:
                await self._sleep()
                if not self._stopped:
                    await self._turn()
        finally:
            self._give_back()
            await self._close()

    async def _sleep(self) -> None:
        self._wake.clear()
        due_at = self._timetable.next_at()
        if self._breaker.is_open and self._ticket is None:
            due_at = min(due_at, self._breaker.probe_at)
        if due_at == float("inf"):
            await self._wake.wait()
            return
        left = loop_seconds(self._clock, due_at - self._clock.monotonic())
        if left <= 0:
            return
        try:
            async with asyncio.timeout(max(left, SHORTEST_WAIT_SECONDS)):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _turn(self) -> None:
        now = self._clock.monotonic()
        if self._breaker.is_open and now >= self._breaker.probe_at:
            self._ask_for_slot()
        if self._ticket is not None and self._ticket.is_given:
            await self._probe()
            return
        due = self._timetable.take(now)
        if not due:
            return
        if self._hangs and not self._breaker.is_open:
            self._ask_for_slot()
        failure = self._breaker.failure
        if failure is not None and self._is_left_alone():
            at = self._clock.now()
            self._deliver([(one, one.reading(failure, at)) for one in due])
            return
        answers, at = await self._fetch(due)
        self._deliver([(one, one.reading(answers[one.query], at)) for one in due])

    def _is_left_alone(self) -> bool:
        """Whether metrics that are due get the last failure instead of a read."""
        return self._breaker.is_open or (self._ticket is not None and not self._ticket.is_given)

    def _ask_for_slot(self) -> None:
        """Ask to be let in as a source that fails; errors go on being delivered meanwhile."""
        if self._ticket is None:
            self._ticket = self._slots.ask(
                self._wake.set,
                hangs=self._hangs,
                failures=min(self._breaker.failures, self._settings.breaker.failures),
            )

    def _give_back(self) -> None:
        if self._ticket is not None:
            self._ticket.give_back()
            self._ticket = None

    async def _probe(self) -> None:
        """Ask one query of a source left alone; if it answers, read everything."""
        members = self._timetable.members()
        if not members:
            self._give_back()
            return
        self._probed += 1
        await self._fetch([members[self._probed % len(members)]])
        if self._breaker.failure is None:
            self._timetable.ask(members, self._clock.monotonic())

    async def _fetch(
        self, due: Sequence[Subscription]
    ) -> tuple[Mapping[Hashable, Answer | MetricError], float]:
        """Ask the distinct queries of ``due``; return an answer for each, and when it was asked."""
        queries = list(dict.fromkeys(one.query for one in due))
        loop = asyncio.get_running_loop()
        answers: Mapping[Hashable, Answer | MetricError]
        async with self._slot():
            at = self._clock.now()
            began = loop.time()
            try:
                answers = await self._ask_source(queries, at)
                failure = _unreachable(answers)
            except MetricError as error:
                answers, failure = dict.fromkeys(queries, error), error
            took = loop.time() - began
        patience = min(HANGING_SECONDS, self._settings.deadline_seconds / 2)
        self._hangs = failure is not None and took >= patience
        self._answers, self._answered_at = answers, (at, self._clock.monotonic())
        self._fetches += 1
        self._queries += len(queries)
        self._note(failure)
        self._report(
            FetchReport(
                scaler=self._scaler,
                seconds=took,
                queries=len(queries),
                error_reason=failure.reason if failure else "",
            )
        )
        return answers, at

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Hold a slot: the one that was given already, else the next one."""
        if self._ticket is None:
            async with self._slots.slot():
                yield
            return
        try:
            yield
        finally:
            self._give_back()

    def _note(self, failure: MetricError | None) -> None:
        if failure is None:
            self._breaker.succeeded()
            return
        self._breaker.failed(
            failure,
            now=self._clock.monotonic(),
            interval_seconds=self._timetable.shortest_interval_seconds,
        )

    async def _ask_source(
        self, queries: Sequence[Hashable], at: float
    ) -> Mapping[Hashable, Answer | MetricError]:
        """Ask the source; raises MetricError when none of the queries could be asked."""
        deadline = self._settings.deadline_seconds
        try:
            async with asyncio.timeout(deadline):
                given = await self._source.fetch(queries, at)
        except TimeoutError:
            raise MetricUnavailable(f"no answer within {deadline:g} s") from None
        except MetricError:
            raise
        except Exception as error:
            # The poll loop outlives a scaler's bug: it is an error of this source's triggers only.
            log.warning("source_failed", exc_info=error, scaler=self._scaler)
            raise MetricError(describe(error)) from error
        silent = MetricMalformed("the source gave no answer to this query")
        return {query: given.get(query, silent) for query in queries}

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(self._settings.close_seconds):
                await self._source.close()
        except Exception as error:
            log.warning("source_not_closed", exc_info=error, scaler=self._scaler)


def _unreachable(answers: Mapping[Hashable, Answer | MetricError]) -> MetricError | None:
    """Return an error when no query got through; a refused query shows that the source lives."""
    first: MetricError | None = None
    for answer in answers.values():
        if not isinstance(answer, MetricUnavailable):
            return None
        first = first or answer
    return first
