"""``redis``: length of a Redis list, set, sorted set or hash.

All lists of one Redis database are counted in one round trip.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Annotated, ClassVar, Self

from typing_extensions import override

from autoscaler.sdk import (
    Answer,
    MetricMalformed,
    MetricSpec,
    Param,
    Problem,
    Reading,
    SourceContext,
    TriggerConfig,
    TriggerContext,
)
from autoscaler.sdk.metrics import check_target, external_metric, reading_of
from autoscaler.sdk.redis import Length, RedisConnection, RedisSource


class RedisListConfig(TriggerConfig):
    """Parameters of the ``redis`` trigger."""

    connection: RedisConnection
    list_name: Annotated[str, Param("listName", doc="Key whose elements are counted.")]
    list_length: Annotated[int, Param("listLength", doc="Target number of elements.")] = 5
    activation_list_length: Annotated[
        int, Param("activationListLength", doc="The trigger is active above this many elements.")
    ] = 0

    @override
    def check(self, context: TriggerContext) -> Iterable[Problem]:
        return check_target("listLength", self.list_length, context)


class RedisListScaler:
    """One list; see :class:`autoscaler.sdk.Scaler`."""

    config_type: ClassVar[type[TriggerConfig]] = RedisListConfig
    tier: ClassVar[str] = "gold"
    description: ClassVar[str] = "Length of a Redis list, set, sorted set or hash"

    def __init__(self, config: RedisListConfig, context: TriggerContext) -> None:
        self._query = Length(config.list_name)
        self._endpoint = config.connection.endpoint()
        self._spec = external_metric(
            context,
            f"redis-{config.list_name}",
            config.list_length,
            config.activation_list_length,
        )

    @classmethod
    def create(cls, config: RedisListConfig, context: TriggerContext) -> Self:
        """Build the scaler of one trigger."""
        return cls(config, context)

    def metric_specs(self) -> Sequence[MetricSpec]:
        """Return the one metric."""
        return (self._spec,)

    def source_key(self) -> Hashable:
        """Return the Redis database and as whom it is read."""
        return self._endpoint

    def open_source(self, context: SourceContext) -> RedisSource:
        """Build the connection, shared with streams of the same database."""
        return RedisSource(self._endpoint, timeout_seconds=context.http.timeout_seconds)

    def query(self, metric_name: str) -> Hashable:
        """Return which key to count."""
        assert metric_name == self._spec.name
        return self._query

    def reading(self, metric_name: str, answer: Answer, at: float) -> Reading:
        """Return the number of elements."""
        if not isinstance(answer, int):
            raise MetricMalformed(f'Redis key "{self._query.key}": no number in {answer!r:.80}')
        return reading_of(metric_name, answer, at)
