"""``cron``: a number of replicas between two recurring times, and none outside.

The rule keeps no state: the window is open when the next ``end`` comes no later than the next
``start``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field
from typing_extensions import override

from autoscaler.sdk import (
    Answer,
    CronSchedule,
    MetricError,
    MetricSpec,
    Param,
    Problem,
    Reading,
    Source,
    SourceContext,
    TriggerConfig,
    TriggerContext,
    external_metric,
    load_zone,
    reading_of,
    shorten,
)

_NEVER: Final = float("inf")
"""Stands for the next time of a schedule that does not fire within years."""


class CronConfig(TriggerConfig):
    """Parameters of a cron trigger."""

    connects_nowhere: ClassVar[bool] = True

    timezone: Annotated[str, Param("timezone", doc="IANA name, such as Europe/Berlin.")]
    start: Annotated[str, Param("start", doc="Cron expression: when the window opens.")]
    end: Annotated[str, Param("end", doc="Cron expression: when the window closes.")]
    desired_replicas: Annotated[
        int, Param("desiredReplicas", doc="Replicas while the window is open."), Field(ge=1)
    ]

    @override
    def check(self, context: TriggerContext) -> Iterable[Problem]:
        """Yield faulty expressions, an unknown zone and a window without length."""
        for name, text in (("start", self.start), ("end", self.end)):
            try:
                CronSchedule.parse(text)
            except ValueError as error:
                yield name, shorten(str(error), 160)
        if self.start == self.end:
            yield "end", "must differ from start"
        try:
            load_zone(self.timezone)
        except ValueError as error:
            yield "timezone", shorten(str(error), 160)


class CronScaler:
    """One cron trigger."""

    config_type: ClassVar[type[TriggerConfig]] = CronConfig
    tier: ClassVar[str] = "silver"
    description: ClassVar[str] = "Replicas between two recurring times"

    def __init__(self, config: CronConfig, context: TriggerContext) -> None:
        self._zone = load_zone(config.timezone)
        self._start = CronSchedule.parse(config.start)
        self._end = CronSchedule.parse(config.end)
        self._replicas = config.desired_replicas
        names = (config.timezone, schedule_name(config.start), schedule_name(config.end))
        self._metric = external_metric(context, f"cron-{'-'.join(names)}", 1)

    @classmethod
    def create(cls, config: Any, context: TriggerContext) -> CronScaler:
        """Build the scaler."""
        return cls(config, context)

    def metric_specs(self) -> Sequence[MetricSpec]:
        """Return the one metric, with one replica per unit as its target."""
        return (self._metric,)

    def source_key(self) -> Hashable:
        """Return that all cron triggers share the clock."""
        return "clock"

    def open_source(self, context: SourceContext) -> Source:
        """Build the source."""
        del context
        return ClockSource()

    def query(self, metric_name: str) -> Hashable:
        """Return the only question there is."""
        del metric_name
        return "now"

    def reading(self, metric_name: str, answer: Answer, at: float) -> Reading:
        """Return the replicas when the window is open, else 0."""
        del answer
        value = self._replicas if self.is_open(at) else 0
        return reading_of(metric_name, value, at, active=value > 0)

    def is_open(self, at: float) -> bool:
        """Whether ``at`` (epoch seconds) lies in the window."""
        closes = self._end.next_after(at, self._zone)
        opens = self._start.next_after(at, self._zone)
        return (_NEVER if closes is None else closes) <= (_NEVER if opens is None else opens)


class ClockSource:
    """The time; always available."""

    async def fetch(
        self, queries: Sequence[Hashable], at: float
    ) -> Mapping[Hashable, Answer | MetricError]:
        """Answer every query with the time."""
        return dict.fromkeys(queries, at)

    async def close(self) -> None:
        """Do nothing."""


def schedule_name(expression: str) -> str:
    """Return an expression as KEDA writes it in metric names."""
    return "".join(expression.split()).replace("*", "x").replace("/", "Sl").replace("?", "Qm")
