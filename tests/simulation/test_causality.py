"""No shipped autoscaler sees the future, and one that does is caught."""

from __future__ import annotations

import numpy as np
import pytest

from simulations.benchmark.protocol import AS_IS, FACTS, PROFILES, SERVICE, prepare
from simulations.engine.causality import find_leaks, scrambled
from simulations.engine.lanes import Lane
from simulations.policies.catalogue import BASELINES
from simulations.policies.oracle import Oracle
from simulations.policies.static import Static

LANES = [Lane(replicas=20, seed=seed, start_up=PROFILES[1].start_up()) for seed in (0, 1)]
PER_HOUR = 720


@pytest.fixture(scope="module")
def prepared():
    """Return a daily trace whose run is long enough for every refit."""
    return prepare("mongo-01")


class Peeking:
    """Sizes for the load of a step that has not been yet, or is not over."""

    tick_seconds = 5.0

    def __init__(self, load, ahead):
        self._load, self._ahead = load, ahead

    def start(self, lanes):
        self._lanes = lanes

    def decide(self, view):
        step = min(max(0, view.at_ms // 5000 + self._ahead), self._load.steps - 1)
        rate = self._load.counted[step] / 5.0
        return np.full(self._lanes, np.ceil(rate / SERVICE.requests_per_second))


class LearningFromTomorrow:
    """Looks honest: decides hourly, on a daily maximum that was learned from the whole load."""

    tick_seconds = 3600.0

    def __init__(self, load):
        self._highest = load.expected.max() / 5.0

    def start(self, lanes):
        self._lanes = lanes

    def decide(self, view):
        return np.full(self._lanes, np.ceil(self._highest / SERVICE.requests_per_second))


def leaks_of(makers, prepared, at_step):
    """Return the leaks found at a step."""
    return find_leaks(makers, prepared.load, AS_IS.plant, prepared.signals, LANES, at_step=at_step)


@pytest.mark.parametrize(
    "at_step",
    [PER_HOUR * 12, PER_HOUR * 2 + 1],
    ids=["at the refits after twelve hours", "between ticks"],
)
def test_no_baseline_sees_the_future(prepared, at_step):
    """Decisions do not change with what comes after them, whatever has been learned by then."""
    makers = {
        name: lambda _, entry=entry: entry.make(FACTS, prepared.past)
        for name, entry in BASELINES.items()
    }
    makers["static"] = lambda _: Static(20)

    assert leaks_of(makers, prepared, at_step) == {}


@pytest.mark.parametrize(
    ("maker", "step"),
    [
        pytest.param(lambda load: Peeking(load, 12), PER_HOUR * 2 - 12, id="a minute ahead"),
        pytest.param(lambda load: Peeking(load, 0), PER_HOUR * 2, id="the step that begins"),
        pytest.param(LearningFromTomorrow, 0, id="learned from all of it"),
        pytest.param(
            lambda load: Oracle(
                load, lambda rates: np.ceil(rates / SERVICE.requests_per_second), [180.0] * 2, FACTS
            ),
            PER_HOUR * 2 - 36,
            id="the oracle",
        ),
    ],
)
def test_leak_is_caught(prepared, maker, step):
    """An autoscaler that reads the load is found out at the first decision it bears on."""
    [leak] = leaks_of({"leaky": maker}, prepared, PER_HOUR * 2).values()

    assert leak.step == step
    assert leak.wanted[0] != leak.wanted[1]


def test_last_step_was_the_last_that_could_be_read(prepared):
    """What was served in a step can be decided on from the next step on: no leak, no delay."""
    makers = {"last step": lambda load: Peeking(load, -1)}

    assert leaks_of(makers, prepared, PER_HOUR * 2) == {}


def test_loads_are_equal_up_to_the_step(prepared):
    """The other load shares every step before, and none after."""
    load = prepared.load
    other = scrambled(load, 1000)

    assert (other.expected[:1000] == load.expected[:1000]).all()
    assert (other.counted[:1000] == load.counted[:1000]).all()
    assert (other.expected[1000:] != load.expected[1000:]).all()
