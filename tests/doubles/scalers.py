"""Scalers and sources that do what a test tells them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from typing import Any, ClassVar

from autoscaler.core.model import MetricSpec, Reading
from autoscaler.errors import MetricError, MetricMalformed
from autoscaler.sdk.config import TriggerConfig
from autoscaler.sdk.scaler import Scaler, SourceContext, TriggerContext


class ScriptedSource:
    """Answers from ``values``; ``failure`` fails everything, ``hang_seconds`` delays."""

    def __init__(self) -> None:
        self.values: dict[Hashable, Any] = {}
        self.failure: BaseException | None = None
        self.hang_seconds = 0.0
        self.fetches: list[tuple[float, tuple[Hashable, ...]]] = []
        self.running = 0
        self.running_max = 0
        self.closed = 0
        self.opened = 0

    async def fetch(
        self, queries: Sequence[Hashable], at: float
    ) -> Mapping[Hashable, Any | MetricError]:
        """Record the call and answer."""
        self.fetches.append((asyncio.get_running_loop().time(), tuple(queries)))
        self.running += 1
        self.running_max = max(self.running, self.running_max)
        try:
            if self.hang_seconds:
                await asyncio.sleep(self.hang_seconds)
            if self.failure is not None:
                raise self.failure
            return {query: self.values[query] for query in queries if query in self.values}
        finally:
            self.running -= 1

    async def close(self) -> None:
        """Count."""
        assert self.running == 0
        self.closed += 1

    @property
    def times(self) -> list[float]:
        """When it was asked, loop seconds."""
        return [round(at, 3) for at, _ in self.fetches]


class StubConfig(TriggerConfig):
    """Nothing to configure."""


class StubScaler:
    """A trigger whose metrics are given, over a source shared by everybody with its ``place``."""

    config_type: ClassVar[type[TriggerConfig]] = StubConfig
    tier: ClassVar[str] = "bronze"
    description: ClassVar[str] = "For tests."

    def __init__(
        self,
        source: ScriptedSource,
        *queries: str,
        index: int = 0,
        place: str = "here",
        specs: Sequence[MetricSpec] | None = None,
        factor: float = 1,
    ) -> None:
        self.source = source
        self.place = place
        self.factor = factor
        self.specs = specs or [
            MetricSpec(name=f"s{index}-{query}", target_milli=1000) for query in queries
        ]

    @classmethod
    def create(cls, config: Any, context: TriggerContext) -> Scaler:
        """Not used: tests build their stubs."""
        raise NotImplementedError

    def metric_specs(self) -> Sequence[MetricSpec]:
        """Return one metric per query."""
        return self.specs

    def source_key(self) -> Hashable:
        """Return the place."""
        return self.place

    def open_source(self, context: SourceContext) -> ScriptedSource:
        """Hand out the source."""
        self.source.opened += 1
        return self.source

    def query(self, metric_name: str) -> Hashable:
        """Return the metric without its index."""
        return metric_name.partition("-")[2]

    def reading(self, metric_name: str, answer: Any, at: float) -> Reading:
        """Return the answer, times ``factor``, as the value."""
        if not isinstance(answer, int | float):
            raise MetricMalformed(f"{answer!r} is no number")
        if not math.isfinite(answer):
            return Reading(metric=metric_name, sampled_at=at, value=answer, values_milli=(0,))
        return Reading.of(metric_name, answer * self.factor, at)


class StubPushScaler(StubScaler):
    """A stub whose source can push; ``events`` holds what it says, an exception breaks it."""

    def __init__(self, source: ScriptedSource, *queries: str, **options: Any) -> None:
        super().__init__(source, *queries, **options)
        self.events: asyncio.Queue[bool | Exception] = asyncio.Queue()
        self.streams = 0

    async def activity(self, context: SourceContext) -> AsyncIterator[bool]:
        """Yield what is put into ``events``."""
        self.streams += 1
        while True:
            event = await self.events.get()
            if isinstance(event, Exception):
                raise event
            yield event
