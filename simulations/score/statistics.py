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
    """A figure with its 95 % confidence interval; an infinite one says that it is not known."""

    value: float
    low: float
    high: float


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of values >= 0; NaN without any.

    One infinite value (an infeasible budget) makes it infinite: leaving it out would flatter.

    Raises:
        ValueError: A value is negative or NaN.
    """
    if any(not value >= 0 for value in values):
        raise ValueError(f"a geometric mean needs values >= 0, not {list(values)}")
    if not values:
        return math.nan
    if 0 in values:
        return math.inf if math.inf in values else 0.0
    return math.exp(sum(map(math.log, values)) / len(values))


def cost_ratio(ours: Floats, theirs: Floats, *, seed: int = 0) -> Interval:
    """Return the ratio of two sums over days, by a paired bootstrap.

    Days are drawn with replacement, the same for both policies, because a busy day is busy for both
    (Efron and Tibshirani 1993, sections 8.3 and 13.3: percentile interval). One day says nothing
    about other days, so its interval is infinite.

    Args:
        ours: Cost per day.
        theirs: Cost of the other policy on the same days; sums > 0.
        seed: Of the draws.
    """
    value = float(ours.sum() / theirs.sum())
    if len(ours) <= 1:
        return Interval(value, 0.0, math.inf)
    days = _draws(len(ours), seed)
    ratios = ours[days].sum(axis=1) / np.maximum(theirs[days].sum(axis=1), 1e-12)
    return _interval(value, ratios)


def late_difference(ours: Floats, theirs: Floats, requests: Floats, *, seed: int = 0) -> Interval:
    """Return how much more of the requests are late than with another policy, likewise.

    Args:
        ours: Late requests per day.
        theirs: Those of the other policy on the same days.
        requests: Of both, per day.
        seed: Of the draws.

    Returns:
        A difference of ratios, -1..1.
    """
    excess = ours - theirs
    value = float(excess.sum() / max(requests.sum(), 1e-12))
    if len(ours) <= 1:
        return Interval(value, -math.inf, math.inf)
    days = _draws(len(ours), seed)
    ratios = excess[days].sum(axis=1) / np.maximum(requests[days].sum(axis=1), 1e-12)
    return _interval(value, ratios)


def verdict(found: Interval, *, even: float = 1.0) -> Verdict:
    """Return whether a figure, of which less is better, is clearly below ``even``, above, or not.

    Args:
        found: With its interval.
        even: Neither better nor worse: 1 for ratios, 0 for differences.
    """
    if found.high < even:
        return Verdict.WIN
    return Verdict.LOSS if found.low > even else Verdict.TIE


def _draws(days: int, seed: int) -> NDArray[np.int64]:
    random = np.random.default_rng([seed, 0x4254])
    return random.integers(0, days, (RESAMPLES, days))


def _interval(value: float, draws: Floats) -> Interval:
    low, high = np.quantile(draws, [0.025, 0.975]).tolist()
    return Interval(value, low, high)
