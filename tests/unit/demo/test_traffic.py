"""The shop's day has the shape it promises."""

from __future__ import annotations

import pytest

from autoscaler.demo.traffic import Day


def test_day_has_growth_peak_crowd_and_night() -> None:
    """Each part stands out from what is around it, at any length of the day."""
    for seconds in (600.0, 7_200.0, 86_400.0):
        day = Day(seconds=seconds)
        early, later = day.requests(0.1 * seconds), day.requests(0.5 * seconds)
        lunch, crowd = day.requests(0.36 * seconds), day.requests(0.6 * seconds)
        assert early < later < lunch < crowd
        assert day.requests(0.9 * seconds) == day.night_requests
        assert day.orders(0.9 * seconds) == 0.0
        assert day.orders(0.5 * seconds) > 0.0


@pytest.mark.parametrize(
    ("moment", "phase"),
    [
        (0.0, "quiet night"),
        (0.2, "steady growth"),
        (0.36, "lunch peak"),
        (0.6, "flash crowd"),
        (0.9, "quiet night"),
        (1.2, "steady growth"),
    ],
)
def test_moments_have_names(moment: float, phase: str) -> None:
    """The table says what is going on, day after day."""
    assert Day().phase(moment * Day().seconds) == phase


def test_crowd_comes_at_once() -> None:
    """Within a minute the flash crowd more than doubles the load."""
    day = Day()
    begins = day.flash_crowd.begins * day.seconds
    assert day.requests(begins + 1) > 2 * day.requests(begins - 60)
