"""A trace on the clock of a simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.errors import SimulationError
from simulations.workload.load import load_of
from simulations.workload.trace import Trace, Unit

nan = float("nan")


def trace_of(values: list[float], step: float, unit: Unit = Unit.PER_SECOND) -> Trace:
    """Return a trace."""
    return Trace(
        name="t", start_at=50, step_seconds=step, values=np.array(values, dtype=float), unit=unit
    )


def test_rates_of_short_steps_hold_for_the_whole_step():
    """At a step of a minute every simulated step has the minute's rate."""
    load = load_of(trace_of([60, 120], 60, Unit.PER_STEP), step_seconds=20, seed=1, scale=3)
    np.testing.assert_allclose(load.expected, [60, 60, 60, 120, 120, 120])
    assert load.start_at == 50
    assert load.steps == 6


def test_rates_of_long_steps_are_joined_by_lines():
    """At longer steps there are no stairs; the mean over the trace's step is about kept."""
    load = load_of(trace_of([1, 3, 5], 600), step_seconds=100, seed=1)
    rates = load.expected / 100
    assert (np.diff(rates) >= 0).all()
    assert rates[6:12].mean() == pytest.approx(3)
    assert np.diff(rates[3:15]).max() == pytest.approx(2 / 6)


def test_unknown_steps_are_marked_and_bridged():
    """Where the trace knows nothing the plant gets a line, and nobody takes it for known."""
    load = load_of(trace_of([10, nan, nan, 40], 60), step_seconds=60, seed=1)
    assert load.known.tolist() == [True, False, False, True]
    np.testing.assert_allclose(load.expected, np.array([10, 20, 30, 40]) * 60)


def test_counts_are_drawn_around_what_is_expected_by_seed():
    """The same seed draws the same arrivals; they have the expected mean and Poisson's spread."""
    trace = trace_of([20] * 5000, 5)
    load = load_of(trace, step_seconds=5, seed=1)
    np.testing.assert_array_equal(load.counted, load_of(trace, step_seconds=5, seed=1).counted)
    assert (load.counted != load_of(trace, step_seconds=5, seed=2).counted).any()
    assert load.counted.mean() == pytest.approx(100, rel=0.01)
    assert load.counted.var() == pytest.approx(100, rel=0.1)


@given(
    values=st.lists(st.floats(0, 1e6), min_size=1, max_size=30),
    step=st.sampled_from([5.0, 15.0, 60.0, 600.0]),
    parts=st.integers(1, 12),
)
def test_a_load_lasts_as_long_as_its_trace_and_stays_in_its_range(values, step, parts):
    """No simulated step is more or less than the trace's extremes."""
    load = load_of(trace_of(values, step), step_seconds=step / parts, seed=0)
    assert load.steps == len(values) * parts
    rates = load.expected / (step / parts)
    assert rates.min() >= min(values) * (1 - 1e-9) - 1e-9
    assert rates.max() <= max(values) * (1 + 1e-9) + 1e-9
    assert load.known.all()


def test_a_trace_shorter_than_a_step_is_refused():
    """There is nothing to simulate in less than one step."""
    with pytest.raises(SimulationError, match="lasts 60 s, less than one step of 90 s"):
        load_of(trace_of([1], 60), step_seconds=90, seed=0)


def test_more_steps_than_fit_are_refused():
    """A step too short, like a time too long, must not ask for all memory."""
    with pytest.raises(SimulationError, match="has 20000001 steps"):
        load_of(trace_of([1], 20_000.001), step_seconds=0.001, seed=0)
