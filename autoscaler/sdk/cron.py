"""Cron schedules with exactly KEDA's grammar and calendar rules.

Five fields: minute, hour, day of month, month, day of week (0-6, Sunday is 0; names in months and
weekdays). ``*`` and ``?`` mean any value. A day matches when both day fields match, or, if neither
is left at any value, when one of them does; ``*/2`` counts as a restriction. ``N/step`` runs to the
end of the range. Seconds ahead in absolute time, so that a wall time repeated when clocks go back
is met twice, and one skipped when they go forward is not met that day. A leading ``TZ=Area/City``
sets the expression's own time zone.

The widely used cron libraries follow Debian's rules in these points, which is why this is ours.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

YEARS_AHEAD: Final = 5
"""A schedule that does not fire for so long (30 February) never does."""

_ZONE_PREFIXES: Final = ("TZ=", "CRON_TZ=")
_MONTHS: Final = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905 - legible
_WEEKDAYS: Final = "sun mon tue wed thu fri sat".split()  # noqa: SIM905 - legible


class _Field(msgspec.Struct, frozen=True):
    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()

    def number(self, text: str) -> int:
        """Return a number or the number of a word; raises ValueError."""
        if text.lower() in self.words:
            return self.words.index(text.lower()) + self.low
        if not re.match(r"\+?[0-9]{1,9}\Z", text):
            raise ValueError(f'{self.name}: "{text}" is no number')
        return int(text)


_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, tuple(_MONTHS)),
    _Field("day of week", 0, 6, tuple(_WEEKDAYS)),
)


class CronSchedule(msgspec.Struct, frozen=True):
    """The values each field allows.

    Attributes:
        any_day: The day of month or the day of week is left at any value.
        zone: The expression's own time zone, None when it names none.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    zone: ZoneInfo | None = None

    @classmethod
    def parse(cls, text: str) -> CronSchedule:
        """Return the schedule of a five-field expression.

        Raises:
            ValueError: With the faulty field.
        """
        parts = text.split()
        zone = None
        if parts and parts[0].startswith(_ZONE_PREFIXES):
            zone = load_zone(parts.pop(0).partition("=")[2])
        if len(parts) != len(_FIELDS):
            raise ValueError(
                f'"{text}" has {len(parts)} fields, not 5: minute hour day-of-month month '
                "day-of-week"
            )
        values = [_values(field, part) for field, part in zip(_FIELDS, parts, strict=True)]
        minutes, hours, days, months, weekdays = (allowed for allowed, _ in values)
        any_day = values[2][1] or values[4][1]
        return cls(minutes, hours, days, months, weekdays, any_day, zone)

    def next_after(self, at: float, zone: ZoneInfo) -> float | None:
        """Return the next time the schedule fires, later than ``at`` by up to five years.

        Args:
            at: Epoch seconds.
            zone: Where the wall times are meant, unless the expression says so itself.

        Returns:
            Epoch seconds, or None when it does not fire in that time.
        """
        zone = self.zone or zone
        start = int(at // 1) + 1
        here = datetime.fromtimestamp(start, zone)
        last_year = here.year + YEARS_AHEAD
        found = self._in_day(here.date(), start, zone) if self.is_day(here.date()) else None
        day = here.date()
        while found is None:
            day = self._next_day(day)
            if day.year > last_year:
                return None
            found = self._in_day(day, instant_of(day, 0, zone), zone)
        return float(found)

    def is_day(self, day: date) -> bool:
        """Whether the schedule fires on a day at all."""
        in_month = day.day in self.days
        in_week = (day.weekday() + 1) % 7 in self.weekdays
        matched = in_month and in_week if self.any_day else in_month or in_week
        return matched and day.month in self.months

    def _next_day(self, day: date) -> date:
        """Return the next matching day, or 1 January after the last year worth looking at."""
        limit = date(day.year + YEARS_AHEAD + 1, 1, 1)
        while day < limit:
            day += timedelta(days=1)
            if day.month not in self.months:
                day = (day.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)
            elif self.is_day(day):
                return day
        return limit

    def _in_day(self, day: date, start: int, zone: ZoneInfo) -> int | None:
        """Return the first firing of a day at or after ``start``, in absolute time."""
        instant = -(-start // 60) * 60
        while (wall := datetime.fromtimestamp(instant, zone)).date() <= day:
            if wall.date() == day and wall.hour in self.hours:
                if wall.minute in self.minutes:
                    return instant
                instant += 60
            else:
                # To the next full hour of the wall clock; clock changes happen on full minutes.
                instant += (60 - wall.minute) * 60
        return None


def instant_of(day: date, hour: int, zone: ZoneInfo) -> int:
    """Return the epoch second a day's wall-clock hour begins, first of two when repeated."""
    wall = datetime(day.year, day.month, day.day, hour, tzinfo=zone)
    return int(wall.astimezone(UTC).timestamp())


def load_zone(name: str) -> ZoneInfo:
    """Return a time zone of the IANA database; raises ValueError."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        # Unknown, a folder of the database, or a path that leads out of it.
        raise ValueError(f'"{name}" is no time zone such as Europe/Berlin or UTC') from None


def _values(field: _Field, text: str) -> tuple[frozenset[int], bool]:
    """Return the values a field allows, and whether it is left at any value."""
    allowed: set[int] = set()
    is_any = False
    for part in filter(None, text.split(",")):
        values, any_value = _range(field, part)
        allowed.update(values)
        is_any = is_any or any_value
    if not allowed:
        raise ValueError(f'{field.name}: "{text}" allows no value')
    return frozenset(allowed), is_any


def _range(field: _Field, text: str) -> tuple[range, bool]:
    spans, *steps = text.split("/")
    ends = spans.split("-")
    if len(steps) > 1 or len(ends) > 2:  # noqa: PLR2004 - a range has two ends
        raise ValueError(f'{field.name}: "{text}" is no range')
    step = _Field(field.name, field.low, field.high).number(steps[0]) if steps else 1
    is_any = ends[0] in ("*", "?")
    if is_any:
        low, high = field.low, field.high
    else:
        low = field.number(ends[0])
        high = field.number(ends[-1]) if len(ends) > 1 else (field.high if steps else low)
    if not field.low <= low <= high <= field.high:
        raise ValueError(f'{field.name}: "{text}" is not within {field.low}-{field.high}')
    if step == 0:
        raise ValueError(f'{field.name}: "{text}" has a step of 0')
    return range(low, high + 1, step), is_any and step == 1
