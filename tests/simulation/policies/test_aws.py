"""AWS: the hourly forecast, the buffer before an hour, and the alarms of target tracking."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulations.policies.aws import AwsForecaster, TargetTracking, aws
from simulations.policies.forecasts.hourly import hourly_forecast
from simulations.policies.past import Past
from simulations.policies.service import ServiceFacts
from tests.simulation.policies.views import view_of

FACTS = ServiceFacts(requests_per_second=20.0, concurrency=4, maximum=100)
DAY = 86_400.0
MONDAY = 4 * DAY
"""5 January 1970."""

HOURS = np.repeat(np.arange(24.0), 60)


def test_hour_is_the_mean_of_the_same_hour():
    """Two days of 10 and 20 at noon forecast 15 for noon."""
    rates = np.concatenate([HOURS, HOURS + 10.0])
    forecast = hourly_forecast(rates, MONDAY + 2 * DAY, 24)

    assert forecast.tolist() == (np.arange(24.0) + 5.0).tolist()


def test_weekends_are_forecast_from_weekends():
    """After a week, Saturday comes from last Saturday, and Monday from the weekdays."""
    week = np.concatenate([np.full(1440, level) for level in (10, 10, 10, 10, 10, 2, 4)])
    forecast = hourly_forecast(week.astype(float), MONDAY + 7 * DAY, 24 * 6)

    assert forecast[0] == 10.0
    assert forecast[24 * 5] == 3.0


def test_missing_minutes_are_left_out():
    """An hour with gaps is the mean of what is known; an hour never seen is not known."""
    rates = HOURS.copy()
    rates[60:90] = np.nan
    rates[120:180] = np.nan
    forecast = hourly_forecast(rates, MONDAY + DAY, 24)

    assert forecast[1] == 1.0
    assert math.isnan(forecast[2])


def test_forecast_needs_a_day_and_begins_five_minutes_early():
    """23 hours give nothing; with a day, the next hour counts from 300 s before it."""
    young = AwsForecaster(Past(start_at=MONDAY, rates=HOURS[: 23 * 60]))
    assert young.forecast(view_of(MONDAY + 23 * 3600, [1], rate=5.0)) == 0.0

    day = AwsForecaster(Past(start_at=MONDAY, rates=HOURS))
    at = MONDAY + DAY
    assert day.forecast(view_of(at, [1], rate=0.0)) == 0.0
    assert day.forecast(view_of(at + 3299, [1], rate=0.0)) == 0.0
    assert day.forecast(view_of(at + 3300, [1], rate=0.0)) == 1.0
    # Falling load: the hour that is counts, not the next.
    assert day.forecast(view_of(at + 4 * 3600 + 3300, [1], rate=0.0)) == 5.0


def play(rates, *, replicas, forecast=0.0):
    """Show a rate a minute to one lane whose pods serve at once; return its replicas."""
    tracking = TargetTracking(FACTS)
    tracking.start(1)
    series = []
    for minute, rate in enumerate(rates):
        view = view_of(60 * minute, [replicas], rate=rate, forecast=forecast)
        replicas = tracking.decide(view).tolist()[0]
        series.append(replicas)
    return series


def test_scales_out_after_three_minutes_above_the_target():
    """280 requests/s at 14 per replica want 20 replicas, in the third minute."""
    assert play([280.0] * 4, replicas=10) == [10, 10, 20, 20]


def test_scales_in_after_fifteen_minutes_below_nine_tenths():
    """At half the target the fifteenth minute brings it down; at 94 % of it nothing happens."""
    series = play([70.0] * 15, replicas=10)
    assert series == [10.0] * 14 + [5.0]
    # 263 requests/s would fit on 19 replicas.
    assert play([263.0] * 30, replicas=20) == [20.0] * 30


def test_minute_without_data_changes_nothing():
    """A gap neither scales nor counts."""
    assert play([280.0, 280.0, math.nan, 280.0], replicas=10) == [10, 10, 10, 20]


def test_forecast_is_the_least_capacity():
    """Replicas are raised to the forecast at once, and scaled in no further."""
    assert play([70.0] * 20, replicas=3, forecast=140.0) == [10.0] * 20


def test_whole_is_the_higher_of_both():
    """Predictive scaling raises, target tracking follows what really comes."""
    autoscaler = aws(FACTS, Past(start_at=MONDAY, rates=np.full(1440, 140.0)))
    autoscaler.start(1)
    assert autoscaler.decide(view_of(MONDAY + DAY, [3], rate=10.0)).tolist() == [10.0]


@pytest.mark.parametrize("kind", ["scale in", "scale out"])
def test_bounds_are_kept(kind):
    """Neither the forecast nor the alarms leave the bounds."""
    if kind == "scale out":
        assert play([9000.0] * 3, replicas=90, forecast=9000.0) == [100.0] * 3
    else:
        assert play([0.0] * 15, replicas=2)[-1] == 1.0
