"""Polling: when sources are asked, with what, and what becomes of the answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from autoscaler.collect.poll import Collector
from autoscaler.collect.settings import CollectorSettings
from autoscaler.core.model import Reading
from autoscaler.errors import MetricRejected, MetricUnavailable
from autoscaler.runtime.clock import ScaledClock
from autoscaler.sdk.scaler import SourceContext
from tests.doubles.clock import EPOCH, LoopClock
from tests.doubles.scalers import ScriptedSource, StubPushScaler, StubScaler

pytestmark = pytest.mark.looptime


class Bench:
    """A collector and the keys it announced."""

    def __init__(self, seed: int = 1, clock: Any = None, **settings: Any) -> None:
        self.woken: list[str] = []
        context = SourceContext(http=None, clock=clock or LoopClock())  # type: ignore[arg-type]
        self.collector = Collector(
            context,
            on_readings=self.woken.append,
            rng=random.Random(seed),
            settings=CollectorSettings(**settings),
        )

    def register(self, key: str, scalers: list[StubScaler], seconds: float) -> None:
        self.collector.register(key, [(scaler, seconds) for scaler in scalers])

    def reading(self, key: str, metric: str) -> Reading:
        return self.collector.readings.of(key)[metric]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Collector]:
        task = asyncio.ensure_future(self.collector.run())
        try:
            yield self.collector
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_new_object_is_read_at_once() -> None:
    """A registered object has readings after the coalescing window, not after an interval."""
    bench, source = Bench(), ScriptedSource()
    source.values = {"a": 7}
    async with bench.running():
        bench.register("ns/x", [StubScaler(source, "a")], 30)
        await asyncio.sleep(0.05)
        assert bench.reading("ns/x", "s0-a").value == 7
        assert bench.woken == ["ns/x"]
        assert source.times == [0.02]


async def test_a_new_metric_takes_an_answer_that_is_still_warm() -> None:
    """Whoever asks the same as somebody a moment ago costs no read; the reading keeps its time."""
    bench, source = Bench(), ScriptedSource()
    source.values = {"a": 7}
    async with bench.running():
        bench.register("ns/x", [StubScaler(source, "a")], 30)
        await asyncio.sleep(1.0)
        bench.register("ns/y", [StubScaler(source, "a")], 30)
        assert bench.reading("ns/y", "s0-a") == bench.reading("ns/x", "s0-a")
        await asyncio.sleep(1.0)
        assert source.times == [0.02]
        # Told of it, an object that is registered anew after each failure would never rest.
        assert bench.woken == ["ns/x"]


async def test_an_old_or_failed_answer_is_asked_for_again() -> None:
    """Half an interval is old, and so are five seconds; an error is never passed on."""
    for age, seconds in ((0.6, 1.0), (5.5, 30.0)):
        bench, source = Bench(), ScriptedSource()
        source.values = {"a": 7}
        async with bench.running():
            # Only its first read: its regular ones would keep the answer warm.
            bench.register("ns/x", [StubScaler(source, "a")], 3600)
            await asyncio.sleep(age)
            bench.register("ns/y", [StubScaler(source, "a")], seconds)
            assert not bench.collector.readings.of("ns/y")
            await asyncio.sleep(0.2)
            assert bench.reading("ns/y", "s0-a").value == 7
    bench, source = Bench(), ScriptedSource()
    source.failure = MetricUnavailable("away")
    async with bench.running():
        bench.register("ns/x", [StubScaler(source, "a")], 30)
        await asyncio.sleep(0.5)
        bench.register("ns/y", [StubScaler(source, "a")], 30)
        assert not bench.collector.readings.of("ns/y")


async def test_period_is_the_interval_however_long_a_read_takes() -> None:
    """Reads start every interval, not interval plus duration."""
    bench, source = Bench(), ScriptedSource()
    source.values, source.hang_seconds = {"a": 1}, 2.0
    async with bench.running():
        bench.register("ns/x", [StubScaler(source, "a")], 10)
        await asyncio.sleep(100)
        gaps = [b - a for a, b in zip(source.times[2:], source.times[3:], strict=False)]
        assert len(gaps) >= 7
        assert gaps == pytest.approx([10.0] * len(gaps), abs=1e-3)


async def test_first_regular_read_is_spread_within_the_interval() -> None:
    """Different sources get different phases, each within one interval of the first read."""
    phases = set()
    for seed in range(8):
        bench, source = Bench(seed), ScriptedSource()
        source.values = {"a": 1}
        async with bench.running():
            began = asyncio.get_running_loop().time()
            bench.register("ns/x", [StubScaler(source, "a")], 30)
            await asyncio.sleep(31)
            second = source.fetches[1][0] - began
            assert 0 < second <= 30.001
            phases.add(round(second, 3))
    assert len(phases) == 8


async def test_thousand_metrics_of_a_source_are_one_read() -> None:
    """All metrics of one source are due together and distinct queries are asked once."""
    bench, source = Bench(), ScriptedSource()
    source.values = {f"q{i}": i for i in range(100)}
    async with bench.running():
        for i in range(1000):
            bench.register(f"ns/o{i}", [StubScaler(source, f"q{i % 100}")], 30)
        await asyncio.sleep(62)
        assert source.opened == 1
        assert [len(queries) for _, queries in source.fetches] == [100] * 3
        assert bench.reading("ns/o142", "s0-q42").value == 42


async def test_intervals_that_are_multiples_meet() -> None:
    """30 s and 60 s metrics of one source share every second read."""
    bench, source = Bench(), ScriptedSource()
    source.values = {"a": 1, "b": 2}
    async with bench.running():
        bench.register("ns/x", [StubScaler(source, "a")], 30)
        bench.register("ns/y", [StubScaler(source, "b")], 60)
        await asyncio.sleep(300)
        sizes = [len(queries) for _, queries in source.fetches[1:]]
        assert sizes.count(2) == 5
        assert sizes.count(1) == 5


async def test_source_is_never_read_twice_at_a_time() -> None:
    """A read slower than the interval delays the next one; missed turns are left out."""
    bench, source = Bench(), ScriptedSource()
    source.values, source.hang_seconds = {"a": 1}, 3.5
    async with bench.running():
        bench.register("ns/x", [StubScaler(source, "a")], 1)
        await asyncio.sleep(20)
        assert source.running_max == 1
        assert len(source.fetches) in {5, 6}


async def test_slow_source_delays_no_other() -> None:
    """Sources are read independently of each other."""
    bench, slow, fast = Bench(), ScriptedSource(), ScriptedSource()
    slow.hang_seconds = 1000
    fast.values = {"a": 1}
    async with bench.running():
        bench.register("ns/x", [StubScaler(slow, "a", place="slow")], 1)
        bench.register("ns/y", [StubScaler(fast, "a", place="fast")], 1)
        await asyncio.sleep(30)
        assert len(fast.fetches) >= 30


async def test_bounded_number_of_sources_at_a_time() -> None:
    """No more sources than allowed are read at the same time."""
    bench = Bench(concurrent_sources=2)
    shared = ScriptedSource()
    shared.values, shared.hang_seconds = {"a": 1}, 0.1
    async with bench.running():
        for i in range(10):
            bench.register(f"ns/o{i}", [StubScaler(shared, "a", place=str(i))], 30)
        await asyncio.sleep(1)
        assert shared.running_max == 2
        assert len(shared.fetches) >= 10


async def test_deadline_makes_an_error_reading() -> None:
    """A source that does not answer yields errors that say so, not values."""
    bench, source = Bench(deadline_seconds=5.0), ScriptedSource()
    source.hang_seconds = 1e6
    async with bench.running():
        bench.register("ns/x", [StubScaler(source, "a")], 30)
        await asyncio.sleep(5.1)
        reading = bench.reading("ns/x", "s0-a")
        assert reading.value is None
        assert reading.error == "no answer within 5 s"
        assert reading.error_reason == "MetricUnavailable"


@pytest.mark.parametrize(
    ("answer", "reason", "part"),
    [
        (MetricRejected("401 Unauthorized"), "MetricRejected", "401"),
        ("garbage", "MetricMalformed", "garbage"),
        (float("nan"), "MetricMalformed", "no number"),
        (float("inf"), "MetricMalformed", "inf"),
    ],
)
async def test_bad_answer_is_an_error_reading(answer: object, reason: str, part: str) -> None:
    """Whatever is no finite number becomes an error reading of its own metric only."""
    bench, source = Bench(), ScriptedSource()
    source.values = {"good": 1, "bad": answer}
    async with bench.running():
        bench.register("ns/x", [StubScaler(source, "good", "bad")], 30)
        await asyncio.sleep(1)
        assert bench.reading("ns/x", "s0-good").value == 1
        bad = bench.reading("ns/x", "s0-bad")
        assert (bad.value, bad.error_reason) == (None, reason)
        assert part in (bad.error or "")


async def test_missing_answer_is_an_error_reading() -> None:
    """A source that skips a query does not make it zero."""
    bench, source = Bench(), ScriptedSource()
    async with bench.running():
        bench.register("ns/x", [StubScaler(source, "a")], 30)
        await asyncio.sleep(1)
        assert bench.reading("ns/x", "s0-a").error == "the source gave no answer to this query"


async def test_scaler_bug_stays_with_its_trigger() -> None:
    """An exception nobody expected is an error reading; other sources go on."""
    bench, broken, fine = Bench(), ScriptedSource(), ScriptedSource()
    broken.failure = ZeroDivisionError("oops")
    fine.values = {"a": 1}
    async with bench.running():
        bench.register("ns/x", [StubScaler(broken, "a", place="broken")], 1)
        bench.register("ns/y", [StubScaler(fine, "a", place="fine")], 1)
        await asyncio.sleep(3)
        assert "ZeroDivisionError: oops" in (bench.reading("ns/x", "s0-a").error or "")
        assert bench.reading("ns/y", "s0-a").value == 1


async def test_error_replaces_the_value_before_it() -> None:
    """An old value is never shown for a failed read."""
    bench, source = Bench(), ScriptedSource()
    source.values = {"a": 5}
    async with bench.running():
        bench.register("ns/x", [StubScaler(source, "a")], 1)
        await asyncio.sleep(1)
        source.failure = MetricUnavailable("connection refused")
        await asyncio.sleep(2)
        reading = bench.reading("ns/x", "s0-a")
        assert (reading.value, reading.error) == (None, "connection refused")


async def test_reading_is_dated_when_it_was_asked() -> None:
    """A slow answer is as old as its question."""
    bench, source = Bench(), ScriptedSource()
    source.values, source.hang_seconds = {"a": 1}, 4.0
    async with bench.running():
        bench.register("ns/x", [StubScaler(source, "a")], 30)
        await asyncio.sleep(5)
        assert bench.reading("ns/x", "s0-a").sampled_at == pytest.approx(EPOCH + 0.02, abs=1e-3)


async def test_failing_source_is_left_alone_and_found_again() -> None:
    """After three failures only probes ask; recovery is seen within two intervals."""
    bench, source = Bench(), ScriptedSource()
    source.failure = MetricUnavailable("connection refused")
    source.values = {f"q{i}": i for i in range(50)}
    scalers = [StubScaler(source, *source.values)]
    async with bench.running() as collector:
        bench.register("ns/x", scalers, 30)
        await asyncio.sleep(600)
        full = [queries for _, queries in source.fetches if len(queries) == 50]
        probes = [queries for _, queries in source.fetches if len(queries) == 1]
        assert len(full) == 3
        assert probes
        assert len(source.fetches) < 3 + 600 / 15 + 10
        assert collector.sources()[0].is_open
        reading = bench.reading("ns/x", "s0-q1")
        assert reading.error == "connection refused"
        assert reading.sampled_at > EPOCH + 560
        source.failure = None
        await asyncio.sleep(60)
        assert bench.reading("ns/x", "s0-q1").value == 1
        assert not collector.sources()[0].is_open


async def test_failed_probes_give_no_extra_error_readings() -> None:
    """Fallback counts failed polls, so probing in between must not add to them."""
    bench, source = Bench(), ScriptedSource()
    source.failure = MetricUnavailable("connection refused")
    async with bench.running():
        bench.register("ns/x", [StubScaler(source, "a")], 30)
        await asyncio.sleep(300)
        assert len(source.fetches) > 11
        assert len(bench.woken) == 11


async def test_one_refused_query_opens_no_breaker() -> None:
    """A source that refuses a query lives."""
    bench, source = Bench(), ScriptedSource()
    source.values = {"a": MetricRejected("bad query")}
    async with bench.running() as collector:
        bench.register("ns/x", [StubScaler(source, "a")], 1)
        await asyncio.sleep(10)
        assert not collector.sources()[0].is_open
        assert len(source.fetches) >= 10


async def test_source_is_closed_with_its_last_user() -> None:
    """Sources are shared, kept while anybody uses them, and closed once."""
    bench, source = Bench(), ScriptedSource()
    source.values = {"a": 1, "b": 2}
    async with bench.running() as collector:
        bench.register("ns/x", [StubScaler(source, "a")], 1)
        bench.register("ns/y", [StubScaler(source, "b")], 1)
        await asyncio.sleep(1)
        collector.unregister("ns/x")
        await asyncio.sleep(1)
        assert source.closed == 0
        assert len(collector.readings) == 1
        collector.unregister("ns/y")
        await asyncio.sleep(1)
        assert source.closed == 1
        assert collector.sources() == []
    assert source.closed == 1


async def test_stopping_closes_sources() -> None:
    """Cancelling the collector closes what is open."""
    bench, source = Bench(), ScriptedSource()
    source.hang_seconds = 1000
    async with bench.running():
        bench.register("ns/x", [StubScaler(source, "a")], 1)
        await asyncio.sleep(1)
    assert source.closed == 1


async def test_registering_anew_keeps_unchanged_metrics() -> None:
    """Only new or changed metrics are read early; the others keep their readings."""
    bench, source = Bench(), ScriptedSource()
    source.values = {"a": 1, "b": 2}
    kept, added = StubScaler(source, "a"), StubScaler(source, "b")
    async with bench.running() as collector:
        bench.register("ns/x", [kept], 3000)
        await asyncio.sleep(1)
        bench.register("ns/x", [kept, added], 3000)
        assert bench.reading("ns/x", "s0-a").value == 1
        await asyncio.sleep(1)
        assert [queries for _, queries in source.fetches] == [("a",), ("b",)]
        bench.register("ns/x", [added], 3000)
        assert set(collector.readings.of("ns/x")) == {"s0-b"}
        assert source.closed == 0


async def test_another_interval_is_no_reason_to_read_early() -> None:
    """Only the interval was changed: the reading stays, and the next one comes by the new grid."""
    bench, source = Bench(), ScriptedSource()
    source.values = {"a": 1}
    scaler = StubScaler(source, "a")
    async with bench.running():
        bench.register("ns/x", [scaler], 3000)
        await asyncio.sleep(20)
        bench.register("ns/x", [scaler], 60)
        assert bench.reading("ns/x", "s0-a").value == 1
        await asyncio.sleep(0.5)
        assert len(source.fetches) == 1
        await asyncio.sleep(60)
        assert len(source.fetches) == 2


async def test_an_edited_trigger_keeps_nothing_the_old_one_made_of_an_answer() -> None:
    """The warm answer is looked at with the new parameters at once, and the source not asked."""
    bench, source = Bench(), ScriptedSource()
    source.values = {"a": 7}
    async with bench.running():
        bench.register("ns/x", [StubScaler(source, "a")], 30)
        await asyncio.sleep(1)
        before = bench.reading("ns/x", "s0-a")
        bench.register("ns/x", [StubScaler(source, "a", factor=10)], 30)
        after = bench.reading("ns/x", "s0-a")
        assert (before.value, after.value) == (7, 70)
        assert after.sampled_at == before.sampled_at
        await asyncio.sleep(1)
        assert len(source.fetches) == 1


async def test_an_edited_trigger_is_read_at_once_when_no_answer_is_warm() -> None:
    """There is no reading until the source was asked for the new trigger: one read, not a wait."""
    bench, source = Bench(), ScriptedSource()
    source.values = {"a": 7}
    async with bench.running() as collector:
        bench.register("ns/x", [StubScaler(source, "a")], 3000)
        await asyncio.sleep(10)
        bench.register("ns/x", [StubScaler(source, "a", factor=10)], 3000)
        assert not collector.readings.of("ns/x")
        await asyncio.sleep(0.1)
        assert bench.reading("ns/x", "s0-a").value == 70
        assert len(source.fetches) == 2


async def test_a_read_under_way_for_an_edited_trigger_does_not_count() -> None:
    """What was asked for the old trigger is dropped; the new one is read after it."""
    bench, source = Bench(), ScriptedSource()
    source.values, source.hang_seconds = {"a": 7}, 5.0
    async with bench.running() as collector:
        bench.register("ns/x", [StubScaler(source, "a")], 3000)
        await asyncio.sleep(1)
        bench.register("ns/x", [StubScaler(source, "a", factor=10)], 3000)
        await asyncio.sleep(6)
        assert not collector.readings.of("ns/x")
        await asyncio.sleep(5)
        assert bench.reading("ns/x", "s0-a").value == 70


async def test_a_first_read_under_way_outlives_an_edit_of_another_trigger() -> None:
    """A metric that still waits for its first answer gets it, and is not asked for again."""
    bench, slow, quick = Bench(), ScriptedSource(), ScriptedSource()
    slow.values, slow.hang_seconds = {"a": 1}, 5.0
    quick.values = {"b": 2}
    waiting = StubScaler(slow, "a", place="slow")
    async with bench.running():
        bench.register("ns/x", [waiting], 3000)
        await asyncio.sleep(1)
        bench.register("ns/x", [waiting, StubScaler(quick, "b", place="quick")], 3000)
        await asyncio.sleep(5)
        assert bench.reading("ns/x", "s0-a").value == 1
        assert len(slow.fetches) == 1


async def test_a_metric_nobody_has_read_yet_is_read_though_its_interval_changes() -> None:
    """The read that was asked for by the old registration is asked for by the new one."""
    bench, source = Bench(), ScriptedSource()
    source.values = {"a": 1}
    scaler = StubScaler(source, "a")
    async with bench.running():
        bench.register("ns/x", [scaler], 3000)
        bench.register("ns/x", [scaler], 2000)
        await asyncio.sleep(0.1)
        assert bench.reading("ns/x", "s0-a").value == 1


async def test_registered_before_running_is_read_when_running() -> None:
    """Registration does not depend on the collector having started."""
    bench, source = Bench(), ScriptedSource()
    source.values = {"a": 1}
    bench.register("ns/x", [StubScaler(source, "a")], 30)
    await asyncio.sleep(100)
    assert source.fetches == []
    async with bench.running():
        await asyncio.sleep(0.1)
        assert bench.reading("ns/x", "s0-a").value == 1


async def test_push_reads_at_once_but_not_too_often() -> None:
    """Activity brings the next read forward; a storm of it is bounded."""
    bench, source = Bench(), ScriptedSource()
    source.values = {"a": 1}
    scaler = StubPushScaler(source, "a")
    async with bench.running():
        bench.register("ns/x", [scaler], 3000)
        await asyncio.sleep(1)
        scaler.events.put_nowait(False)
        await asyncio.sleep(1)
        assert len(source.fetches) == 1
        scaler.events.put_nowait(True)
        await asyncio.sleep(0.05)
        assert len(source.fetches) == 2
        for _ in range(100):
            scaler.events.put_nowait(True)
            await asyncio.sleep(0.01)
        assert len(source.fetches) <= 2 + 10 + 1


async def test_broken_push_stream_is_opened_again() -> None:
    """A push stream that breaks is reopened with back-off while polling goes on."""
    bench, source = Bench(), ScriptedSource()
    source.values = {"a": 1}
    scaler = StubPushScaler(source, "a")
    async with bench.running() as collector:
        bench.register("ns/x", [scaler], 10)
        await asyncio.sleep(0.1)
        scaler.events.put_nowait(ConnectionError("gone"))
        await asyncio.sleep(30)
        assert scaler.streams == 2
        assert len(source.fetches) == 4
        collector.unregister("ns/x")


async def test_push_of_an_unchanged_scaler_goes_on_undisturbed() -> None:
    """A registration that changes one trigger reopens no stream of another, and both still wake."""
    bench, source = Bench(), ScriptedSource()
    source.values = {"a": 1, "b": 2}
    kept, old, new = (StubPushScaler(source, name) for name in ("a", "b", "b"))
    async with bench.running() as collector:
        bench.register("ns/x", [kept, old], 3000)
        await asyncio.sleep(1)
        bench.register("ns/x", [kept, new], 3000)
        await asyncio.sleep(1)
        assert (kept.streams, old.streams, new.streams) == (1, 1, 1)
        before = len(source.fetches)
        kept.events.put_nowait(True)
        await asyncio.sleep(1)
        new.events.put_nowait(True)
        await asyncio.sleep(1)
        assert len(source.fetches) == before + 2
        collector.unregister("ns/x")


async def test_compressed_clock_polls_faster() -> None:
    """Intervals are seconds of the service's clock, which may run faster than the loop."""
    clock = ScaledClock(LoopClock(), origin_at=EPOCH, speed=120.0)
    bench, source = Bench(clock=clock), ScriptedSource()
    source.values = {"a": 1}
    async with bench.running():
        bench.register("ns/x", [StubScaler(source, "a")], 30)
        await asyncio.sleep(10)
        assert 39 <= len(source.fetches) <= 42


async def test_source_that_cannot_be_opened_leaves_the_registration() -> None:
    """Registering is all or nothing."""

    class Unopenable(StubScaler):
        def open_source(self, context: SourceContext) -> ScriptedSource:
            raise RuntimeError("no driver")

    bench, source = Bench(), ScriptedSource()
    source.values = {"a": 1}
    async with bench.running() as collector:
        bench.register("ns/x", [StubScaler(source, "a")], 30)
        await asyncio.sleep(1)
        with pytest.raises(RuntimeError):
            bench.register(
                "ns/x", [StubScaler(source, "b", place="new"), Unopenable(source, "c")], 30
            )
        assert bench.reading("ns/x", "s0-a").value == 1
        assert len(collector.sources()) == 1
