"""How long pods take to serve: one draw per created pod, the same for every policy.

The n-th pod a run creates always takes the n-th draw of the seed, so that two policies differ by
what they decide and not by their luck (common random numbers).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulations.plant.parameters import Delay, StartUp

NORMAL_P95: Final = 1.6448536269514722
"""95th percentile of the standard normal distribution."""


def start_up_delays_ms(start_up: StartUp, *, seed: int, count: int) -> NDArray[np.int64]:
    """Draw the time from the decision until the pod serves, milliseconds, per created pod.

    Args:
        start_up: The stages.
        seed: Of the draws.
        count: Number of draws; a run that creates more pods starts again at the first.
    """
    random = np.random.default_rng([seed, 0x5354])
    total = np.zeros(count)
    for stage in (start_up.scale_write, start_up.scheduling, start_up.container):
        total += _draw(stage, random, count)
    pull = start_up.image_pull
    total += np.where(random.random(count) < pull.cached_ratio, 0.0, pull.seconds)
    if start_up.probe_period_seconds > 0:
        total = np.ceil(total / start_up.probe_period_seconds) * start_up.probe_period_seconds
    total += _draw(start_up.endpoint, random, count)
    return np.ceil(total * 1000).astype(np.int64)


def quantile_seconds(start_up: StartUp, ratio: float, *, seed: int = 0) -> float:
    """Return a quantile of the whole start-up, seconds, from 4,096 draws."""
    draws = start_up_delays_ms(start_up, seed=seed, count=4096)
    return float(np.quantile(draws, ratio)) / 1000


def _draw(delay: Delay | None, random: np.random.Generator, count: int) -> NDArray[np.float64]:
    if delay is None:
        return np.zeros(count)
    if delay.quantiles_seconds:
        ranks = np.linspace(0.0, 1.0, len(delay.quantiles_seconds))
        return np.interp(random.random(count), ranks, delay.quantiles_seconds)
    if delay.p95_seconds <= delay.median_seconds:
        return np.full(count, delay.median_seconds)
    sigma = math.log(delay.p95_seconds / delay.median_seconds) / NORMAL_P95
    return random.lognormal(math.log(delay.median_seconds), sigma, count)
