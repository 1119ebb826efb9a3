"""Offsets to lag."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalers.kafka.lag import NEVER_COMMITTED, LagRules, Partition, even_factor, lag_of


def offsets(*pairs: tuple[int | None, int | None]) -> list[Partition]:
    """Return partitions of one topic with ``(committed, end)`` offsets."""
    return [
        Partition(topic="orders", id=number, committed=committed, end=end)
        for number, (committed, end) in enumerate(pairs)
    ]


WIDE = LagRules(allow_idle_consumers=True)
"""Rules without any limit."""


def test_lag_is_the_sum_over_partitions() -> None:
    """Each partition adds the distance from its committed to its end offset."""
    lag = lag_of(offsets((4, 10), (7, 7), (0, 3)), WIDE, {})
    assert (lag.metric, lag.activation) == (9, 9)


@pytest.mark.parametrize(
    ("starts_at_beginning", "to_zero", "expected"),
    [(False, False, 1), (True, False, 50), (False, True, 0), (True, True, 0)],
)
def test_a_group_without_commit_counts_what_it_would_read(
    *, starts_at_beginning: bool, to_zero: bool, expected: int
) -> None:
    """One message when it starts at the end, all when at the beginning, none when told so."""
    rules = LagRules(
        starts_at_beginning=starts_at_beginning,
        scale_to_zero_on_invalid_offset=to_zero,
        allow_idle_consumers=True,
    )
    assert lag_of(offsets((NEVER_COMMITTED, 50)), rules, {}).metric == expected


def test_a_partition_without_end_offset_does_not_count() -> None:
    """It adds neither lag nor a consumer to the limit."""
    lag = lag_of(offsets((0, None), (0, 100)), LagRules(lag_threshold=10), {})
    assert lag.metric == 10


def test_replicas_never_exceed_partitions_unless_idle_ones_are_allowed() -> None:
    """The lag is cut to one threshold per partition."""
    behind = offsets((0, 100), (0, 100))
    assert lag_of(behind, LagRules(lag_threshold=10), {}).metric == 20
    assert lag_of(behind, LagRules(lag_threshold=10, allow_idle_consumers=True), {}).metric == 200


def test_the_limit_compares_whole_replicas() -> None:
    """A lag that would round up to one replica more than partitions passes, as in KEDA."""
    assert lag_of(offsets((0, 29), (0, 0)), LagRules(lag_threshold=10), {}).metric == 29


def test_only_partitions_with_lag_keep_consumers_busy() -> None:
    """``limitToPartitionsWithLag`` cuts to the partitions that are behind."""
    rules = LagRules(lag_threshold=10, limit_to_partitions_with_lag=True)
    assert lag_of(offsets((0, 100), (5, 5), (9, 9)), rules, {}).metric == 10


def test_even_distribution_rounds_to_a_divisor() -> None:
    """Five replicas' worth of lag over eight partitions becomes eight, not five."""
    rules = LagRules(lag_threshold=10, ensure_even_distribution_of_partitions=True)
    lag = lag_of(offsets((0, 50), *[(1, 1)] * 7), rules, {})
    assert lag.metric == 80


def test_persistent_lag_activates_but_does_not_scale() -> None:
    """A partition whose committed offset stands still is left out of the metric only."""
    rules = LagRules(exclude_persistent_lag=True, allow_idle_consumers=True)
    lag = lag_of(offsets((4, 10), (6, 10)), rules, {("orders", 0): 4, ("orders", 1): 5})
    assert (lag.metric, lag.activation) == (4, 10)


@given(lag=st.integers(0, 10_000), partitions=st.integers(1, 200), threshold=st.integers(1, 500))
def test_even_factor_divides_and_suffices_when_it_can(
    lag: int, partitions: int, threshold: int
) -> None:
    """The replicas divide the partitions, and keep up unless even one per partition does not."""
    replicas = even_factor(lag, partitions, threshold)
    assert partitions % replicas == 0
    assert replicas * threshold >= lag or replicas == partitions


@given(
    ends=st.lists(st.integers(0, 500), min_size=1, max_size=12),
    threshold=st.integers(1, 50),
    even=st.booleans(),
)
def test_limited_lag_never_asks_for_more_replicas_than_partitions(
    ends: list[int], threshold: int, *, even: bool
) -> None:
    """Without idle consumers the metric asks for at most one replica per partition."""
    rules = LagRules(lag_threshold=threshold, ensure_even_distribution_of_partitions=even)
    lag = lag_of(offsets(*[(0, end) for end in ends]), rules, {})
    assert lag.metric // threshold <= len(ends)
    assert lag.activation == sum(ends)
