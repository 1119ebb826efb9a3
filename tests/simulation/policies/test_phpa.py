"""predictive-horizontal-pod-autoscaler: its models against statsmodels, its rule by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulations.policies.forecasts.weights import holt_winters_weights, line_weights
from simulations.policies.phpa import LEAST_FOR_HOLT_WINTERS, Model, Phpa
from simulations.policies.service import ServiceFacts
from tests.simulation.policies.views import view_of

FACTS = ServiceFacts(requests_per_second=20.0, concurrency=4, maximum=50)

STATSMODELS = {
    (4, 4, 4, 5, 5, 6, 6, 6, 7, 7, 8, 8, 8, 9, 9, 10): 12.099042550327425,
    (3, 5, 8, 5, 3, 2, 3, 5, 8, 6, 3, 2, 4, 6, 9, 6, 4, 3, 4, 6, 9, 6, 4, 3): 4.641601284298671,
    (
        10, 12, 13, 15, 14, 12, 11, 13, 13, 16, 15, 12, 12, 13, 14, 17, 15, 13, 12, 14, 15, 18,
        16, 14, 13, 15, 16,
    ): 19.658875681707574,
}  # fmt: skip
"""``ExponentialSmoothing(series, trend="add", seasonal="add", seasonal_periods=6,
initialization_method="estimated").fit(0.9, 0.9, 0.9).forecast(1)`` of statsmodels 0.15.0."""


@pytest.mark.parametrize("series", STATSMODELS)
def test_holt_winters_forecasts_what_statsmodels_does(series):
    """The weighted sum equals the library's fit and forecast to four digits."""
    weights = holt_winters_weights(len(series), alpha=0.9, beta=0.9, gamma=0.9, period=6)

    assert np.dot(weights, series) == pytest.approx(STATSMODELS[series], abs=2e-4)


def test_line_is_the_least_squares_line():
    """Weights give the value of a fitted line ten seconds after the last of six syncs."""
    series = np.array([3.0, 4.0, 4.0, 6.0, 5.0, 8.0])
    slope, intercept = np.polyfit(np.arange(6) * 15.0, series, 1)

    assert np.dot(line_weights(6, ahead=10 / 15), series) == pytest.approx(intercept + slope * 85.0)
    assert line_weights(1, ahead=10 / 15) == (1.0,)


def phpa(model, lanes=1):
    """Return a started PHPA."""
    made = Phpa(FACTS, model)
    made.start(lanes)
    return made


def test_line_raises_the_scale_ahead_of_a_ramp():
    """The HPA's counts 10, 11 ... 15, one per sync: the line sees 16 ten seconds later."""
    autoscaler = phpa(Model.LINEAR)
    history = [np.array([count]) for count in (10.0, 11.0, 12.0, 13.0, 14.0, 15.0)]

    assert autoscaler.predict(history).tolist() == [16.0]


def test_constant_history_predicts_itself():
    """Rounding errors add no replica, in either model."""
    history = [np.array([7.0])] * 24
    assert phpa(Model.LINEAR).predict(history[:6]).tolist() == [7.0]
    assert phpa(Model.HOLT_WINTERS).predict(history).tolist() == [7.0]


def test_holt_winters_waits_for_enough_values():
    """Fewer than 16 values predict nothing."""
    history = [np.array([9.0])] * LEAST_FOR_HOLT_WINTERS
    assert phpa(Model.HOLT_WINTERS).predict(history[:-1]).tolist() == [0.0]
    assert phpa(Model.HOLT_WINTERS).predict(history).tolist() == [9.0]


def test_history_keeps_four_whole_seasons():
    """From 30 values on the oldest season goes, so that 24 to 29 are used."""
    autoscaler = phpa(Model.HOLT_WINTERS)
    lengths = []
    predict = autoscaler.predict

    def counted(history):
        lengths.append(len(history))
        return predict(history)

    autoscaler.predict = counted
    for tick in range(40):
        autoscaler.decide(view_of(15 * tick, [10], cpu=[0.7]))

    assert lengths == [*range(1, 31), *range(25, 31), *range(25, 29)]


def test_calculation_is_the_hpas():
    """90 % of CPU on 7 pods with a target of 70 % want 9; 75 % is within the tolerance."""
    assert phpa(Model.LINEAR).decide(view_of(0, [7], cpu=[0.9])).tolist() == [9.0]
    assert phpa(Model.LINEAR).decide(view_of(0, [7], cpu=[0.75])).tolist() == [7.0]


def test_scale_down_waits_for_five_minutes():
    """The highest target of the last 300 s counts, then the calculation does."""
    autoscaler = phpa(Model.LINEAR)
    wanted = [autoscaler.decide(view_of(0, [10], cpu=[0.7])).tolist()[0]]
    wanted += [
        autoscaler.decide(view_of(15 * tick, [10], cpu=[0.35])).tolist()[0] for tick in range(1, 22)
    ]
    assert wanted[:21] == [10.0] * 21
    assert wanted[21] < 10


def test_lane_without_metric_keeps_its_replicas():
    """No CPU figures, no change; other lanes are decided."""
    autoscaler = phpa(Model.LINEAR, lanes=2)
    assert autoscaler.decide(view_of(0, [7, 7], cpu=[math.nan, 0.9])).tolist() == [7.0, 9.0]
    assert autoscaler.decide(view_of(15, [7, 9], cpu=math.nan)).tolist() == [7.0, 9.0]
