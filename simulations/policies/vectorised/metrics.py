"""Proposals of one metric over many lanes, as :mod:`autoscaler.core.proposal` computes them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.model import INT32_MAX, MetricPolicy, MetricSource, TargetType
from simulations.engine.view import LaneView
from simulations.errors import SimulationError
from simulations.policies.decided import REQUEST_MILLI, Watched

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


class LaneMetric:
    """A metric of the same kind in every lane.

    Args:
        metrics: Of each lane.
        watched: Of each lane; the same signal or clock in all.
    """

    def __init__(self, metrics: Sequence[MetricPolicy], watched: Sequence[Watched]) -> None:
        first = metrics[0].spec
        self.is_total = first.source in {MetricSource.EXTERNAL, MetricSource.OBJECT}
        self.activates = first.source is MetricSource.EXTERNAL
        self._is_average = first.target_type is TargetType.AVERAGE_VALUE
        self._watched = watched[0]
        self._target = np.array([float(metric.spec.target_milli) for metric in metrics])
        self._factor = np.array([item.factor for item in watched])
        self._one_factor = watched[0].factor
        self._is_one_factor = bool((self._factor == self._one_factor).all())
        self._activation = np.array([metric.spec.activation_value for metric in metrics])
        self._value: Values | float = math.nan
        self._verdict: bool | None = None
        self._usage: Values = np.zeros(len(metrics))

    def read(self, view: LaneView) -> Mask | bool:
        """Take the value out of a view; return where it is missing.

        Raises:
            SimulationError: A clock reads less than zero.
        """
        if self._watched.clock is not None:
            reading = self._watched.clock(view.at)
            self._verdict = reading.active
            self._value = math.nan if reading.value is None else reading.value
            if self._value < 0:
                raise SimulationError(
                    f"metric {reading.metric} reads {self._value:g}: the kernel has no values "
                    "below zero; use exact replay"
                )
        else:
            self._value = view.signals[self._watched.signal]
        if isinstance(self._value, float):
            if math.isnan(self._value):
                return True
            np.multiply(self._factor, self._value, out=self._usage)
            return False
        np.multiply(self._value, self._factor, out=self._usage)
        missing: Mask = np.isnan(self._value)
        return missing if missing.any() else False

    def total(self) -> Values | float:
        """Return the value in the thousandths the HPA would see; a float is that of all lanes."""
        if isinstance(self._value, float) and self._is_one_factor:
            return math.trunc(self._value * self._one_factor * 1000) / 1000
        thousandths: Values = np.trunc(self._usage * 1000.0) / 1000.0
        return thousandths

    def is_active(self) -> Mask | bool:
        """Return where the trigger is active, by its own verdict or its value."""
        if self._verdict is not None:
            return self._verdict
        active: Mask = self._usage > self._activation
        return active

    def propose(self, view: LaneView, low: Values, high: Values) -> tuple[Values, Mask | bool]:
        """Return the replicas asked for, and where there is no answer.

        Args:
            view: What is seen.
            low: Lowest usage ratio that changes nothing.
            high: Highest usage ratio that changes nothing.
        """
        if not self.is_total:
            return self._by_utilization(view, low, high)
        usage = np.trunc(self._usage * 1000.0)
        current = view.replicas
        if self._is_average:
            wanted = np.ceil(usage / self._target)
            ratio = usage / (self._target * np.maximum(current, 1.0))
            keeps = (low <= ratio) & (ratio <= high)
            np.copyto(wanted, current, where=keeps & (current > 0))
            return np.minimum(wanted, INT32_MAX, out=wanted), False
        ratio = usage / self._target
        keeps = (low <= ratio) & (ratio <= high)
        wanted = np.where(keeps, current, np.ceil(ratio * view.serving))
        wanted = np.where(current == 0, np.ceil(ratio), wanted)
        return np.minimum(wanted, INT32_MAX, out=wanted), False

    def _by_utilization(
        self, view: LaneView, low: Values, high: Values
    ) -> tuple[Values, Mask | bool]:
        """Utilization of serving pods; the others are unready, idle when that would scale up."""
        current, serving = view.replicas, view.serving
        used = np.trunc(self._usage * REQUEST_MILLI)
        measured = np.floor(100.0 * used / REQUEST_MILLI) / self._target
        with np.errstate(divide="ignore", invalid="ignore"):
            total = np.floor(100.0 * used * serving / (REQUEST_MILLI * current))
        corrected = total / self._target
        counts_unready = (serving < current) & (measured > 1.0)
        ratio = np.where(counts_unready, corrected, measured)
        pods = np.where(counts_unready, current, serving)
        wanted = np.minimum(np.ceil(ratio * pods), INT32_MAX)
        keeps = (low <= ratio) & (ratio <= high)
        keeps |= counts_unready & ((corrected < 1.0) | (wanted < current))
        failed = serving == 0
        return np.where(keeps, current, wanted), failed if failed.any() else False
