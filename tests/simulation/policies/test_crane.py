"""Crane's DSP: period, estimators, choice, and what the HPA beside it makes of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulations.policies.crane import CraneForecaster, crane, cycle_of
from simulations.policies.forecasts.dsp import (
    MaxValue,
    Spectrum,
    find_period,
    forecast_error,
    next_cycle,
)
from simulations.policies.past import Past
from simulations.policies.service import ServiceFacts
from tests.simulation.policies.views import view_of

DAY = 1440
MINUTES = np.arange(3 * DAY)
DAILY = 200.0 + 100.0 * np.sin(2 * np.pi * MINUTES / DAY)
FACTS = ServiceFacts(requests_per_second=20.0, concurrency=4, maximum=100)


def test_too_low_forecasts_count_more():
    """10 % too low counts 0.47 and 50 % too low 3.1, as accuracy.go says; too high counts once."""
    actual = np.array([100.0])
    assert forecast_error(actual, np.array([90.0])) == pytest.approx(0.47, abs=0.005)
    assert forecast_error(actual, np.array([50.0])) == pytest.approx(3.1, abs=0.01)
    assert forecast_error(actual, np.array([150.0])) == pytest.approx(0.5)


def test_error_near_zero_is_absolute():
    """With a zero among the values the mean absolute error stands in."""
    assert forecast_error(np.array([0.0, 10.0]), np.array([1.0, 7.0])) == pytest.approx(2.0)


def test_period_of_a_daily_series_is_a_day():
    """A noisy daily series has a period of about a day."""
    noise = np.random.default_rng(1).normal(0, 30, len(DAILY))
    assert find_period(DAILY + noise, 60.0) == pytest.approx(DAY, rel=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_noise_and_constants_have_no_period_of_a_day(seed):
    """Without a pattern there is no forecast."""
    noise = np.random.default_rng(seed).normal(200, 30, len(DAILY))
    assert cycle_of(noise) is None
    assert cycle_of(np.full(len(DAILY), 5.0)) is None


def test_maximum_of_the_cycles():
    """Each instant of the next cycle is the highest of the past ones, and the margin."""
    samples = np.array([1.0, 5.0, 2.0, 3.0, 4.0, 6.0])
    assert MaxValue().estimate(samples, 2, 60.0).tolist() == [4.0, 6.0]
    assert MaxValue(0.5).estimate(samples, 2, 60.0).tolist() == [6.0, 9.0]


def test_spectrum_drops_weak_fast_parts_and_adds_the_margin():
    """A weak oscillation of ten minutes goes, one of eight hours stays, 10 % are added."""
    ripple = 0.5 * np.sin(2 * np.pi * MINUTES / 10)
    swell = 0.5 * np.sin(2 * np.pi * MINUTES / 480)
    cycle = Spectrum(1, 1.0, 0.10).estimate(DAILY + swell + ripple, DAY, 60.0)
    assert cycle == pytest.approx(1.1 * (DAILY + swell)[-DAY:], rel=1e-6)


def test_estimator_that_knew_the_last_cycle_wins():
    """Where the last day was a repetition, the smallest margin is chosen."""
    cycle = next_cycle(DAILY, DAY, 60.0)
    assert cycle == pytest.approx(DAILY[-DAY:], rel=0.011)


def test_gaps_are_bridged_and_what_is_before_a_long_one_is_dropped():
    """Half an hour is bridged; two hours cut the series, and one day is too little."""
    short, long = DAILY.copy(), DAILY.copy()
    short[2000:2030] = np.nan
    long[2000:2120] = np.nan
    assert cycle_of(short) == pytest.approx(cycle_of(DAILY), rel=0.05)
    assert cycle_of(long) is None


def forecaster():
    """Return a forecaster that has seen three days up to minute 4320."""
    return CraneForecaster(Past(start_at=0.0, rates=DAILY))


def test_forecast_is_the_highest_of_the_next_hour():
    """At the beginning of a day the next hour's end is the highest."""
    seen = forecaster().forecast(view_of(3 * 86_400, [1], rate=200.0))
    assert seen == pytest.approx(1.01 * DAILY[60], rel=0.01)


def test_fit_lasts_twelve_hours():
    """What is seen meanwhile changes nothing until the next fit."""
    learner = forecaster()
    first = learner.forecast(view_of(3 * 86_400, [1], rate=200.0))
    for minute in range(1, 720):
        learner.forecast(view_of(3 * 86_400 + 60 * minute, [1], rate=2000.0))
    before = learner.forecast(view_of(3 * 86_400 + 60 * 719.5, [1], rate=2000.0))
    assert before == pytest.approx(1.01 * DAILY[719 : 719 + 61].max(), rel=0.01)
    after = learner.forecast(view_of(3 * 86_400 + 60 * 720, [1], rate=2000.0))
    assert after != before
    learner.start()
    assert learner.forecast(view_of(3 * 86_400, [1], rate=200.0)) == first


def test_higher_of_forecast_and_live_rate_counts():
    """The HPA takes what asks for more replicas: the forecast, or the rate there is."""
    at = 3 * 86_400
    expected = 1.01 * DAILY[60]
    autoscaler = crane(FACTS, Past(start_at=0.0, rates=DAILY))
    autoscaler.start(1)
    assert autoscaler.decide(view_of(at, [10], rate=50.0)).tolist() == [
        math.ceil(expected / FACTS.target_rate)
    ]
    autoscaler.start(1)
    assert autoscaler.decide(view_of(at, [30], rate=500.0)).tolist() == [
        math.ceil(500 / FACTS.target_rate)
    ]


def test_without_period_the_live_rate_decides():
    """No forecast neither raises nor holds the scale."""
    autoscaler = crane(FACTS, Past(start_at=0.0, rates=np.full(3 * DAY, 50.0)))
    autoscaler.start(1)
    assert autoscaler.decide(view_of(3 * 86_400, [4], rate=112.0)).tolist() == [8.0]
