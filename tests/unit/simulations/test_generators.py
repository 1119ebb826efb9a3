"""Synthetic load: shapes as documented, seeded, never negative."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.errors import SimulationError
from simulations.workload import generators
from simulations.workload.generators import (
    DAY,
    HOUR,
    START_AT,
    Batches,
    Burst,
    Constant,
    Diurnal,
    FlashCrowd,
    Generator,
    Outage,
    Ramp,
    Shape,
    Sinusoid,
    Step,
    Tokens,
    Weekly,
)

ALL: list[Shape] = [
    Constant(per_second=10),
    Sinusoid(mean_per_second=10, amplitude_per_second=20, period_seconds=HOUR),
    Diurnal(mean_per_second=10),
    Weekly(mean_per_second=10),
    Step(before_per_second=1, after_per_second=9, at_seconds=HOUR),
    Ramp(before_per_second=1, after_per_second=9, from_seconds=HOUR, to_seconds=2 * HOUR),
    Burst(base_per_second=1, burst_per_second=9, every_seconds=HOUR, length_seconds=300),
    FlashCrowd(base_per_second=1, peak_per_second=9, at_seconds=HOUR),
    Outage(base_per_second=10, at_seconds=HOUR, length_seconds=600),
    Batches(batches_per_hour=12, jobs_per_batch=20),
    Tokens(requests_per_second=5, tokens_median=500, tokens_p95=4000),
]


def known_as(shape: Shape) -> str:
    """Return a shape's name in scenarios."""
    return str(shape.__struct_config__.tag)


@pytest.mark.parametrize("shape", ALL, ids=known_as)
def test_the_same_seed_gives_the_same_load(shape):
    """A generator is a function of its parameters; another seed gives other noise."""
    noisy = msgspec.structs.replace(shape, noise_ratio=0.3, seed=1)
    first, again = noisy.trace().values, noisy.trace().values
    np.testing.assert_array_equal(first, again)
    other = msgspec.structs.replace(noisy, seed=2).trace().values
    assert (first != other).any()
    assert first.min() >= 0
    assert np.isfinite(first).all()


@pytest.mark.parametrize("shape", ALL, ids=known_as)
def test_a_shape_survives_being_written(shape):
    """What a scenario file says is the shape that is meant."""
    assert msgspec.convert(msgspec.to_builtins(shape), Generator) == shape
    trace = shape.trace()
    assert trace.name == known_as(shape)
    assert trace.start_at == START_AT
    assert trace.duration_seconds == shape.duration_seconds


def test_noise_has_mean_one():
    """Noise changes single steps, not the mean."""
    values = Constant(per_second=100, noise_ratio=0.4, duration_seconds=30 * DAY).trace().values
    assert values.mean() == pytest.approx(100, rel=0.01)
    assert np.log(values).std() == pytest.approx(0.4, rel=0.02)


def test_days_have_their_mean_swing_and_peak_hour():
    """The daily wave peaks at its hour, at the mean plus the swing, and is flat at night."""
    rates = Diurnal(mean_per_second=100, swing_ratio=0.8, peak_hour=9).trace().values
    assert rates.mean() == pytest.approx(100, rel=1e-6)
    assert rates.max() == pytest.approx(180, rel=1e-4)
    assert rates.argmax() in {9 * 60 - 1, 9 * 60}
    assert rates.max() - 100 > 100 - rates.min()


def test_weekends_are_lower():
    """The trace starts on a Monday; the last two days of each week have their share."""
    rates = Weekly(mean_per_second=100, weekend_ratio=0.3, duration_seconds=14 * DAY).trace()
    days = rates.values.reshape(14, -1).mean(axis=1)
    np.testing.assert_allclose(days, [100, 100, 100, 100, 100, 30, 30] * 2, rtol=1e-6)


def test_waves_never_go_below_zero():
    """A wave larger than its mean is cut at zero."""
    rates = ALL[1].trace().values
    assert rates.min() == 0
    assert rates.max() == pytest.approx(30, rel=0.01)


def test_steps_and_ramps_change_when_told():
    """Before, the old rate; after, the new one; a ramp passes the middle half-way."""
    step, ramp = ALL[4].trace().values, ALL[5].trace().values
    assert step.tolist() == [1] * 60 + [9] * (23 * 60)
    assert ramp[:60].tolist() == [1] * 60
    assert ramp[120:].tolist() == [9] * (22 * 60)
    assert ramp[89:91].mean() == pytest.approx(5)
    assert (np.diff(ramp) >= 0).all()


