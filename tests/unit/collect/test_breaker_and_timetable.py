"""Breaker and timetable: the two clocks of a source."""

from __future__ import annotations

import math
import random

from autoscaler.collect.breaker import Breaker, BreakerSettings
from autoscaler.collect.readings import ReadingTable
from autoscaler.collect.subscription import Subscription
from autoscaler.collect.timetable import Timetable
from autoscaler.core.model import Reading
from autoscaler.errors import MetricUnavailable
from tests.doubles.scalers import ScriptedSource, StubScaler

ERROR = MetricUnavailable("refused")


def subscription(interval: float, query: str = "a") -> Subscription:
    """Return a subscription to one metric."""
    return Subscription("ns/x", StubScaler(ScriptedSource(), query), f"s0-{query}", interval)


def test_breaker_opens_after_failures_in_a_row_and_closes_on_success() -> None:
    """Two failures, a success and two failures leave it closed; a third one opens it."""
    breaker = Breaker(BreakerSettings(failures=3), random.Random(1))
    for now in range(2):
        breaker.failed(ERROR, now=now, interval_seconds=30)
    breaker.succeeded()
    for now in range(3):
        assert not breaker.is_open
        breaker.failed(ERROR, now=now, interval_seconds=30)
    assert breaker.is_open
    assert breaker.failure is ERROR
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.failure is None


def test_probes_back_off_but_never_beyond_the_interval() -> None:
    """However long a source is gone, the next probe is at most one interval away."""
    breaker = Breaker(BreakerSettings(failures=1), random.Random(1))
    waits = []
    now = 0.0
    for _ in range(20):
        breaker.failed(ERROR, now=now, interval_seconds=7)
        waits.append(breaker.probe_at - now)
        now = breaker.probe_at
    assert waits[0] <= 0.5
    assert max(waits) <= 7
    assert waits[-1] >= 3.5


def test_grid_does_not_drift_and_skips_missed_points() -> None:
    """Late takes neither shift the grid nor queue up."""
    table = Timetable(3.0, window_seconds=0.02, gap_seconds=0.1)
    table.add(subscription(10), 0.0)
    assert table.next_at() == 3.0
    assert len(table.take(3.4)) == 1
    assert table.next_at() == 13.0
    assert len(table.take(38.0)) == 1
    assert table.next_at() == 43.0
    assert table.take(40.0) == []


def test_nearly_due_metrics_go_together() -> None:
    """A metric due within the window is taken along, and not again at its own point."""
    table = Timetable(0.0, window_seconds=0.05, gap_seconds=0.1)
    table.add(subscription(10), 1.0)
    table.add(subscription(10.04, "b"), 1.0)
    assert len(table.take(10.0)) == 2
    assert table.next_at() == 20.0


def test_asked_metrics_respect_window_and_gap() -> None:
    """Immediate reads wait for company, and for the gap after the last immediate read."""
    table = Timetable(1000.0, window_seconds=0.02, gap_seconds=0.1)
    one, other = subscription(3000), subscription(3000, "b")
    table.add(one, 0.0)
    table.add(other, 0.0)
    table.ask([one], 5.0)
    table.ask([other], 5.01)
    assert table.next_at() == 5.02
    assert table.take(5.0) == []
    assert len(table.take(5.02)) == 2
    table.ask([one], 5.03)
    assert math.isclose(table.next_at(), 5.12)


def test_empty_timetable_is_never_due() -> None:
    """Removing the last metric leaves nothing to wait for."""
    table = Timetable(0.0, window_seconds=0.02, gap_seconds=0.1)
    one = subscription(10)
    table.add(one, 0.0)
    table.ask([one], 0.0)
    table.remove(one)
    assert table.next_at() == math.inf
    assert len(table) == 0


def test_table_keeps_only_known_metrics_and_newer_readings() -> None:
    """Late answers of a slow read cannot overwrite newer ones, nor bring back old metrics."""
    table = ReadingTable()
    table.open("ns/x", ["a", "b"])
    assert table.put("ns/x", Reading.of("a", 1, 10.0))
    assert not table.put("ns/x", Reading.of("a", 2, 9.0))
    assert not table.put("ns/x", Reading.of("c", 1, 10.0))
    assert not table.put("ns/y", Reading.of("a", 1, 10.0))
    assert table.put("ns/x", Reading.failed("b", "no", 11.0))
    table.open("ns/x", ["b"])
    assert set(table.of("ns/x")) == {"b"}
    table.drop("ns/x")
    assert table.of("ns/x") == {}
    assert len(table) == 0
