"""The comparison of KEDA's replicas with ``decide()``, which must not let anything wrong pass."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.e2e.external.audited import History, Sync, Write
from tests.e2e.external.cases import Case, random_cases
from tests.e2e.external.expected import Expected, batches, policy_of
from tests.e2e.external.verdict import Result, judge
from tests.e2e.keda.source import Read

VALUES: list[float | None] = [0.0] * 10 + [55.0] * 10 + [None] * 10 + [0.0] * 10
"""A value each second: zero, six replicas, a source that is away, zero."""
WOKEN = Write(10.4, 1, is_hpa=False)
RAISED = Write(11.4, 6, is_hpa=True)
ASLEEP = Write(30.6, 0, is_hpa=False)
SEEN = Sync(11.3, 11.35, is_answered=True, before=1, after=6)
KEPT = Sync(13.3, 13.35, is_answered=True, before=6, after=6)
UNSEEN = Sync(25.3, 25.35, is_answered=False, before=6, after=6)


def plain() -> Case:
    """Return a case without memory."""
    return next(case for case in random_cases() if case.name == "plain-1")


def verdict(writes: Sequence[Write], syncs: Sequence[Sync]) -> Result:
    """Compare a history with what decide() makes of the values."""
    case = plain()
    reads = [Read(float(at), case.name, 0, value) for at, value in enumerate(VALUES)]
    policy = policy_of(case.name, case.spec("http://source.invalid"))
    expected = Expected(case.name, policy, batches(reads))
    return judge(case, expected, History(list(writes), list(syncs)), 0.0)


def test_history_that_follows_has_no_mismatch() -> None:
    """Zero, six, held without answers, zero: three counts had to be reached, two of them zero."""
    result = verdict([WOKEN, RAISED, ASLEEP], [SEEN, KEPT, UNSEEN])
    assert result.mismatches == []
    assert (result.syncs, result.certain, result.unanswered) == (3, 3, 1)
    assert (result.plateaus, result.zeros) == (3, 2)


@pytest.mark.parametrize(
    ("writes", "syncs", "why"),
    [
        ([WOKEN, RAISED, ASLEEP], [SEEN._replace(after=5)], "right is [6]"),
        ([WOKEN, RAISED, ASLEEP], [KEPT._replace(after=7)], "right is [6]"),
        ([WOKEN, RAISED, ASLEEP], [KEPT._replace(is_answered=False)], "right is an answer"),
        ([WOKEN, RAISED, ASLEEP], [UNSEEN._replace(after=1)], "right is [6]"),
        ([WOKEN, RAISED, ASLEEP], [UNSEEN._replace(is_answered=True, after=1)], "right is [6]"),
        ([WOKEN, RAISED, ASLEEP._replace(at=25.0)], [], "25.0 s: KEDA went to 0"),
        ([WOKEN._replace(at=5.0), RAISED, ASLEEP], [], "5.0 s: KEDA went to 1"),
        ([WOKEN, ASLEEP], [], "6 not reached, 1 replicas"),
        ([WOKEN, RAISED], [], "0 not reached, 6 replicas"),
    ],
)
def test_whatever_is_wrong_is_found(
    writes: Sequence[Write], syncs: Sequence[Sync], why: str
) -> None:
    """Wrong counts, missing answers, zero for a failure, zero too early, counts never reached."""
    result = verdict(writes, syncs)
    assert any(why in one for one in result.mismatches), result.mismatches


def test_both_counts_are_right_while_a_poll_is_under_way() -> None:
    """A sync at the moment of a read may see the count before or after it, and no other."""
    moment = Sync(10.0, 10.05, is_answered=True, before=0, after=0)
    for after, is_right in ((1, True), (6, True), (4, False)):
        result = verdict([WOKEN, RAISED, ASLEEP], [moment._replace(after=after)])
        assert (result.mismatches == []) == is_right
        assert result.certain == 0


def test_reads_of_one_poll_stay_together() -> None:
    """However long the questions of a poll take, two of one trigger are two polls."""
    reads = [
        Read(0.0, "a", 0, 1.0),
        Read(0.9, "a", 1, 2.0),
        Read(1.0, "a", 0, 3.0),
        Read(1.1, "b", 0, 4.0),
        Read(1.2, "a", 1, 5.0),
        Read(2.1, "b", 0, 6.0),
    ]
    assert [(poll.began_at, poll.ended_at, poll.values) for poll in batches(reads)] == [
        (0.0, 0.9, {"a": {0: 1.0, 1: 2.0}}),
        (1.0, 1.2, {"a": {0: 3.0, 1: 5.0}, "b": {0: 4.0}}),
        (2.1, 2.1, {"b": {0: 6.0}}),
    ]


def test_cases_are_twenty_and_each_has_every_kind_of_segment() -> None:
    """Every series has zero and missing values, ends with a level, and lasts as long as the rest."""
    cases = random_cases()
    assert len({case.name for case in cases}) == 20
    for case in cases:
        values = [step.values for step in case.series]
        assert (0.0,) * case.triggers in values[1:]
        assert any(None in step for step in values)
        assert all(value for value in values[-1])
        assert sum(step.seconds for step in case.series) == 78
