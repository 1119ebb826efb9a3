"""The ``kafka`` trigger: a group's offsets to one lag metric."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import ClassVar, Self

from autoscaler.sdk import (
    Answer,
    MetricMalformed,
    MetricRejected,
    MetricSpec,
    Reading,
    SourceContext,
    TriggerConfig,
    TriggerContext,
)
from autoscaler.sdk.metrics import external_metric, reading_of
from scalers.kafka.config import KafkaConfig
from scalers.kafka.lag import NEVER_COMMITTED, Partition, TopicPartition, lag_of
from scalers.kafka.source import GroupOffsets, KafkaSource


class KafkaScaler:
    """One consumer group; see :class:`autoscaler.sdk.Scaler`.

    With ``excludePersistentLag`` the scaler remembers the committed offsets of the previous poll;
    only a later poll replaces them, however often a reading is made of the same one.
    """

    config_type: ClassVar[type[TriggerConfig]] = KafkaConfig
    tier: ClassVar[str] = "gold"
    description: ClassVar[str] = "Lag of a Kafka consumer group"

    def __init__(self, config: KafkaConfig, context: TriggerContext) -> None:
        self._topic = config.topic
        self._group = config.consumer_group
        self._partitions = config.partitions
        self._rules = config.rules
        self._endpoint = config.endpoint()
        self._activation = config.activation_lag_threshold
        subject = config.topic or f"{config.consumer_group}-topics"
        self._spec = external_metric(
            context, f"kafka-{subject}", config.lag_threshold, config.activation_lag_threshold
        )
        self._previous: dict[TopicPartition, int] = {}
        self._current: dict[TopicPartition, int] = {}
        self._read_at = -math.inf

    @classmethod
    def create(cls, config: KafkaConfig, context: TriggerContext) -> Self:
        """Build the scaler of one trigger."""
        return cls(config, context)

    def metric_specs(self) -> Sequence[MetricSpec]:
        """Return the one metric."""
        return (self._spec,)

    def source_key(self) -> Hashable:
        """Return the cluster and as whom it is read."""
        return self._endpoint

    def open_source(self, context: SourceContext) -> KafkaSource:
        """Build the connection, shared by all groups and topics of the cluster."""
        return KafkaSource(self._endpoint, context)

    def query(self, metric_name: str) -> Hashable:
        """Return whose offsets to read."""
        assert metric_name == self._spec.name
        return GroupOffsets(self._group, self._topic)

    def reading(self, metric_name: str, answer: Answer, at: float) -> Reading:
        """Return the lag."""
        partitions = [
            one for one in answer if self._partitions is None or one.id in self._partitions
        ]
        if not partitions:
            raise MetricRejected(f"{self._subject()} has none of the partitions to count")
        for partition in partitions:
            self._check(partition)
        lag = lag_of(partitions, self._rules, self._before(partitions, at))
        return reading_of(
            metric_name, max(0, lag.metric), at, active=lag.activation > self._activation
        )

    def _check(self, partition: Partition) -> None:
        if partition.error is not None:
            raise partition.error
        if partition.end is not None and partition.committed is None:
            raise MetricMalformed(
                f"Kafka topic {partition.topic} partition {partition.id}: the broker told no "
                f"offset of group {self._group}"
            )

    def _before(self, partitions: Sequence[Partition], at: float) -> dict[TopicPartition, int]:
        """Return the committed offsets before this poll, and keep this poll's for the next."""
        if at > self._read_at:
            self._read_at = at
            self._previous = self._current
            self._current = self._previous | {
                one.key: one.committed
                for one in partitions
                if one.committed is not None and one.committed != NEVER_COMMITTED
            }
        return self._previous

    def _subject(self) -> str:
        return f"Kafka topic {self._topic}" if self._topic else f"Kafka group {self._group}"
