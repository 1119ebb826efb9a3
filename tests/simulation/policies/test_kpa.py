"""Knative's KPA, by the examples of its own source."""

from __future__ import annotations

import math

import pytest

from simulations.policies.kpa import Kpa
from simulations.policies.service import ServiceFacts
from tests.simulation.policies.views import view_of

TEN = ServiceFacts(
    requests_per_second=50.0, concurrency=10, minimum=0, maximum=1000, target_ratio=1.0
)


def kpa(facts=TEN, lanes=1):
    """Return a started KPA."""
    made = Kpa(facts)
    made.start(lanes)
    return made


def play(autoscaler, seen, *, begin=0.0, serving):
    """Show one report per 5 s to one lane; return what it wanted each time."""
    return [
        autoscaler.decide(view_of(begin + 5 * index, [serving], in_flight=[value])).tolist()[0]
        for index, value in enumerate(seen)
    ]


def test_wants_average_concurrency_over_target():
    """50 in flight with a target of 10 want 5 pods, 100 want 10, as autoscaler_test.go has it."""
    assert play(kpa(), [50.0] * 3, serving=5)[-1] == 5
    assert play(kpa(), [100.0] * 3, serving=10)[-1] == 10


def test_stable_window_averages_a_minute():
    """After a minute of 60 in flight and silence, each report takes a twelfth away."""
    autoscaler = kpa()
    autoscaler.decide(view_of(0, [1], serving=[1], in_flight=[0.0]))
    wanted = play(autoscaler, [60.0] * 12 + [0.0] * 12, serving=6, begin=5.0)

    assert wanted[11] == 6
    # 50 of 60 are left after two silent reports, and half of the ready pods is the least.
    assert [wanted[index] for index in (13, 15, 23)] == [5, 4, 3]


def test_goes_down_to_half_of_the_ready_pods_at_most():
    """With nothing in flight 10 ready pods become 5, one tick at a time."""
    autoscaler = kpa()
    autoscaler.decide(view_of(0, [1], serving=[1], in_flight=[0.0]))

    assert autoscaler.decide(view_of(5, [10], in_flight=[0.0])).tolist() == [5]
    assert autoscaler.decide(view_of(10, [5], in_flight=[0.0])).tolist() == [2]


def test_panics_at_twice_the_ready_pods_and_holds_the_highest_for_a_stable_window():
    """A report for 20 pods with 10 ready is followed at once and kept a minute after the last."""
    autoscaler = kpa()
    autoscaler.decide(view_of(0, [1], serving=[1], in_flight=[0.0]))
    calm = play(autoscaler, [100.0] * 12, serving=10, begin=5.0)
    assert calm[-1] == 10

    [surge] = play(autoscaler, [200.0], serving=10, begin=65.0)
    assert surge == 20
    after = play(autoscaler, [100.0] * 13, serving=20, begin=70.0)

    assert after[:12] == [20.0] * 12
    assert after[12] == 10


def test_next_panic_does_not_remember_the_one_before():
    """Once over, the highest count of a panic is forgotten."""
    autoscaler = kpa()
    autoscaler.decide(view_of(0, [1], serving=[1], in_flight=[0.0]))
    assert play(autoscaler, [400.0], serving=10, begin=5.0) == [40]
    play(autoscaler, [0.0] * 40, serving=4, begin=10.0)

    assert play(autoscaler, [100.0], serving=4, begin=210.0) == [10]


def test_does_not_panic_below_the_threshold():
    """A report for 19 pods with 10 ready is averaged like any other."""
    autoscaler = kpa()
    autoscaler.decide(view_of(0, [1], serving=[1], in_flight=[0.0]))
    play(autoscaler, [100.0] * 12, serving=10, begin=5.0)

    assert play(autoscaler, [190.0], serving=10, begin=65.0) == [11]


def test_begins_in_panic_beside_several_pods():
    """An autoscaler that starts keeps the pods there are, as it knows nothing of before."""
    wanted = play(kpa(), [10.0] * 14, serving=8)

    assert wanted[:13] == [8.0] * 13
    assert wanted[13] == 4


def test_last_pod_is_kept_for_the_grace_period():
    """Idle for 30 s, the last pod goes; a request in between begins the time anew."""
    autoscaler = kpa()
    wanted = play(autoscaler, [0.0] * 8, serving=1)

    assert wanted == [1.0] * 6 + [0.0] * 2


def test_one_pod_is_wanted_for_a_request_at_zero():
    """Without pods, one waiting request wants one."""
    autoscaler = kpa()
    assert autoscaler.decide(view_of(0, [0], in_flight=[1.0])).tolist() == [1]


def test_nothing_changes_without_a_report():
    """Missing metrics are no reason to scale."""
    autoscaler = kpa(lanes=2)
    assert autoscaler.decide(view_of(0, [7, 3], in_flight=math.nan)).tolist() == [7, 3]


@pytest.mark.parametrize(("minimum", "maximum", "expected"), [(3, 8, 3), (0, 4, 4)])
def test_bounds_are_kept(minimum, maximum, expected):
    """The scale stays within min-scale and max-scale."""
    facts = ServiceFacts(
        requests_per_second=50.0,
        concurrency=10,
        minimum=minimum,
        maximum=maximum,
        target_ratio=1.0,
    )
    seen = 0.0 if minimum else 200.0
    assert play(kpa(facts), [seen], serving=1) == [expected]


def test_target_is_seventy_percent_of_the_concurrency():
    """By default ten requests at a time mean a target of seven."""
    facts = ServiceFacts(requests_per_second=50.0, concurrency=10)
    assert play(kpa(facts), [70.0], serving=10) == [10]
    assert play(kpa(facts), [71.0], serving=11) == [11]