def test_bursts_come_at_equal_distances():
    """Five minutes at the end of each hour are burst, the rest is base."""
    hours = ALL[6].trace().values.reshape(24, 60)
    assert (hours[:, :55] == 1).all()
    assert (hours[:, 55:] == 9).all()


def test_a_flash_crowd_rises_fast_and_halves():
    """Base before; the peak after the rise; half of it is left after each half-life."""
    shape = FlashCrowd(
        base_per_second=10, peak_per_second=110, at_seconds=HOUR, rise_seconds=60,
        half_life_seconds=600, step_seconds=10,
    )  # fmt: skip
    rates = shape.trace().values
    assert (rates[:360] == 10).all()
    assert rates.max() == pytest.approx(110, rel=0.01)
    after = rates[366 : 366 + 181 : 60] - 10
    np.testing.assert_allclose(after[1:] / after[:-1], 0.5)


def test_an_outage_is_followed_by_a_surge_that_fades():
    """Nothing arrives during the outage; then more than before, for as long again."""
    rates = ALL[8].trace().values
    assert (rates[:60] == 10).all()
    assert (rates[60:70] == 0).all()
    assert rates[70] == pytest.approx(15, rel=0.05)
    assert (np.diff(rates[70:80]) < 0).all()
    assert (rates[80:] == 10).all()


def test_batches_have_their_rate_and_size():
    """Jobs per hour are batches times mean size; sizes are geometric, so never below one."""
    shape = Batches(batches_per_hour=12, jobs_per_batch=20, duration_seconds=60 * DAY)
    jobs = shape.trace().values * 60
    assert jobs.sum() == pytest.approx(12 * 20 * 24 * 60, rel=0.03)
    np.testing.assert_allclose(jobs, np.rint(jobs), atol=1e-9)
    assert (jobs > 0).mean() == pytest.approx(1 - np.exp(-12 / 60), rel=0.03)
    single = Batches(batches_per_hour=3600, jobs_per_batch=1, duration_seconds=10 * DAY).trace()
    assert single.values.mean() == pytest.approx(1, rel=0.02)


def test_tokens_are_work_in_units():
    """The mean work is requests times the mean of the log-normal sizes."""
    shape = Tokens(requests_per_second=5, tokens_median=500, tokens_p95=4000, swing_ratio=0)
    sigma = np.log(8) / generators.NORMAL_P95
    mean = 500 * np.exp(sigma**2 / 2)
    assert shape.trace().values.mean() == pytest.approx(5 * mean / 1000, rel=0.02)
    equal = Tokens(requests_per_second=5, tokens_median=500, tokens_p95=500, tokens_per_unit=500)
    requests = equal.trace().values * 60
    np.testing.assert_allclose(requests, np.rint(requests), atol=1e-6)


def test_sizes_are_drawn_in_parts_without_a_difference(monkeypatch):
    """How many sizes are in memory at once changes nothing."""
    whole = ALL[10].trace().values
    monkeypatch.setattr(generators, "DRAWN_AT_ONCE", 1000)
    np.testing.assert_allclose(ALL[10].trace().values, whole, rtol=1e-12)


def test_too_many_steps_are_refused():
    """A wrong duration is an error that names it, not all memory."""
    with pytest.raises(SimulationError, match="must be at most") as caught:
        Constant(per_second=1, duration_seconds=1e12).trace()
    assert caught.value.field == "duration_seconds"


@given(
    base=st.floats(0, 1e6),
    other=st.floats(0, 1e6),
    at=st.floats(0, 2 * DAY),
    length=st.floats(1, DAY),
    step=st.sampled_from([1.0, 7.0, 60.0, 3600.0]),
)
@settings(deadline=None)
def test_rates_stay_between_their_levels(base, other, at, length, step):
    """Whatever the parameters, no shape leaves the range its levels span."""
    timing = {"step_seconds": step, "duration_seconds": 4 * HOUR}
    shapes = [
        Step(before_per_second=base, after_per_second=other, at_seconds=at, **timing),
        Ramp(
            before_per_second=base, after_per_second=other, from_seconds=at,
            to_seconds=at + length, **timing,
        ),
        Burst(
            base_per_second=base, burst_per_second=other, every_seconds=length,
            length_seconds=length / 2, **timing,
        ),
        FlashCrowd(
            base_per_second=base, peak_per_second=other, at_seconds=at, rise_seconds=length,
            half_life_seconds=length, **timing,
        ),
    ]  # fmt: skip
    low, high = min(base, other), max(base, other)
    slack = 1e-9 * (1 + high)
    for shape in shapes:
        values = shape.trace().values
        assert len(values) == max(1, round(4 * HOUR / step))
        assert low - slack <= values.min() <= values.max() <= high + slack
