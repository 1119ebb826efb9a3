"""No order is lost, whatever happens to the workers."""

from __future__ import annotations

import random
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from autoscaler.demo.orders import Crew

Turn = tuple[float, int, frozenset[int], frozenset[int]]

turns = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=30, allow_nan=False),
        st.integers(min_value=0, max_value=20),
        st.frozensets(st.integers(min_value=0, max_value=5)),
        st.frozensets(st.integers(min_value=0, max_value=5)),
    ),
    max_size=30,
)


def live(crew: Crew, days: list[Turn]) -> tuple[int, deque[str], list[str]]:
    """Play turns on a list in memory: time, arrivals, ready workers, leaving workers."""
    queue: deque[str] = deque()
    produced, now = 0, 0.0
    begun: list[str] = []
    for passed, arriving, ready, leaving in days:
        now += passed
        crew.finish(now)
        crew.staff([f"w{i}" for i in ready - leaving], [f"w{i}" for i in leaving], now)
        back = crew.stranded()
        queue.extendleft(back)
        crew.gave_back(len(back))
        queue.extend(f"o{produced + index}" for index in range(arriving))
        produced += arriving
        wanted = crew.wanted(now)
        taken = [queue.popleft() for _ in range(min(wanted, len(queue)))]
        begun += taken
        crew.begin(taken, now)
        if len(taken) < wanted:
            crew.rest(now)
    return produced, queue, begun


@given(turns, st.integers(min_value=0, max_value=1_000))
def test_every_order_is_somewhere(days: list[Turn], seed: int) -> None:
    """Produced is processed plus queued plus in flight after any history of workers."""
    crew = Crew(random.Random(seed), service_seconds=4.0)
    produced, queue, begun = live(crew, days)
    assert produced == crew.processed + len(queue) + crew.in_flight
    assert len(begun) == crew.processed + crew.in_flight + crew.returned


def test_order_takes_its_service_time() -> None:
    """One worker does about one order per service time."""
    crew = Crew(random.Random(1), service_seconds=4.0)
    every = frozenset({0})
    produced, queue, _ = live(
        crew, [(0.0, 100, every, frozenset())] + [(1.0, 0, every, frozenset())] * 200
    )
    assert produced == 100
    assert 45 <= crew.processed <= 55
    assert len(queue) == 100 - crew.processed - crew.in_flight


def test_leaving_worker_takes_nothing_more() -> None:
    """It finishes what it holds and is drained then."""
    crew = Crew(random.Random(1), service_seconds=4.0)
    everyone, nobody = frozenset({0}), frozenset[int]()
    live(crew, [(1.0, 0, everyone, nobody), (1.0, 5, everyone, nobody)])
    assert crew.holds("w0")
    crew.staff([], ["w0"], 2.5)
    assert crew.wanted(2.5) == 0
    crew.finish(20.0)
    assert not crew.holds("w0")
    assert crew.wanted(20.0) == 0


def test_killed_worker_gives_its_order_back() -> None:
    """What a vanished worker held is offered for return, once."""
    crew = Crew(random.Random(1), service_seconds=4.0)
    live(crew, [(1.0, 0, frozenset({0}), frozenset()), (1.0, 1, frozenset({0}), frozenset())])
    crew.staff([], [], 2.1)
    assert crew.stranded() == ["o0"]
    assert crew.in_flight == 1
    crew.gave_back(1)
    assert (crew.in_flight, crew.returned, crew.processed) == (0, 1, 0)
