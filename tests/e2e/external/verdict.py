"""Whether KEDA and its HPA left every Deployment with the replicas that ``decide()`` gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from tests.e2e.external.audited import History, Sync
from tests.e2e.external.cases import SYNC_SECONDS, Case
from tests.e2e.external.expected import Expected

FOLLOWED_SECONDS: Final = 2 * SYNC_SECONDS + 2.0
"""A count that stays so long is reached: KEDA polls each second, from zero a sync period may have
just begun, and then another passes."""
ASKED_SECONDS: Final = 0.5
"""KEDA writes at most so long after it has asked."""


class Result(NamedTuple):
    """One case.

    Attributes:
        syncs: Of the HPA.
        certain: Of these, for which only one count is right: no poll was under way.
        unanswered: Of these, which got no value because the source gave none.
        plateaus: Times at which one count had to be reached, zero among them.
        zeros: Of these, at zero.
        changes: Writes of the HPA and of KEDA.
        mismatches: What was wrong, for people.
        writes: All that happened, for people.
    """

    case: Case
    syncs: int
    certain: int
    unanswered: int
    plateaus: int
    zeros: int
    changes: int
    mismatches: Sequence[str]
    writes: str


def judge(case: Case, expected: Expected, history: History, start_at: float) -> Result:
    """Compare what happened with what is right.

    Args:
        case: Which.
        expected: The right counts.
        history: Of its Deployment.
        start_at: What times in mismatches count from, epoch seconds.
    """
    reached = list(_plateaus(expected, history))
    wrong = [
        *_wrong_syncs(expected, history, start_at),
        *_wrong_writes(expected, history, start_at),
        *(
            f"{until - start_at:7.1f} s: {count} not reached, {replicas} replicas"
            for until, count, replicas in reached
            if replicas != count
        ),
    ]
    certain = sum(
        len(expected.between(sync.began_at, sync.ended_at)) == 1 for sync in history.syncs
    )
    return Result(
        case=case,
        syncs=len(history.syncs),
        certain=certain,
        unanswered=sum(not sync.is_answered for sync in history.syncs),
        plateaus=len(reached),
        zeros=sum(count == 0 for _, count, _ in reached),
        changes=len(history.writes),
        mismatches=wrong,
        writes=" ".join(
            f"{write.at - start_at:.1f}s {'HPA' if write.is_hpa else 'KEDA'}:{write.replicas}"
            for write in history.writes
        ),
    )


def summary(results: Sequence[Result]) -> str:
    """Return what was compared, in one line."""
    syncs, certain, unanswered, plateaus, zeros, changes = (
        sum(getattr(one, name) for one in results)
        for name in ("syncs", "certain", "unanswered", "plateaus", "zeros", "changes")
    )
    wrong = sum(len(one.mismatches) for one in results)
    return (
        f"{len(results)} series, {syncs} syncs of the HPA ({certain} with a single right answer, "
        f"{unanswered} while the source gave no value), {plateaus} counts that stayed ({zeros} at "
        f"zero), {changes} writes, {wrong} mismatches"
    )


def _right_after(sync: Sync, possible: set[tuple[int, bool]]) -> set[int]:
    """Return the counts that are right after a sync.

    Without an answer the HPA changes nothing. Zero is for KEDA: the HPA goes to one, and KEDA may
    have gone on from there.
    """
    if not sync.is_answered:
        return {sync.before} if any(is_failing for _, is_failing in possible) else set()
    counts = {max(count, 1) for count, _ in possible}
    return counts | {0} if any(count == 0 for count, _ in possible) else counts


def _wrong_syncs(expected: Expected, history: History, start_at: float) -> Iterator[str]:
    for sync in history.syncs:
        right = _right_after(sync, expected.between(sync.began_at, sync.ended_at))
        if sync.after not in right:
            answered = "" if sync.is_answered else " without an answer"
            yield (
                f"{sync.began_at - start_at:7.1f} s: a sync{answered} went from {sync.before} to "
                f"{sync.after}, right is {sorted(right) or 'an answer'}"
            )


def _wrong_writes(expected: Expected, history: History, start_at: float) -> Iterator[str]:
    """Yield when KEDA entered or left zero although that was not decided."""
    for write in history.writes:
        possible = expected.between(write.at - ASKED_SECONDS, write.at)
        is_right = any((count == 0) == (write.replicas == 0) for count, _ in possible)
        if not write.is_hpa and not is_right:
            yield f"{write.at - start_at:7.1f} s: KEDA went to {write.replicas}"


def _plateaus(expected: Expected, history: History) -> Iterator[tuple[float, int, int]]:
    for since, until, count in expected.plateaus():
        if until - since >= FOLLOWED_SECONDS:
            yield until, count, history.replicas_at(until)
