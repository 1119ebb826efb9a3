"""Traces made of traces: rates are kept, what is missing stays missing."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.errors import SimulationError
from simulations.workload import compose
from simulations.workload.trace import STEPS_MAX, VALUE_MAX, Trace, Unit

nan = float("nan")


def trace_of(
    values: list[float], step: float = 60, unit: Unit = Unit.PER_SECOND, start_at: float = 1000
) -> Trace:
    """Return a trace."""
    return Trace(
        name="t",
        start_at=start_at,
        step_seconds=step,
        values=np.array(values, dtype=float),
        unit=unit,
    )


SERIES = st.lists(
    st.one_of(st.floats(0, 1e6), st.just(nan)), min_size=1, max_size=40
).filter(lambda values: not np.isnan(values).all())  # fmt: skip


@given(SERIES, st.floats(0.001, 1000), st.sampled_from(Unit))
def test_scaling_multiplies_what_is_known(values, factor, unit):
    """Every value is multiplied, in either unit; gaps stay."""
    scaled = compose.scaled(trace_of(values, unit=unit), factor)
    np.testing.assert_allclose(scaled.values, np.array(values) * factor)
    assert scaled.unit is unit


@given(SERIES.filter(lambda values: np.nanmax(values) > 1e-3 and len(values) < 500))
def test_the_peak_becomes_what_was_asked(values):
    """The 99.9th percentile of the rate is the given one, for counts as well."""
    for unit in Unit:
        trace = trace_of(values, unit=unit)
        if np.nanquantile(trace.per_second(), 0.999) > 0:
            rates = compose.scaled_to_peak(trace, 400).per_second()
            assert np.nanquantile(rates, 0.999) == pytest.approx(400)
            np.testing.assert_array_equal(np.isnan(rates), np.isnan(values))


def test_one_wild_value_does_not_set_the_peak():
    """A single step far above all others is beyond the percentile."""
    trace = compose.scaled_to_peak(trace_of([10.0] * 5000 + [1e6]), 400)
    assert trace.values[0] == pytest.approx(400)


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=40), st.integers(-600, 600))
def test_what_is_moved_keeps_its_instants(values, seconds):
    """Whole steps move as they are; else each step is the mean of what it then covers."""
    trace = trace_of(values, step=60)
    moved = compose.moved(trace, seconds)
    skipped = moved.start_at - (trace.start_at + seconds)
    assert (moved.start_at - trace.start_at) % 60 == 0
    assert skipped == -seconds % 60
    fine = np.repeat(np.array(values), 60)[round(skipped) :]
    means = fine[: 60 * len(moved.values)].reshape(-1, 60).mean(axis=1)
    np.testing.assert_allclose(moved.values, means, rtol=1e-9, atol=1e-9)
    assert len(moved.values) == len(values) - (seconds % 60 > 0)


def test_what_is_moved_by_a_part_of_a_step_is_that_of_what_is_known():
    """A step is missing only where both it lies in are; a single one has nothing to lie in."""
    moved = compose.moved(trace_of([2, 4, nan, nan, 8]), -15)
    np.testing.assert_allclose(moved.values, [2.5, 4, nan, 8])
    with pytest.raises(SimulationError, match="holds no value"):
        compose.moved(trace_of([2]), -15)


@given(SERIES, st.integers(1, 6))
def test_finer_and_back_is_the_same(values, parts):
    """Rates repeat at a finer step; their means at the old step are what they were."""
    trace = trace_of(values, step=60)
    fine = compose.resampled(trace, 60 / parts)
    assert len(fine.values) == len(values) * parts
    assert fine.duration_seconds == pytest.approx(trace.duration_seconds)
    np.testing.assert_allclose(compose.resampled(fine, 60).values, values)


def test_coarser_steps_are_means_of_what_is_known():
    """A step is missing only where nothing of it is known; counts become rates."""
    trace = compose.resampled(trace_of([60, 120, nan, 180, nan, nan], unit=Unit.PER_STEP), 120)
    np.testing.assert_allclose(trace.values, [1.5, 3, nan])
    assert trace.unit is Unit.PER_SECOND


@given(SERIES, st.integers(1, 4))
def test_repeating_is_the_same_again(values, times):
    """Each turn equals the first."""
    trace = compose.repeated(trace_of(values), times)
    np.testing.assert_array_equal(trace.values.reshape(times, -1), [values] * times)


def test_windows_are_cut_on_whole_steps():
    """A window has its own start; negative = from the end; what is beyond the end is not there."""
    trace = trace_of([1, 2, 3, 4, 5])
    part = compose.cut(trace, from_seconds=60, duration_seconds=120)
    assert part.values.tolist() == [2, 3]
    assert part.start_at == 1060
    assert compose.cut(trace, from_seconds=-120).values.tolist() == [4, 5]
    assert compose.cut(trace, from_seconds=-1e6).values.tolist() == [1, 2, 3, 4, 5]
    assert compose.cut(trace, from_seconds=240, duration_seconds=1e6).values.tolist() == [5]
    assert compose.shifted(trace, -400).start_at == 600


@given(st.lists(SERIES, min_size=1, max_size=4))
def test_sums_are_missing_where_a_part_is(parts):
    """The sum of known parts, as long as the shortest; unknown where one is."""
    length = min(len(part) for part in parts)
    expected = np.sum([part[:length] for part in parts], axis=0)
    if np.isnan(expected).all():
        with pytest.raises(SimulationError, match="holds no value"):
            compose.added([trace_of(part) for part in parts])
    else:
        total = compose.added([trace_of(part) for part in parts])
        np.testing.assert_allclose(total.values, expected)


def test_parts_of_different_steps_and_units_meet_at_the_finer_step():
    """A rate and a count per longer step are added as rates."""
    total = compose.added([trace_of([1, 2, 3, 4]), trace_of([120, 240], 120, Unit.PER_STEP)])
    assert total.values.tolist() == [2, 3, 5, 6]
    assert total.step_seconds == 60


def test_a_profile_multiplies():
    """A shape around 1 modulates a trace; gaps of both are gaps."""
    shaped = compose.multiplied(trace_of([10, nan, 10, 10]), trace_of([1, 1, nan, 0.5]))
    np.testing.assert_array_equal(shaped.values, [10, nan, nan, 5])


def test_overlays_add_from_an_instant_on():
    """Length and start are those of the trace below; neither operand is changed."""
    below, above = trace_of([1, 1, nan, 1]), trace_of([5, nan, 5, 5, 5])
    laid = compose.overlaid(below, above, at_seconds=60)
    np.testing.assert_array_equal(laid.values, [1, 6, nan, 6])
    assert laid.start_at == below.start_at
    np.testing.assert_array_equal(below.values, [1, 1, nan, 1])
    fine = compose.overlaid(trace_of([1, 1]), trace_of([2], 30), at_seconds=30)
    assert fine.values.tolist() == [1, 3, 1, 1]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (partial(compose.scaled, trace_of([1]), -1), "must be >= 0"),
        (partial(compose.scaled, trace_of([1]), nan), "must be >= 0"),
        (
            partial(compose.scaled, trace_of([10]), 1e308),
            re.escape(f"must be from 0 to {VALUE_MAX:g}"),
        ),
        (partial(compose.scaled_to_peak, trace_of([0, 0]), 5), "no load to scale"),
        (partial(compose.cut, trace_of([1]), from_seconds=60), "lasts 60 s; nothing is left"),
        (partial(compose.repeated, trace_of([1]), 0), "repeat is 0"),
        (partial(compose.repeated, trace_of([1]), STEPS_MAX + 1), "must be at most"),
        (partial(compose.resampled, trace_of([1]), 45), "60 s and 45 s do not divide"),
        (partial(compose.resampled, trace_of([1]), 1e-6), "must be at most"),
        (partial(compose.added, []), "nothing to put together"),
        (partial(compose.overlaid, trace_of([1]), trace_of([1]), at_seconds=60), "cannot begin"),
    ],
)
def test_what_cannot_be_made_is_refused(make, said):
    """Each refusal names the trace and what is wrong."""
    with pytest.raises(SimulationError, match=said):
        make()
