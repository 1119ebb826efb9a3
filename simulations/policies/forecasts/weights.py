"""Forecasts that are linear in the history: one weight per past value.

With fixed parameters both models of predictive-horizontal-pod-autoscaler are linear in what they
are given, so that a forecast is a weighted sum whose weights depend on the length of the history
only. They are computed once per length; a forecast over any number of lanes is that many products.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@lru_cache(maxsize=64)
def line_weights(count: int, *, ahead: float) -> tuple[float, ...]:
    """Return the weights of an ordinary least squares line, read ``ahead`` steps after the last.

    Args:
        count: Values, one a step, oldest first; a single one is the forecast itself.
        ahead: Steps from the last value to the forecast.
    """
    if count == 1:
        return (1.0,)
    times = np.arange(count) - (count - 1.0)
    centred = times - times.mean()
    weights: Floats = 1.0 / count + (ahead - times.mean()) * centred / np.sum(centred**2)
    return tuple(weights.tolist())


@lru_cache(maxsize=64)
def holt_winters_weights(
    count: int, *, alpha: float, beta: float, gamma: float, period: int
) -> tuple[float, ...]:
    """Return the weights of additive Holt-Winters, one step ahead.

    Smoothing parameters are given; level, trend and season at the beginning are those that give the
    least squared one-step errors over the history, as the method ``estimated`` of statsmodels'
    ``ExponentialSmoothing`` seeks them. Recursions as statsmodels documents them: ``gamma`` is the
    season's smoothing of the value less the level and trend before it.

    Args:
        count: Values, one a step, oldest first.
        alpha: Smoothing of the level, 0..1.
        beta: Smoothing of the trend, 0..1.
        gamma: Smoothing of the season, 0..1.
        period: Steps of a season.
    """
    of_state, of_values = _one_step(count, alpha, beta, gamma, period)
    # errors = (values - of_values @ values) - of_state @ state; least squares gives the state.
    from_values = np.linalg.pinv(of_state[:-1]) @ (np.eye(count) - of_values[:-1])
    weights: Floats = of_values[-1] + of_state[-1] @ from_values
    return tuple(weights.tolist())


def _one_step(
    count: int, alpha: float, beta: float, gamma: float, period: int
) -> tuple[Floats, Floats]:
    """Return how one-step forecasts 0..count follow from the first state and from the values."""
    width = 2 + period + count
    level, trend = np.zeros(width), np.zeros(width)
    level[0] = trend[1] = 1.0
    seasons = [np.eye(1, width, 2 + index)[0] for index in range(period)]
    forecasts = np.zeros((count + 1, width))
    for step in range(count + 1):
        season = seasons[step % period]
        forecasts[step] = level + trend + season
        if step == count:
            break
        value = np.eye(1, width, 2 + period + step)[0]
        before = level + trend
        level = alpha * (value - season) + (1 - alpha) * before
        trend = beta * (level - before + trend) + (1 - beta) * trend
        seasons[step % period] = gamma * (value - before) + (1 - gamma) * season
    return forecasts[:, : 2 + period], forecasts[:, 2 + period :]
