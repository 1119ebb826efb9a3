"""Crane's EffectiveHorizontalPodAutoscaler (EHPA): an HPA that also sees the DSP forecast.

After gocrane/crane and its EHPA guide: samples of one minute over three days
(``sampleInterval: 60s``, ``historyLength: 3d``), fitted anew every 12 h (``queryInterval``), and
the highest forecast within the prediction window (``predictionWindowSeconds: 3600``) as a metric
beside the live one; the HPA takes the higher proposal. A series that is not periodic with a day
has no forecast, and the HPA decides on the live metric alone.

A forecast begins after the newest sample and lasts one cycle, so nothing of the day to come is
known at its beginning. Both metrics are request rates, with the target everybody has. Outliers are
not removed, and only the period of a day is looked for (three days hold no two weeks).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from autoscaler.core.model import HpaSettings
from simulations.engine.view import LaneView
from simulations.policies.decided_lanes import DecidedLanes
from simulations.policies.forecasts.dsp import find_period, next_cycle
from simulations.policies.foreseeing import FORECAST, Foreseeing
from simulations.policies.hpa import hpa_autoscaler
from simulations.policies.past import MINUTE_SECONDS, Floats, Past, RateHistory
from simulations.policies.service import ServiceFacts
from simulations.policies.watching import RATE

HISTORY_MINUTES: Final = 3 * 1440
CYCLE_MINUTES: Final = 1440
LEAST_CYCLES: Final = 2
REFIT_SECONDS: Final = 12 * 3600.0
WINDOW_SECONDS: Final = 3600.0
LONGEST_GAP_MINUTES: Final = 60
"""What is before a longer gap is not used."""

PERIOD_TOLERANCE: Final = 0.01
"""How near the period found must be to a day."""


class CraneForecaster:
    """The DSP forecast of the request rate.

    Args:
        past: What could be read before the run.
    """

    def __init__(self, past: Past | None = None) -> None:
        self._history = RateHistory(RATE, minutes=HISTORY_MINUTES, past=past)
        self._fit_at = -np.inf
        self._begin_at = 0.0
        self._cycle: Floats | None = None

    def start(self) -> None:
        """Forget the run, not what was before it."""
        self._history.forget()
        self._fit_at = -np.inf
        self._cycle = None

    def forecast(self, view: LaneView) -> float:
        """Return the highest rate expected within the window, 0 without a forecast."""
        self._history.observe(view)
        if view.at - self._fit_at >= REFIT_SECONDS:
            self._fit_at = view.at
            self._begin_at = self._history.end_at
            self._cycle = cycle_of(self._history.last(HISTORY_MINUTES))
        if self._cycle is None:
            return 0.0
        begin = max(0, int((view.at - self._begin_at) // MINUTE_SECONDS))
        window = self._cycle[begin : begin + int(WINDOW_SECONDS / MINUTE_SECONDS) + 1]
        return float(window.max()) if window.size else 0.0


def cycle_of(rates: Floats) -> Floats | None:
    """Return the expected next day of a series of minutes, None when it is not daily.

    Args:
        rates: NaN = missing.
    """
    samples = _without_gaps(rates)
    cycles = len(samples) // CYCLE_MINUTES
    if cycles < LEAST_CYCLES:
        return None
    samples = samples[-cycles * CYCLE_MINUTES :]
    period = find_period(samples, MINUTE_SECONDS)
    if abs(period - CYCLE_MINUTES) > PERIOD_TOLERANCE * CYCLE_MINUTES:
        return None
    return next_cycle(samples, CYCLE_MINUTES, MINUTE_SECONDS)


def _without_gaps(rates: Floats) -> Floats:
    """Return the series from its last long gap on, short ones bridged by lines."""
    known = np.flatnonzero(~np.isnan(rates))
    if not known.size:
        return rates[:0]
    long = np.flatnonzero(np.diff(known) > LONGEST_GAP_MINUTES)
    if long.size:
        known = known[long[-1] + 1 :]
    instants = np.arange(known[0], known[-1] + 1)
    return np.interp(instants, known, rates[known])


def crane(facts: ServiceFacts, past: Past | None = None) -> Foreseeing:
    """Return the EHPA."""
    target = {"type": "AverageValue", "averageValue": f"{round(facts.target_rate * 1000)}m"}
    spec = {
        "minReplicas": facts.minimum,
        "maxReplicas": facts.maximum,
        "metrics": [
            {"type": "External", "external": {"metric": {"name": name}, "target": target}}
            for name in (RATE, FORECAST)
        ],
    }
    decided = hpa_autoscaler(spec, HpaSettings(), [RATE, FORECAST])
    return Foreseeing(DecidedLanes(decided), CraneForecaster(past))
