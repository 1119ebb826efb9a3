"""predictive-horizontal-pod-autoscaler (PHPA): the HPA's calculation, and a model of its past.

After jthomperoo/predictive-horizontal-pod-autoscaler (commit 0d45cab,
``internal/controllers/predictivehorizontalpodautoscaler_controller.go``): at every sync (15 s) the
HPA's calculation on the metrics joins a history of such calculations; each model predicts from that
history; the highest counts (``decisionType`` maximum); then bounds and downscale stabilisation
(300 s). Models as in its examples and guide: linear, look-ahead 10 s, 6 values; Holt-Winters, alpha
= beta = gamma = 0.9, additive, season of 6 values, 4 seasons stored.

Simplified: predictions are rounded to nine digits before they are rounded up (the original's
floating point noise can add a replica to a constant history), and Holt-Winters' initial state is
the exact least squares one, where statsmodels' optimiser comes near it.
"""

from __future__ import annotations

import enum
from typing import Final

import numpy as np

from autoscaler.api.hpa import hpa_policy
from autoscaler.core.model import HpaSettings
from autoscaler.core.proposal import tolerance_of
from simulations.engine.view import LaneView, Values
from simulations.policies.decided import Watched
from simulations.policies.forecasts.weights import holt_winters_weights, line_weights
from simulations.policies.hpa import hpa_spec
from simulations.policies.service import ServiceFacts
from simulations.policies.vectorised.metrics import LaneMetric
from simulations.policies.vectorised.windows import SlidingMaximum
from simulations.policies.watching import CPU

SYNC_PERIOD_SECONDS: Final = 15.0
DOWNSCALE_STABILIZATION_SECONDS: Final = 300.0
LOOK_AHEAD_SECONDS: Final = 10.0
LINEAR_HISTORY: Final = 6
SMOOTHING: Final = 0.9
SEASONAL_PERIODS: Final = 6
STORED_SEASONS: Final = 4
LEAST_FOR_HOLT_WINTERS: Final = 10 + 2 * (SEASONAL_PERIODS // 2)
"""Fewer values give no prediction (``holtwinters.go``)."""

DIGITS: Final = 9


class Model(enum.Enum):
    """What predicts."""

    LINEAR = "linear"
    HOLT_WINTERS = "holt-winters"


class Phpa:
    """HPA on CPU with a model on the history of its calculations.

    Args:
        facts: Of the service.
        model: What predicts.
    """

    tick_seconds = SYNC_PERIOD_SECONDS

    def __init__(self, facts: ServiceFacts, model: Model) -> None:
        self._model = model
        self._minimum, self._maximum = float(facts.minimum), float(facts.maximum)
        self._policy = hpa_policy(hpa_spec(facts), HpaSettings())
        self.start(0)

    def start(self, lanes: int) -> None:
        """Forget everything."""
        metric = self._policy.metrics[0]
        watched = Watched(metric=metric.spec.name, signal=CPU)
        self._metric = LaneMetric([metric] * lanes, [watched] * lanes) if lanes else None
        low, high = tolerance_of(self._policy)
        self._low, self._high = np.full(lanes, low), np.full(lanes, high)
        length = round(DOWNSCALE_STABILIZATION_SECONDS / SYNC_PERIOD_SECONDS)
        self._recent = SlidingMaximum(length, lanes)
        self._history: list[Values] = []

    def decide(self, view: LaneView) -> Values:
        """Return the replicas each lane wants."""
        assert self._metric is not None
        missing = self._metric.read(view)
        if missing is True:
            return view.replicas.copy()
        calculated, failed = self._metric.propose(view, self._low, self._high)
        absent = np.asarray(missing) | np.asarray(failed)
        if absent.all():
            return view.replicas.copy()
        # A lane whose calculation fails keeps what it has; its history takes that as well.
        calculated = np.where(absent, view.replicas, calculated)
        self._history.append(calculated)
        wanted = np.maximum(calculated, self.predict(self._history))
        self._prune()
        wanted = np.clip(wanted, self._minimum, self._maximum)
        held = np.maximum(wanted, self._recent.highest())
        self._recent.push(wanted)
        return np.where(absent, view.replicas, held)

    def predict(self, history: list[Values]) -> Values:
        """Return the replicas the model expects; 0 when it has too little to say.

        Args:
            history: Calculations of past syncs, oldest first.
        """
        weights = self._weights(len(history))
        total = np.zeros_like(history[-1])
        for weight, values in zip(weights, history, strict=True):
            total += weight * values
        return np.ceil(np.round(total, DIGITS))

    def _weights(self, count: int) -> tuple[float, ...]:
        if self._model is Model.LINEAR:
            return line_weights(count, ahead=LOOK_AHEAD_SECONDS / SYNC_PERIOD_SECONDS)
        if count < LEAST_FOR_HOLT_WINTERS:
            return (0.0,) * count
        return holt_winters_weights(
            count, alpha=SMOOTHING, beta=SMOOTHING, gamma=SMOOTHING, period=SEASONAL_PERIODS
        )

    def _prune(self) -> None:
        if self._model is Model.LINEAR:
            del self._history[:-LINEAR_HISTORY]
        else:
            seasons = len(self._history) // SEASONAL_PERIODS
            del self._history[: max(0, seasons - STORED_SEASONS) * SEASONAL_PERIODS]
