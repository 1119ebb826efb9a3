"""Polling: every object's metrics are read on time, each source by one task."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from autoscaler.collect.push import follow
from autoscaler.collect.readings import ReadingTable
from autoscaler.collect.settings import CollectorSettings
from autoscaler.collect.slots import Slots
from autoscaler.collect.source_loop import Delivery, FetchReport, SourceHealth, SourceLoop
from autoscaler.collect.subscription import MetricReader, Subscription, subscriptions
from autoscaler.sdk.scaler import PushScaler, SourceContext


def _ignore(_: FetchReport) -> None:
    return


class _Push(NamedTuple):
    """A push scaler and the task that follows it."""

    scaler: PushScaler
    task: asyncio.Task[None]


class Collector:
    """Keeps a :class:`ReadingTable` current for all registered objects.

    Reads are grouped by source: whatever is due of one source at one time is one
    :meth:`Source.fetch` with each distinct query once. Whoever registers decides nothing here;
    the readings do not wait for reconciling, nor reconciling for them.

    Args:
        context: Given to sources and push scalers.
        on_readings: Called with an object's key after new readings of it were stored.
        rng: Jitter.
        settings: Bounds.
        on_fetch: Called after each read of a source.
    """

    def __init__(
        self,
        context: SourceContext,
        *,
        on_readings: Callable[[str], None],
        rng: random.Random,
        settings: CollectorSettings | None = None,
        on_fetch: Callable[[FetchReport], None] = _ignore,
    ) -> None:
        self._context = context
        self._on_readings = on_readings
        self._rng = rng
        self._settings = settings or CollectorSettings()
        self._on_fetch = on_fetch
        self._slots = Slots(self._settings.concurrent_sources)
        self._sources: dict[Hashable, SourceLoop] = {}
        self._objects: dict[str, list[Subscription]] = {}
        self._pushes: dict[str, list[_Push]] = {}
        self._group: asyncio.TaskGroup | None = None
        self.readings = ReadingTable()

    def register(self, key: str, readers: Sequence[tuple[MetricReader, float]]) -> None:
        """Read an object's metrics, each reader's every so many seconds.

        New or changed metrics are read at once. Where somebody has just asked the same, the reading
        is there when this returns, and ``on_readings`` is not called for it.

        Replaces an earlier registration of ``key``. Metrics of a scaler that was registered before
        keep their readings, and a read under way, and are not read early; nothing that another
        scaler made of an answer is kept.

        Raises:
            ConfigError: A source cannot be built; the earlier registration stays.
        """
        before = {one.metric: one for one in self._objects.get(key, ())}
        wanted = [
            one.or_same(before.get(one.metric))
            for reader, seconds in readers
            for one in subscriptions(key, reader, seconds)
        ]
        self._open_sources(wanted)
        added = [one for one in wanted if one is not before.get(one.metric)]
        self.readings.open(key, [one.metric for one in wanted])
        self.readings.forget(
            key, [one.metric for one in added if not one.reads_the_same(before.get(one.metric))]
        )
        self._objects[key] = wanted
        for one in added:
            self._sources[one.source_key].add(one)
        known = self.readings.of(key)
        self._read([one for one in added if one.metric not in known])
        self._release(set(before.values()).difference(wanted))
        self._update_pushes(key, wanted)

    def unregister(self, key: str) -> None:
        """Stop reading an object's metrics and forget its readings."""
        self._release(self._objects.pop(key, ()))
        self.readings.drop(key)
        self._stop_pushes(key)

    def ask(self, key: str) -> None:
        """Read all metrics of an object at once."""
        for one in self._objects.get(key, ()):
            self._sources[one.source_key].ask([one])

    def renew(self, key: str) -> None:
        """Forget an object's readings and read it anew, unless somebody has just asked the same."""
        wanted = self._objects.get(key, ())
        self.readings.forget(key, [one.metric for one in wanted])
        self._read(wanted)

    def is_registered(self, key: str) -> bool:
        """Whether the object's metrics are being read."""
        return key in self._objects

    def sources(self) -> list[SourceHealth]:
        """Return what is known about every source in use."""
        return [source.health() for source in self._sources.values()]

    async def run(self) -> None:
        """Read until cancelled; sources are closed before it returns."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for source in self._sources.values():
                    group.create_task(source.run(), name="collect-source")
                for key, wanted in self._objects.items():
                    self._update_pushes(key, wanted)
                await asyncio.Event().wait()
            finally:
                self._group = None

    def _read(self, wanted: Iterable[Subscription]) -> None:
        """Read metrics at once, from an answer that is still warm or from the source.

        Whoever registers looks at warm readings next; to be told of them, too, would make an object
        that is registered anew after each failure fail without a pause.
        """
        for one in wanted:
            source = self._sources[one.source_key]
            reading = source.recall(one)
            if reading is None:
                source.ask([one])
            else:
                self.readings.put(one.key, reading)

    def _open_sources(self, wanted: Iterable[Subscription]) -> None:
        """Make sure each metric has its source; all or none."""
        opened: dict[Hashable, SourceLoop] = {}
        for one in wanted:
            key = one.source_key
            if key in self._sources or key in opened:
                continue
            opened[key] = SourceLoop(
                one.scaler.open_source(self._context),
                scaler=type(one.scaler).__name__,
                clock=self._context.clock,
                rng=self._rng,
                settings=self._settings,
                slots=self._slots,
                deliver=self._store,
                report=self._on_fetch,
                first_interval_seconds=one.interval_seconds,
            )
        for key, source in opened.items():
            self._sources[key] = source
            if self._group is not None:
                self._group.create_task(source.run(), name="collect-source")

    def _release(self, unused: Iterable[Subscription]) -> None:
        for one in unused:
            source = self._sources[one.source_key]
            if source.remove(one):
                source.stop()
                del self._sources[one.source_key]

    def _update_pushes(self, key: str, wanted: Sequence[Subscription]) -> None:
        """Follow the object's push scalers; one that is followed already goes on undisturbed."""
        pushing = {
            id(one.scaler): one.scaler for one in wanted if isinstance(one.scaler, PushScaler)
        }
        kept = [one for one in self._pushes.get(key, ()) if id(one.scaler) in pushing]
        for one in self._pushes.pop(key, ()):
            if one not in kept:
                one.task.cancel()
        for one in kept:
            del pushing[id(one.scaler)]
        if self._group is None or not (pushing or kept):
            return
        for scaler in pushing.values():
            following = follow(scaler, self._context, partial(self._pushed, key, scaler), self._rng)
            task = self._group.create_task(following, name=f"collect-push {key}")
            kept.append(_Push(scaler, task))
        self._pushes[key] = kept

    def _pushed(self, key: str, scaler: PushScaler) -> None:
        for one in self._objects.get(key, ()):
            if one.scaler is scaler and one.source_key in self._sources:
                self._sources[one.source_key].ask([one])

    def _stop_pushes(self, key: str) -> None:
        for one in self._pushes.pop(key, ()):
            one.task.cancel()

    def _store(self, delivered: Delivery) -> None:
        changed = dict.fromkeys(
            one.key
            for one, reading in delivered
            if one in self._objects.get(one.key, ()) and self.readings.put(one.key, reading)
        )
        for key in changed:
            self._on_readings(key)
