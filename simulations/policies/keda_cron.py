"""KEDA on request rate, with cron windows an operator would read off the past.

What people do by hand with KEDA's cron scaler: look at the last two weeks, find the busy hours, and
ask for so many replicas from shortly before them. From seven days on, weekdays and weekends have
windows of their own. Hours are UTC. Both triggers count; the HPA takes the higher proposal.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from simulations.policies.decided_lanes import DecidedLanes
from simulations.policies.keda import KEDA, rate_trigger
from simulations.policies.past import MINUTE_SECONDS, Floats, Past
from simulations.policies.scaled_objects import Trigger, decided_by, manifest
from simulations.policies.service import ServiceFacts

BUSY_RATIO: Final = 0.5
"""An hour is busy when it needs more than this share of what the busiest hour needs."""

LEAD_MINUTES: Final = 10
"""Windows open so long before their first hour."""

DAYS_LOOKED_AT: Final = 14
SEPARATE_WEEKENDS_FROM_DAYS: Final = 7
MINUTES_PER_HOUR: Final = 60
HOURS_PER_DAY: Final = 24
DAY_SECONDS: Final = 86_400


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Replicas between two hours.

    Attributes:
        begin: Hour of the day (UTC).
        end: Hour of the day it ends before, up to 24.
        replicas: Wanted in between.
        days: As cron writes days of the week.
    """

    begin: int
    end: int
    replicas: int
    days: str = "*"

    @property
    def trigger(self) -> Trigger:
        """The cron trigger."""
        start = f"{60 - LEAD_MINUTES} {self.begin - 1} * * {self.days}"
        if self.begin == 0:
            start = f"0 0 * * {self.days}"
        end = f"0 {self.end} * * {self.days}"
        if self.end == HOURS_PER_DAY:
            end = f"59 23 * * {self.days}"
        return Trigger(
            type="cron",
            metadata={
                "timezone": "Etc/UTC",
                "start": start,
                "end": end,
                "desiredReplicas": str(self.replicas),
            },
        )


def learn_windows(past: Past, facts: ServiceFacts) -> list[Window]:
    """Return the busy hours of the past, in order of days and hours.

    An hour needs the median, over the days, of its mean rate, at the target.
    """
    rates = past.rates[-DAYS_LOOKED_AT * HOURS_PER_DAY * MINUTES_PER_HOUR :]
    start_at = past.start_at + (len(past.rates) - len(rates)) * MINUTE_SECONDS
    minutes = np.floor(start_at / MINUTE_SECONDS) + np.arange(len(rates))
    days = np.floor(minutes * MINUTE_SECONDS / DAY_SECONDS).astype(np.int64)
    hours = np.floor(minutes / MINUTES_PER_HOUR).astype(np.int64) % HOURS_PER_DAY
    # 1 January 1970 was a Thursday.
    is_weekend = (days + 4) % 7 % 6 == 0
    if len(np.unique(days)) <= SEPARATE_WEEKENDS_FROM_DAYS:
        return _windows(rates, days, hours, facts, "*")
    kinds = ((~is_weekend, "1-5"), (is_weekend, "0,6"))
    return [
        window
        for kind, name in kinds
        for window in _windows(rates[kind], days[kind], hours[kind], facts, name)
    ]


def _windows(
    rates: Floats,
    days: np.ndarray[tuple[int], np.dtype[np.int64]],
    hours: np.ndarray[tuple[int], np.dtype[np.int64]],
    facts: ServiceFacts,
    name: str,
) -> list[Window]:
    needs = [
        _needed(rates[hours == hour], days[hours == hour], facts) for hour in range(HOURS_PER_DAY)
    ]
    busiest = max(needs)
    windows: list[Window] = []
    for hour, need in enumerate(needs):
        if need <= BUSY_RATIO * busiest:
            continue
        begin, most = hour, need
        if windows and windows[-1].end == hour:
            last = windows.pop()
            begin, most = last.begin, max(need, last.replicas)
        windows.append(Window(begin=begin, end=hour + 1, replicas=most, days=name))
    return windows


def _needed(
    rates: Floats, days: np.ndarray[tuple[int], np.dtype[np.int64]], facts: ServiceFacts
) -> int:
    of_days = [rates[(days == day) & ~np.isnan(rates)] for day in np.unique(days)]
    means = [float(np.mean(of_day)) for of_day in of_days if of_day.size]
    if not means:
        return 0
    return min(int(np.ceil(np.median(means) / facts.target_rate)), facts.maximum)


def keda_cron(facts: ServiceFacts, past: Past) -> DecidedLanes:
    """Return KEDA with windows learned from the past."""
    triggers = [rate_trigger(facts), *(window.trigger for window in learn_windows(past, facts))]
    return DecidedLanes(decided_by(manifest(KEDA, triggers, facts), triggers))
