"""Histories of recommendations and scale events, in the HPA's storage order, kept bounded.

The HPA overwrites one expired entry in place and appends otherwise, so the order of entries is not
their order in time. Beyond :data:`HISTORY_LIMIT` entries, what cannot matter any more is dropped;
a decision taken on what is left is the same.
"""

from __future__ import annotations

from typing import Final

from autoscaler.core.model import Recommendation, ScaleEvent

HISTORY_LIMIT: Final = 256
LONGEST_PERIOD_MS: Final = 1_800_000
"""``periodSeconds`` of a scaling policy is at most 1800."""


def record_recommendation(
    history: tuple[Recommendation, ...], slot: int, now_ms: int, replicas: int
) -> tuple[Recommendation, ...]:
    """Return the history with one more entry.

    Args:
        history: In storage order.
        slot: Index of the expired entry to overwrite, -1 = append.
        now_ms: Epoch milliseconds.
        replicas: Raw merged proposal.
    """
    entry = Recommendation(now_ms, replicas)
    if slot >= 0:
        return (*history[:slot], entry, *history[slot + 1 :])
    if len(history) < HISTORY_LIMIT:
        return (*history, entry)
    return bound_recommendations((*history, entry))


def without_repeat(
    before: tuple[Recommendation, ...], after: tuple[Recommendation, ...]
) -> tuple[Recommendation, ...]:
    """Return a history without its newest entry if that says what the one before it said.

    For decisions on readings that were decided on before: saying it again would hold the count for
    a window from now on, though nothing was read.

    Args:
        before: In storage order.
        after: The same with one more entry.
    """
    if not before:
        return after
    is_repeat = max(after, key=_by_time).replicas == max(before, key=_by_time).replicas
    return before if is_repeat else after


def bound_recommendations(history: tuple[Recommendation, ...]) -> tuple[Recommendation, ...]:
    """Drop recommendations that no window can make count any more.

    An entry matters to a maximum over a window only if no younger one is as high, and to a minimum
    only if no younger one is as low; whatever the window, the younger entry is in it too. Should
    more than :data:`HISTORY_LIMIT` still be left (a proposal that moved in one direction all the
    time), neighbours in time are merged so that they hold a little longer, never shorter.
    """
    kept: set[Recommendation] = set()
    highest = lowest = None
    for entry in sorted(history, key=_by_time, reverse=True):
        if highest is None or entry.replicas > highest:
            highest = entry.replicas
            kept.add(entry)
        if lowest is None or entry.replicas < lowest:
            lowest = entry.replicas
            kept.add(entry)
    rest = tuple(dict.fromkeys(entry for entry in history if entry in kept))
    return rest if len(rest) <= HISTORY_LIMIT else _merge_neighbours(rest)


def _merge_neighbours(history: tuple[Recommendation, ...]) -> tuple[Recommendation, ...]:
    """Give every second entry of each staircase the value of the older one beside it."""
    newest = max(history, key=_by_time)
    merged: list[Recommendation] = []
    for keeps in (
        [entry for entry in history if entry.replicas > newest.replicas],
        [entry for entry in history if entry.replicas < newest.replicas],
    ):
        by_age = sorted(keeps, key=_by_time)
        merged += [
            Recommendation(younger.at_ms, older.replicas)
            for older, younger in zip(by_age[::2], by_age[1::2], strict=False)
        ]
        merged += by_age[-1:] if len(by_age) % 2 else []
    return (*merged, newest)


def record_event(
    history: tuple[ScaleEvent, ...], change: int, now_ms: int, longest_period_ms: int
) -> tuple[ScaleEvent, ...]:
    """Return the scale events of one direction with one more.

    Args:
        history: In storage order.
        change: Absolute change of replicas.
        now_ms: Epoch milliseconds.
        longest_period_ms: Longest period among the direction's scaling policies; older entries
            are marked outdated, and the last outdated one is overwritten.
    """
    slot = -1
    entries = list(history)
    for index, entry in enumerate(history):
        if not entry.outdated and entry.at_ms < now_ms - longest_period_ms:
            entries[index] = ScaleEvent(entry.at_ms, entry.change, outdated=True)
        if entries[index].outdated:
            slot = index
    if slot >= 0:
        entries[slot] = ScaleEvent(now_ms, change)
    else:
        entries.append(ScaleEvent(now_ms, change))
    return tuple(entries) if len(entries) <= HISTORY_LIMIT else _bound_events(entries, now_ms)


def _bound_events(entries: list[ScaleEvent], now_ms: int) -> tuple[ScaleEvent, ...]:
    """Drop what is older than any period allows, else let the two oldest count as one."""
    rest = [entry for entry in entries if entry.at_ms > now_ms - LONGEST_PERIOD_MS]
    if len(rest) > HISTORY_LIMIT:
        oldest, second = sorted(rest, key=_by_time)[:2]
        joined = ScaleEvent(second.at_ms, oldest.change + second.change)
        rest = [joined if entry is second else entry for entry in rest if entry is not oldest]
    return tuple(rest)


def _by_time(entry: Recommendation | ScaleEvent) -> int:
    return entry.at_ms
