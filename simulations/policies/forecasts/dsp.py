"""Crane's DSP forecast of a periodic series: is it periodic, and what will the next cycle be?

After ``pkg/prediction/dsp`` and ``pkg/prediction/accuracy`` of gocrane/crane (commits f6225d4 to
05b8510): period by peaks of the spectrum above those of shuffled series, confirmed by the
autocorrelation; estimators by the maximum over the cycles or by a filtered spectrum, with margins;
the one whose error on the last cycle is least wins, and forecasts too low count more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHUFFLES: Final = 100
NTH_OF_SHUFFLES: Final = 98
"""The 99th smallest of the highest peaks of 100 shuffled series is the threshold."""

PEAK_SEARCH_SECONDS: Final = 4 * 3600.0
HIGH_FREQUENCY: Final = 1.0 / 3600.0
MOST_SPECTRUM_ITEMS: Final = 100
LEAST_FORECAST: Final = 0.01
NEAR_ZERO: Final = 1e-3
SHUFFLE_SEED: Final = 20


class Estimator(Protocol):
    """Says what the next cycle looks like."""

    def estimate(self, samples: Floats, per_cycle: int, step_seconds: float) -> Floats:
        """Return one cycle from whole cycles of samples."""
        ...


class MaxValue(msgspec.Struct, frozen=True):
    """The highest of all cycles at each instant (``defaultMaxValueMarginFraction`` 0)."""

    margin: float = 0.0

    def estimate(self, samples: Floats, per_cycle: int, step_seconds: float) -> Floats:
        """Return one cycle."""
        del step_seconds
        highest: Floats = samples.reshape(-1, per_cycle).max(axis=0) * (1.0 + self.margin)
        return highest


class Spectrum(msgspec.Struct, frozen=True):
    """The last cycle without what is both weak and faster than an hour.

    Attributes:
        least_items: Strongest frequencies kept in any case.
        low_amplitude: Weaker ones may go.
        margin: Added to the result.
    """

    least_items: int
    low_amplitude: float
    margin: float

    def estimate(self, samples: Floats, per_cycle: int, step_seconds: float) -> Floats:
        """Return one cycle."""
        count = len(samples)
        spectrum = np.fft.rfft(samples)
        amplitudes = np.abs(spectrum) / count
        strongest = np.sort(amplitudes[1 : count // 2])[::-1]
        threshold = strongest[min(MOST_SPECTRUM_ITEMS, len(strongest)) - 1]
        threshold = max(threshold, self.low_amplitude)
        if len(strongest) >= self.least_items:
            threshold = min(threshold, strongest[self.least_items - 1])
        frequencies = np.arange(len(spectrum)) / (count * step_seconds)
        spectrum[(amplitudes < threshold) & (frequencies > HIGH_FREQUENCY)] = 0.0
        cycle = np.fft.irfft(spectrum, count)[-per_cycle:]
        return np.where(cycle <= 0.0, LEAST_FORECAST, cycle) * (1.0 + self.margin)


ESTIMATORS: Final[tuple[Estimator, ...]] = (
    *(Spectrum(3, 1.0, margin) for margin in (0.01, 0.10, 0.15, 0.20)),
    *(Spectrum(50, 0.05, margin) for margin in (0.01, 0.10, 0.15, 0.20)),
    MaxValue(),
)
"""``defaultEstimators`` of ``config.go``, and the maximum that its examples use."""


def find_period(samples: Floats, step_seconds: float) -> int:
    """Return the length of the period in samples, 0 = none found."""
    count = len(samples)
    half = count // 2
    deviation = samples - samples.mean()
    variance = float(np.mean(deviation**2))
    if variance == 0.0:
        return 0
    random = np.random.default_rng(SHUFFLE_SEED)
    shuffled = random.permuted(np.tile(samples, (SHUFFLES, 1)), axis=1)
    peaks = np.abs(np.fft.rfft(shuffled, axis=1))[:, 1:half].max(axis=1)
    threshold = np.sort(peaks)[NTH_OF_SHUFFLES]
    power = np.abs(np.fft.rfft(samples))
    strong = [k for k in range(2, half) if power[k] > threshold]
    hints = dict.fromkeys(count // k for k in strong)
    spectrum = np.abs(np.fft.rfft(deviation)) ** 2
    correlation = np.fft.irfft(spectrum, count) / (count * variance)
    reach = int(PEAK_SEARCH_SECONDS / step_seconds)
    period, highest = 0, 0.0
    for hint in hints:
        if correlation[hint] > highest and _is_peak(correlation, hint, min(reach, hint // 2)):
            period, highest = hint, float(correlation[hint])
    return period


def _is_peak(values: Floats, at: int, reach: int) -> bool:
    """Whether lines fitted to both sides rise towards and fall behind a point."""
    left = values[max(0, at - reach) : at + 1]
    right = values[at : min(len(values) - 1, at + reach) + 1]
    return _slope(left) > 0 > _slope(right)


def _slope(values: Floats) -> float:
    times = np.arange(len(values)) - (len(values) - 1) / 2
    spread = np.sum(times**2)
    return float(np.sum(times * values) / spread) if spread else 0.0


def forecast_error(actual: Floats, forecast: Floats) -> float:
    """Return the mean relative error; too low by ``x`` counts as ``-ln(1 - x) / ln 1.25``.

    Where something is almost zero, the mean absolute error stands in.
    """
    if actual.min() < NEAR_ZERO:
        return float(np.mean(np.abs(actual - forecast)))
    relative = (actual - forecast) / actual
    amplified = -np.log1p(-np.clip(relative, 0.0, 1.0 - 1e-12)) / math.log(1.25)
    return float(np.mean(np.where(relative > 0, amplified, -relative)))


def next_cycle(
    samples: Floats,
    per_cycle: int,
    step_seconds: float,
    estimators: Sequence[Estimator] = ESTIMATORS,
) -> Floats:
    """Return the estimate, for the cycle after the samples, of who knew the last cycle best.

    Args:
        samples: Whole cycles, at least two.
        per_cycle: Samples of a cycle.
        step_seconds: Between samples.
        estimators: Candidates.
    """
    before, last = samples[:-per_cycle], samples[-per_cycle:]
    errors = [
        forecast_error(last, candidate.estimate(before, per_cycle, step_seconds))
        for candidate in estimators
    ]
    best = estimators[int(np.argmin(errors))]
    return best.estimate(samples, per_cycle, step_seconds)
