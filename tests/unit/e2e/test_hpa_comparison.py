"""The comparison of two replica series, which must not let anything wrong pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.hpa.compare import Point, Verdict, compare, side_by_side

PERIOD = 4.0
END = 100.0
THEIRS = [Point(0, 3), Point(10, 5), Point(20, 8), Point(40, 6), Point(60, 3)]


def verdict(ours: list[Point], theirs: list[Point] = THEIRS) -> Verdict:
    """Compare with the HPA's series."""
    return compare(theirs, ours, period_seconds=PERIOD, end_at=END)


def changed(index: int, *points: Point) -> list[Point]:
    """Return the HPA's series with one point replaced."""
    return [*THEIRS[:index], *points, *THEIRS[index + 1 :]]


def test_equal_series_are_equal() -> None:
    """All changes count, and nothing lies between them."""
    assert verdict(THEIRS) == Verdict(4, "", 0.0)


@pytest.mark.parametrize("lag", [-PERIOD, PERIOD])
def test_changes_may_be_one_period_apart(lag: float) -> None:
    """Earlier as well as later; the largest distance is reported."""
    ours = [THEIRS[0], *(Point(one.at + lag, one.replicas) for one in THEIRS[1:])]
    assert verdict(ours) == Verdict(4, "", PERIOD)


@pytest.mark.parametrize(
    ("ours", "why"),
    [
        (changed(3, Point(44.1, 6)), "to 6 4.1 s apart"),
        (changed(3, Point(35.9, 6)), "to 6 4.1 s apart"),
        (changed(3, Point(40, 5)), "the HPA went to 6, we to 5"),
        (changed(2), "the HPA went to 8, we to 6"),
        (changed(2, Point(20, 7), Point(22, 8)), "the HPA went to 8, we to 7"),
        (changed(4), "we never followed to 3"),
        ([*THEIRS, Point(80, 2)], "the HPA never went to 2"),
        (changed(0, Point(0, 4)), "the series do not start with the same count"),
        ([], "the series do not start with the same count"),
        ([Point(0, 3)], "we never followed to 5"),
    ],
)
def test_wrong_series_differ(ours: list[Point], why: str) -> None:
    """A change that is late, early, wrong, missing or too much is named."""
    assert verdict(ours).mismatch == why


def test_around_the_same_time_is_not_equal() -> None:
    """A step left out shows, although every value is one the HPA had within a period."""
    theirs = [Point(0, 2), Point(10, 4), Point(13, 6)]
    assert verdict([Point(0, 2), Point(11, 6)], theirs).mismatch


def test_changes_at_the_end_need_no_counterpart() -> None:
    """It may come after the recording; what is older must have one."""
    assert verdict([*THEIRS, Point(END - 1, 9)]) == Verdict(4, "", 0.0)
    assert verdict([*THEIRS, Point(END - PERIOD - 1, 9)]).mismatch == "the HPA never went to 9"


def test_a_value_in_passing_counts() -> None:
    """However short: the HPA would not have shown it."""
    assert verdict(changed(2, Point(20, 7), Point(20.1, 8))).mismatch


@st.composite
def series(draw: st.DrawFn) -> list[Point]:
    """Return a series whose values are held for a period or more."""
    points = [Point(0.0, draw(st.integers(1, 9)))]
    for pause in draw(st.lists(st.floats(PERIOD, 12.0), min_size=1, max_size=7)):
        replicas = draw(st.integers(1, 9).filter(lambda n: n != points[-1].replicas))
        points.append(Point(points[-1].at + pause, replicas))
    return points


@given(series(), st.data())
def test_any_single_error_is_noticed(theirs: list[Point], data: st.DataObject) -> None:
    """A changed count, a dropped change, one more, or one moved too far never passes."""
    index = data.draw(st.integers(1, len(theirs) - 1))
    at, replicas = theirs[index]
    following = theirs[index + 1].at if index + 1 < len(theirs) else END
    wrong = [
        [*theirs[:index], Point(at, replicas + 10), *theirs[index + 1 :]],
        [*theirs[:index], *theirs[index + 1 :]],
        [*theirs[: index + 1], Point((at + following) / 2, replicas + 10), *theirs[index + 1 :]],
        [*theirs[:index], *(Point(p.at + PERIOD + 0.1, p.replicas) for p in theirs[index:])],
    ]
    assert verdict(theirs, theirs).mismatch == ""
    for ours in wrong:
        assert verdict(ours, theirs).mismatch != ""


def test_both_series_are_shown_side_by_side() -> None:
    """Times count from the start; the shorter one ends earlier."""
    shown = side_by_side([Point(5, 1), Point(7.5, 3)], [Point(5, 1)], 5).splitlines()
    assert [line.split() for line in shown] == [
        ["HPA", "ours"],
        ["0.0", "s", "1", "0.0", "s", "1"],
        ["2.5", "s", "3"],
    ]
