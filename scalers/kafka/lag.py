"""Offsets to lag: pure arithmetic, exactly KEDA's.

Per partition with committed offset ``c`` and end offset ``e`` the lag is ``e - c``. A group that
never committed counts one message when it would start at the end, everything when it would start at
the beginning. A partition whose ``c`` has not moved since the previous poll may be left out of the
metric (something is wrong with the consumer, more replicas will not help), but still counts for
activation. The sum is then limited to what the topic's partitions can keep busy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from autoscaler.sdk import MetricError

TopicPartition = tuple[str, int]

NEVER_COMMITTED: Final = -1


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """One partition of a topic a group reads.

    Attributes:
        committed: Next offset the group will read, ``NEVER_COMMITTED``, None = the broker did not
            say.
        end: Offset of the next message to be written, None = the broker did not say.
        error: Why the offsets could not be read, None = they could.
    """

    topic: str
    id: int
    committed: int | None
    end: int | None
    error: MetricError | None = None

    @property
    def key(self) -> TopicPartition:
        """Return topic and number."""
        return self.topic, self.id


class LagRules(msgspec.Struct, frozen=True, kw_only=True):
    """How lag is counted; the names are KEDA's parameters.

    Attributes:
        lag_threshold: Target lag per replica, > 0.
        starts_at_beginning: ``offsetResetPolicy: earliest``.
    """

    lag_threshold: int = 10
    starts_at_beginning: bool = False
    allow_idle_consumers: bool = False
    exclude_persistent_lag: bool = False
    scale_to_zero_on_invalid_offset: bool = False
    limit_to_partitions_with_lag: bool = False
    ensure_even_distribution_of_partitions: bool = False


class Lag(msgspec.Struct, frozen=True):
    """Messages behind.

    Attributes:
        metric: What replicas are computed from, after limits; may be negative.
        activation: Everything, whether it persists or not.
    """

    metric: int
    activation: int


def lag_of(
    partitions: Iterable[Partition], rules: LagRules, previous: Mapping[TopicPartition, int]
) -> Lag:
    """Return a group's lag.

    Args:
        partitions: Those without end offset do not count, the others have a committed offset.
        rules: How to count.
        previous: Committed offsets at the previous poll.
    """
    counted = [one for one in partitions if one.end is not None]
    metric = activation = with_lag = 0
    for partition in counted:
        behind, persistent = _behind(partition, rules, previous)
        metric += behind
        activation += behind + persistent
        with_lag += behind > 0
    return Lag(_limited(metric, rules, len(counted), with_lag), activation)


def even_factor(lag: int, partitions: int, lag_threshold: int) -> int:
    """Return the fewest replicas that keep up and among which the partitions divide evenly.

    Args:
        lag: Messages behind.
        partitions: Number of partitions.
        lag_threshold: Messages per replica, > 0.
    """
    for replicas in range(1, partitions):
        if partitions % replicas == 0 and replicas * lag_threshold >= lag:
            return replicas
    return partitions


def _behind(
    partition: Partition, rules: LagRules, previous: Mapping[TopicPartition, int]
) -> tuple[int, int]:
    """Return a partition's lag that counts for the metric, and that which only activates."""
    assert partition.end is not None
    assert partition.committed is not None
    if partition.committed == NEVER_COMMITTED:
        if rules.scale_to_zero_on_invalid_offset:
            return 0, 0
        return (partition.end if rules.starts_at_beginning else 1), 0
    behind = partition.end - partition.committed
    if rules.exclude_persistent_lag and previous.get(partition.key) == partition.committed:
        return 0, behind
    return behind, 0


def _limited(lag: int, rules: LagRules, partitions: int, with_lag: int) -> int:
    """Return the lag, at most what so many partitions can keep busy."""
    limits = rules.limit_to_partitions_with_lag or rules.ensure_even_distribution_of_partitions
    if rules.allow_idle_consumers and not limits:
        return lag
    if rules.ensure_even_distribution_of_partitions:
        lag = even_factor(lag, partitions, rules.lag_threshold) * rules.lag_threshold
    busy = with_lag if rules.limit_to_partitions_with_lag else partitions
    return busy * rules.lag_threshold if lag // rules.lag_threshold > busy else lag
