"""Parameters of the plant from recorded telemetry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulations.errors import SimulationError
from simulations.plant.parameters import Delay, Service, ServiceTime

Floats = NDArray[np.float64]

SAMPLES_MIN: Final = 20
"""Fewer say nothing about a 95th percentile."""

SHAPE_SAMPLES_MIN: Final = 100
"""So many show the shape of their distribution; fewer are taken to be log-normal."""
SHAPE_QUANTILES: Final = 21
"""Every 5 %."""

DETERMINISTIC_CV2: Final = 0.1
EXPONENTIAL_CV2: Final = (0.8, 1.2)
"""Squared variations taken for those of an exponential service time."""


def fit_delay(seconds: Floats, *, what: str) -> Delay:
    """Return a delay by its median and 95th percentile, and if there are enough by its quantiles.

    Start-ups need not be log-normal: those of pods that took 10 to 25 s, evenly spread, made a ramp
    come out 1.2 points too late when they were fitted as if they were (``make e2e``,
    ``test_simulation_differential``). The quantiles end with the longest duration observed.

    Args:
        seconds: Observed durations.
        what: For messages.

    Raises:
        SimulationError: Too few observations, or one is no duration.
    """
    _check(seconds, what)
    median, p95 = np.quantile(seconds, [0.5, 0.95]).tolist()
    quantiles: list[float] = []
    # Nor has a log-normal duration a median of zero.
    if len(seconds) >= SHAPE_SAMPLES_MIN or median == 0:
        quantiles = np.quantile(seconds, np.linspace(0.0, 1.0, SHAPE_QUANTILES)).tolist()
    return Delay(
        median_seconds=round(median, 3),
        p95_seconds=round(max(median, p95), 3),
        quantiles_seconds=tuple(round(one, 3) for one in quantiles),
    )


def fit_service(seconds: Floats, *, concurrency: int, what: str = "service times") -> Service:
    """Return the service of a replica from the service times of single requests.

    The times must be those of the work itself, without waiting: as a server logs them that takes no
    more requests at a time than it can work on.

    Args:
        seconds: One per request.
        concurrency: Requests a replica works on at a time; no telemetry of durations shows it.
        what: For messages.

    Raises:
        SimulationError: Too few observations, or one is no duration.
    """
    _check(seconds, what)
    mean = float(seconds.mean())
    return _service(mean, float(seconds.var()) / mean**2, concurrency)


def fit_histogram(bounds: Sequence[float], counts: Sequence[float], *, concurrency: int) -> Service:
    """Return the service from a histogram, such as that of ``http_request_duration_seconds``.

    Within a bucket durations are taken to be spread evenly over their logarithms (evenly from zero
    in the first one); what lies beyond the last finite bound is taken to lie at twice that.

    Args:
        bounds: Upper bounds (``le``), ascending, the last one infinite.
        counts: Cumulative, as Prometheus has them.
        concurrency: See :func:`fit_service`.

    Raises:
        SimulationError: The histogram is none, or too empty.
    """
    edges, cumulative = np.asarray(bounds, dtype=float), np.asarray(counts, dtype=float)
    inside = np.diff(cumulative, prepend=0.0)
    fits = len(edges) > 1 and len(edges) == len(cumulative) and np.isinf(edges[-1])
    if not fits or not (np.diff(edges) > 0).all() or not (inside >= 0).all():
        raise SimulationError(
            "histogram: bounds must ascend to +Inf and cumulative counts must not fall"
        )
    total = float(cumulative[-1])
    if total < SAMPLES_MIN:
        raise SimulationError(f"histogram: {total:g} observations, at least {SAMPLES_MIN} needed")
    upper = np.append(edges[:-1], 2 * edges[-2])
    lower = np.concatenate([[0.0], edges[:-1]])
    width = np.log(upper[1:] / lower[1:])
    first, second = np.zeros(len(upper)), np.zeros(len(upper))
    first[0], second[0] = upper[0] / 2, upper[0] ** 2 / 3
    first[1:] = (upper[1:] - lower[1:]) / width
    second[1:] = (upper[1:] ** 2 - lower[1:] ** 2) / (2 * width)
    mean = float((inside * first).sum() / total)
    variance = float((inside * second).sum() / total) - mean**2
    return _service(mean, max(variance, 0.0) / mean**2, concurrency)


def _service(mean: float, cv2: float, concurrency: int) -> Service:
    low, high = EXPONENTIAL_CV2
    shape = ServiceTime.LOG_NORMAL
    if cv2 < DETERMINISTIC_CV2:
        shape = ServiceTime.DETERMINISTIC
    elif low <= cv2 <= high:
        shape = ServiceTime.EXPONENTIAL
    return Service(
        mean_seconds=float(f"{mean:.4g}"),
        concurrency=concurrency,
        shape=shape,
        cv2=float(f"{cv2:.3g}"),
    )


def _check(seconds: Floats, what: str) -> None:
    if len(seconds) < SAMPLES_MIN:
        raise SimulationError(f"{what}: {len(seconds)} observations, at least {SAMPLES_MIN} needed")
    if not np.isfinite(seconds).all() or seconds.min() < 0 or seconds.max() <= 0:
        raise SimulationError(f"{what}: durations must be numbers >= 0 seconds, not all zero")
