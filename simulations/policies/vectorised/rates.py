"""Scaling policies per period, over the lanes that want to change.

Performed changes are kept as the HPA keeps them: an entry that outlived the longest period of its
direction is marked, and the last marked one is overwritten by the next change. Which entries are
left decides what the other direction's longer periods still see. A history that is full is left to
the core's own code, lane by lane; it takes hundreds of changes within half an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.behavior import longest_period_ms
from autoscaler.core.history import HISTORY_LIMIT, record_event
from autoscaler.core.model import INT32_MAX, PolicyType, ScaleEvent, ScalingRules, SelectPolicy

Values = NDArray[np.float64]
Indices = NDArray[np.int64]

_WRAP: Final = 2.0**32
_HALF: Final = 2.0**31


class ScaleEvents:
    """Performed changes of one direction.

    Args:
        longest_ms: Longest period of the direction's scaling policies, per lane.
    """

    def __init__(self, longest_ms: Values) -> None:
        lanes = len(longest_ms)
        self._longest_ms = longest_ms
        self._at_ms = np.full((4, lanes), -np.inf)
        self._change = np.zeros((4, lanes))
        self._outdated = np.zeros((4, lanes), dtype=bool)
        self._count = np.zeros(lanes, dtype=np.int64)

    def record(self, lanes: Indices, change: Values, now_ms: float) -> None:
        """Add a change to each of some lanes."""
        full = self._count[lanes] >= HISTORY_LIMIT
        if full.any():
            for lane, amount in zip(lanes[full].tolist(), change[full].tolist(), strict=True):
                self._record_in_full(lane, int(amount), int(now_ms))
            lanes, change = lanes[~full], change[~full]
            if not lanes.size:
                return
        at_ms, outdated = self._at_ms[:, lanes], self._outdated[:, lanes]
        is_used = np.arange(len(at_ms))[:, None] < self._count[lanes]
        outdated |= is_used & (at_ms < now_ms - self._longest_ms[lanes])
        last = len(at_ms) - 1 - np.argmax(outdated[::-1], axis=0)
        reuses = outdated.any(axis=0)
        slots = np.where(reuses, last, self._count[lanes])
        if slots.max() >= len(self._at_ms):
            self._grow()
            outdated = np.concatenate([outdated, np.zeros_like(outdated)])
        outdated[slots, np.arange(len(lanes))] = False
        self._outdated[:, lanes] = outdated
        self._at_ms[slots, lanes] = now_ms
        self._change[slots, lanes] = change
        self._count[lanes] += ~reuses

    def since(self, lanes: Indices, edge_ms: Values) -> Values:
        """Return the sum of the changes after an instant per lane."""
        counts = self._at_ms[:, lanes] > edge_ms
        total: Values = np.sum(self._change[:, lanes], axis=0, where=counts)
        return total

    def _record_in_full(self, lane: int, change: int, now_ms: int) -> None:
        count = self._count[lane]
        columns = self._at_ms, self._change, self._outdated
        entries = zip(*(column[:count, lane].tolist() for column in columns), strict=True)
        history = record_event(
            tuple(ScaleEvent(int(at), int(size), outdated) for at, size, outdated in entries),
            change,
            now_ms,
            int(self._longest_ms[lane]),
        )
        count = len(history)
        self._at_ms[:, lane] = -np.inf
        self._at_ms[:count, lane] = [event.at_ms for event in history]
        self._change[:count, lane] = [event.change for event in history]
        self._outdated[:, lane] = False
        self._outdated[:count, lane] = [event.outdated for event in history]
        self._count[lane] = count

    def _grow(self) -> None:
        self._at_ms = np.concatenate([self._at_ms, np.full_like(self._at_ms, -np.inf)])
        self._change = np.concatenate([self._change, np.zeros_like(self._change)])
        self._outdated = np.concatenate([self._outdated, np.zeros_like(self._outdated)])


class Rules:
    """The rules of one direction, one element per lane.

    Args:
        rules: Of each lane.
        is_up: Direction.
    """

    def __init__(self, rules: Sequence[ScalingRules], *, is_up: bool) -> None:
        lanes, most = len(rules), max((len(item.policies) for item in rules), default=0)
        self._is_up = is_up
        self._value = np.full((most, lanes), np.nan)
        self._period_ms = np.zeros((most, lanes))
        self._is_pods = np.zeros((most, lanes), dtype=bool)
        for lane, item in enumerate(rules):
            for row, policy in enumerate(item.policies):
                self._value[row, lane] = policy.value
                self._period_ms[row, lane] = policy.period_seconds * 1000
                self._is_pods[row, lane] = policy.type is PolicyType.PODS
        self._disabled = np.array([r.select_policy is SelectPolicy.DISABLED for r in rules])
        picks_lowest = np.array([r.select_policy is SelectPolicy.MIN for r in rules])
        self._picks_lowest = picks_lowest if is_up else ~picks_lowest
        self.events = ScaleEvents(np.array([float(longest_period_ms(item)) for item in rules]))

    def limit(
        self, lanes: Indices, current: Values, ups: ScaleEvents, downs: ScaleEvents, now_ms: float
    ) -> Values:
        """Return how far the policies let some lanes go from their current count."""
        limits = np.full((len(self._value), len(lanes)), np.nan)
        for row, limit in enumerate(limits):
            edge_ms = now_ms - self._period_ms[row, lanes]
            base = current - ups.since(lanes, edge_ms) + downs.since(lanes, edge_ms)
            value = self._value[row, lanes]
            if self._is_up:
                pods = (base + value + _HALF) % _WRAP - _HALF
                percent = np.minimum(np.ceil(base * (1.0 + value / 100.0)), INT32_MAX)
            else:
                pods = base - value
                percent = np.trunc(base * (1.0 - value / 100.0))
            limit[:] = np.where(self._is_pods[row, lanes], pods, percent)
        if not len(limits):
            return current.copy()
        lowest, highest = np.fmin.reduce(limits), np.fmax.reduce(limits)
        chosen = np.where(self._picks_lowest[lanes], lowest, highest)
        return np.where(self._disabled[lanes] | np.isnan(chosen), current, chosen)
