"""AWS: predictive scaling with target tracking beside it.

Predictive scaling (AWS, "How predictive scaling works" and ``PredictiveScalingConfiguration``):
needs 24 hours and uses up to 14 days, forecasts 48 hours by the hour, anew every 6 hours, raises
the least capacity for an hour from ``SchedulingBufferTime`` (300 s) before it, never scales in.

Target tracking scales by alarms on a metric of one-minute periods: out after 3 of them above the
target, in after 15 below 90 % of it, each time to what the metric asks for. (The alarms are made by
the service; their periods are those it shows, not documented ones.)

Simplified: AWS does not publish its forecast; here it is the mean of the same hour on earlier days
of the same kind. The metric is the request count per target.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from simulations.engine.view import LaneView, Values
from simulations.policies.forecasts.hourly import HOUR_SECONDS, hourly_forecast
from simulations.policies.foreseeing import FORECAST, Foreseeing
from simulations.policies.past import Floats, Past, RateHistory, only
from simulations.policies.service import ServiceFacts
from simulations.policies.watching import RATE

HISTORY_MINUTES: Final = 14 * 1440
LEAST_MINUTES: Final = 1440
FORECAST_HOURS: Final = 48
REFIT_SECONDS: Final = 6 * 3600.0
BUFFER_SECONDS: Final = 300.0
PERIOD_SECONDS: Final = 60.0
PERIODS_OUT: Final = 3
PERIODS_IN: Final = 15
IN_RATIO: Final = 0.9


class AwsForecaster:
    """The hourly forecast.

    Args:
        past: What could be read before the run.
    """

    def __init__(self, past: Past | None = None) -> None:
        self._history = RateHistory(RATE, minutes=HISTORY_MINUTES, past=past)
        self._fit_at = -np.inf
        self._first_hour = 0
        self._hours: Floats = np.zeros(0)

    def start(self) -> None:
        """Forget the run, not what was before it."""
        self._history.forget()
        self._fit_at = -np.inf
        self._hours = np.zeros(0)

    def forecast(self, view: LaneView) -> float:
        """Return the rate of this hour, or of the next when that begins within the buffer."""
        self._history.observe(view)
        if view.at - self._fit_at >= REFIT_SECONDS:
            self._fit_at = view.at
            rates = self._history.last(HISTORY_MINUTES)
            self._hours = np.zeros(0)
            if len(rates) >= LEAST_MINUTES:
                end_at = self._history.end_at
                self._first_hour = int(end_at // HOUR_SECONDS)
                self._hours = hourly_forecast(rates, end_at, FORECAST_HOURS)
        return max(self._at(view.at), self._at(view.at + BUFFER_SECONDS))

    def _at(self, at: float) -> float:
        index = int(at // HOUR_SECONDS) - self._first_hour
        if not 0 <= index < len(self._hours) or np.isnan(self._hours[index]):
            return 0.0
        return float(self._hours[index])


class TargetTracking:
    """Alarms on the request count per target, over a forecast as the least capacity.

    Args:
        facts: Of the service.
    """

    tick_seconds = PERIOD_SECONDS

    def __init__(self, facts: ServiceFacts) -> None:
        self._target = facts.target_rate
        self._minimum, self._maximum = float(facts.minimum), float(facts.maximum)
        self.start(0)

    def start(self, lanes: int) -> None:
        """Forget everything."""
        self._above = np.zeros(lanes)
        self._below = np.zeros(lanes)

    def decide(self, view: LaneView) -> Values:
        """Return the replicas each lane wants."""
        expected = np.ceil(only(view.signals[FORECAST]) / self._target)
        rate = only(view.signals[RATE])
        wanted = view.replicas.copy()
        # Without a data point the alarms have insufficient data and do nothing.
        if not np.isnan(rate):
            per_target = rate / np.maximum(1.0, view.serving)
            self._above = np.where(per_target > self._target, self._above + 1, 0.0)
            is_low = per_target < IN_RATIO * self._target
            self._below = np.where(is_low, self._below + 1, 0.0)
            asked = np.ceil(rate / self._target)
            goes_out = (self._above >= PERIODS_OUT) & (asked > wanted)
            goes_in = (self._below >= PERIODS_IN) & (asked < wanted)
            np.copyto(wanted, asked, where=goes_out | goes_in)
        floor = min(max(expected, self._minimum), self._maximum)
        np.clip(wanted, floor, self._maximum, out=wanted)
        return wanted


def aws(facts: ServiceFacts, past: Past | None = None) -> Foreseeing:
    """Return predictive scaling with target tracking."""
    return Foreseeing(TargetTracking(facts), AwsForecaster(past))
