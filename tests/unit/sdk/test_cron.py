"""Cron schedules: grammar and next times, clock changes included."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.sdk.cron import CronSchedule, load_zone

BERLIN = ZoneInfo("Europe/Berlin")


def after(expression: str, at: str, zone: str = "Europe/Berlin") -> str | None:
    """Return the next local time after a local time."""
    here = ZoneInfo(zone)
    start = datetime.fromisoformat(at).replace(tzinfo=here)
    found = CronSchedule.parse(expression).next_after(start.timestamp(), here)
    return None if found is None else datetime.fromtimestamp(found, here).isoformat()


@pytest.mark.parametrize(
    ("expression", "at", "expected"),
    [
        ("* * * * *", "2026-01-01T00:00:00", "2026-01-01T00:01:00+01:00"),
        ("0 8 * * *", "2026-01-01T08:00:00", "2026-01-02T08:00:00+01:00"),
        ("0 8 * * *", "2026-01-01T07:59:59.5", "2026-01-01T08:00:00+01:00"),
        ("50/5 * * * *", "2026-01-01T00:51:00", "2026-01-01T00:55:00+01:00"),
        ("0 0 29 2 ?", "2026-01-01T00:00:00", "2028-02-29T00:00:00+01:00"),
        ("0 0 31 2 *", "2026-01-01T00:00:00", None),
        ("0 0 1 * mon", "2026-01-02T00:00:00", "2026-01-05T00:00:00+01:00"),
        ("0 0 */2 * 1", "2026-01-02T00:00:00", "2026-01-03T00:00:00+01:00"),
        ("0 0 * JAN,mar sun", "2026-01-31T00:00:00", "2026-03-01T00:00:00+01:00"),
        ("TZ=UTC 0 8 * * *", "2026-07-01T00:00:00", "2026-07-01T10:00:00+02:00"),
    ],
)
def test_the_next_time_follows_the_calendar(expression: str, at: str, expected: str | None) -> None:
    """Fields, steps, names and the two day fields decide the next time."""
    assert after(expression, at) == expected


def test_a_time_skipped_by_the_clock_is_not_met_that_day() -> None:
    """At half past two on the day clocks go forward nothing happens."""
    assert after("30 2 * * *", "2026-03-28T12:00:00") == "2026-03-30T02:30:00+02:00"


def test_a_time_repeated_by_the_clock_is_met_twice() -> None:
    """Half past two comes twice when clocks go back, an hour apart."""
    schedule = CronSchedule.parse("30 2 * * *")
    start = datetime(2026, 10, 25, 0, 0, tzinfo=BERLIN).timestamp()
    first = schedule.next_after(start, BERLIN)
    assert first is not None
    second = schedule.next_after(first, BERLIN)
    assert second == first + 3600


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 7",
        "* * * * 5#2",
        "* * L * *",
        "*/0 * * * *",
        "5-1 * * * *",
        "1-2-3 * * * *",
        "-1 * * * *",
        "1/2/3 * * * *",
        ", * * * *",
        "* * * * SUNDAY",
        "@daily",
        "@every 1h",
        "TZ=Nowhere/City * * * * *",
    ],
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    """Everything outside the grammar is named, never ignored."""
    with pytest.raises(ValueError, match=r"."):
        CronSchedule.parse(expression)


@pytest.mark.parametrize("name", ["", "Europe", "../etc/passwd", "Nowhere/City", "\0"])
def test_a_zone_that_is_none_is_refused(name: str) -> None:
    """Names that lead to no zone, or out of the database, are refused."""
    with pytest.raises(ValueError, match="is no time zone"):
        load_zone(name)


@given(
    st.sampled_from(["*/7 * * * *", "0 2 * * *", "30 2,3 * * 0", "15 0 1 * *", "59 23 * 3,10 ?"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.integers(1_750_000_000, 1_850_000_000),
)
def test_the_next_time_is_the_first_matching_minute(expression: str, zone: str, at: int) -> None:
    """The time found matches every field, and no matching minute lies before it."""
    schedule, here = CronSchedule.parse(expression), ZoneInfo(zone)
    found = schedule.next_after(float(at), here)
    assert found is not None
    assert found > at
    assert found % 60 == 0
    # Minutes of the last day before the found time; earlier ones are as good as checked by it.
    first = max(at // 60 * 60 + 60, int(found) - 86_400)
    for minute in range(first, int(found) + 60, 60):
        wall = datetime.fromtimestamp(minute, here)
        fits = (
            wall.minute in schedule.minutes
            and wall.hour in schedule.hours
            and wall.month in schedule.months
            and schedule.is_day(wall.date())
        )
        assert fits == (minute == found), wall
