"""An hourly forecast two days ahead from up to two weeks of the same hour."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulations.policies.past import MINUTE_SECONDS, Floats

MINUTES_PER_HOUR: Final = 60
HOURS_PER_DAY: Final = 24
HOUR_SECONDS: Final = 3600.0
DAYS_PER_WEEK: Final = 7
THURSDAY: Final = 4
"""Day of the week of 1 January 1970, Sunday being 0."""


def hourly_forecast(rates: Floats, end_at: float, hours: int) -> Floats:
    """Return the mean rate expected in each of the hours from the one of ``end_at`` on.

    An hour is the mean of the same hour on earlier days of its kind (weekdays, weekends); without
    such a day, on all earlier days. NaN where nothing is known.

    Args:
        rates: One a minute up to ``end_at``; NaN = missing.
        end_at: When the last minute ends, epoch seconds.
        hours: How many are wanted.
    """
    minute = round(end_at / MINUTE_SECONDS)
    complete = minute // MINUTES_PER_HOUR
    usable = rates[: len(rates) - minute % MINUTES_PER_HOUR]
    count = len(usable) // MINUTES_PER_HOUR
    whole = usable[len(usable) - count * MINUTES_PER_HOUR :].reshape(count, MINUTES_PER_HOUR)
    known = ~np.isnan(whole)
    seen = known.any(axis=1)
    means = np.full(count, np.nan)
    sums = np.where(known, whole, 0.0).sum(axis=1)
    means[seen] = sums[seen] / known.sum(axis=1)[seen]
    past = np.arange(complete - count, complete)
    result = np.full(hours, np.nan)
    for index in range(hours):
        hour = complete + index
        alike = seen & (past % HOURS_PER_DAY == hour % HOURS_PER_DAY)
        same_kind = alike & (_is_weekend(past) == _is_weekend(np.array([hour])))
        chosen = same_kind if same_kind.any() else alike
        if chosen.any():
            result[index] = means[chosen].mean()
    return result


def _is_weekend(hours: NDArray[np.int64]) -> NDArray[np.bool_]:
    weekday = (hours // HOURS_PER_DAY + THURSDAY) % DAYS_PER_WEEK
    result: NDArray[np.bool_] = weekday % (DAYS_PER_WEEK - 1) == 0
    return result
