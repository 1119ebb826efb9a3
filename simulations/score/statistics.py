"""How sure a comparison of two policies is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES: Final = 2000


class Verdict(StrEnum):
    """One policy against another on one trace."""

    WIN = "win"
    TIE = "tie"
    LOSS = "loss"


class Interval(msgspec.Struct, frozen=True):
    """A ratio with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive values; NaN without any."""
    known = [value for value in values if value > 0 and math.isfinite(value)]
    return math.exp(sum(map(math.log, known)) / len(known)) if known else math.nan


def cost_ratio(ours: Floats, theirs: Floats, *, seed: int = 0) -> Interval:
    """Return the ratio of two sums over days, by a paired bootstrap.

    Days are drawn with replacement, the same for both policies, because a busy day is busy for both
    (Efron and Tibshirani 1993, section 8).

    Args:
        ours: Cost per day.
        theirs: Cost of the other policy on the same days; sums > 0.
        seed: Of the draws.
    """
    value = float(ours.sum() / theirs.sum())
    if len(ours) <= 1:
        return Interval(value, value, value)
    random = np.random.default_rng([seed, 0x4254])
    days = random.integers(0, len(ours), (RESAMPLES, len(ours)))
    ratios = ours[days].sum(axis=1) / np.maximum(theirs[days].sum(axis=1), 1e-12)
    low, high = np.quantile(ratios, [0.025, 0.975]).tolist()
    return Interval(value, low, high)


def verdict(ratio: Interval) -> Verdict:
    """Return whether a cost ratio is clearly below 1, above 1, or neither."""
    if ratio.high < 1.0:
        return Verdict.WIN
    return Verdict.LOSS if ratio.low > 1.0 else Verdict.TIE
