"""When the metrics of one source are due."""

from __future__ import annotations

import math
from collections.abc import Iterable

from autoscaler.collect.subscription import Subscription


class Timetable:
    """Fixed time grid of one source: all metrics with the same interval are due together.

    The grid hangs on one origin per source, so 30 s and 60 s metrics meet every minute, and what
    spreads load is the origin (different for each source), not the metrics of one source. A metric
    added later is asked for at once and then joins the grid. Times are seconds of one monotonic
    clock.
    """

    def __init__(self, origin: float, *, window_seconds: float, gap_seconds: float) -> None:
        self._origin = origin
        self._window = window_seconds
        self._gap = gap_seconds
        self._groups: dict[float, dict[Subscription, None]] = {}
        self._due: dict[float, float] = {}
        self._asked: dict[Subscription, None] = {}
        self._asked_since = 0.0
        self._asked_taken_at = -math.inf

    def __len__(self) -> int:
        return sum(len(group) for group in self._groups.values())

    def members(self) -> list[Subscription]:
        """Return all subscriptions in order of their intervals."""
        return [one for _, group in sorted(self._groups.items()) for one in group]

    @property
    def shortest_interval_seconds(self) -> float:
        """Return the smallest polling interval of any metric; infinite without metrics."""
        return min(self._groups, default=math.inf)

    def add(self, one: Subscription, now: float) -> None:
        """Give a metric its place on the grid."""
        group = self._groups.setdefault(one.interval_seconds, {})
        group[one] = None
        if one.interval_seconds not in self._due:
            self._due[one.interval_seconds] = self._next(one.interval_seconds, now)

    def remove(self, one: Subscription) -> None:
        """Take a metric out."""
        group = self._groups.get(one.interval_seconds, {})
        group.pop(one, None)
        self._asked.pop(one, None)
        if not group:
            self._groups.pop(one.interval_seconds, None)
            self._due.pop(one.interval_seconds, None)

    def ask(self, wanted: Iterable[Subscription], now: float) -> None:
        """Want metrics as soon as the gap between immediate reads allows."""
        if not self._asked:
            self._asked_since = now
        self._asked.update(dict.fromkeys(wanted))

    def next_at(self) -> float:
        """Return when something is due; infinite when nothing is."""
        asked_at = math.inf
        if self._asked:
            asked_at = max(self._asked_since + self._window, self._asked_taken_at + self._gap)
        return min(asked_at, min(self._due.values(), default=math.inf))

    def take(self, now: float) -> list[Subscription]:
        """Return what is due, each once, and move on to the next points of the grid."""
        if self.next_at() > now:
            return []
        due: dict[Subscription, None] = {}
        for interval, at in self._due.items():
            early = min(self._window, interval / 10)
            if at <= now + early:
                due.update(self._groups[interval])
                self._due[interval] = self._next(interval, now + early)
        if self._asked:
            due.update(self._asked)
            self._asked.clear()
            self._asked_taken_at = now
        return list(due)

    def _next(self, interval: float, after: float) -> float:
        steps = math.floor((after - self._origin) / interval) + 1
        return self._origin + steps * interval
