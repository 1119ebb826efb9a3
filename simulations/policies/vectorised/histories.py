"""What many policies remember of their recommendations and changes, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.model import Behavior, Policy
from simulations.engine.view import LaneView, Values
from simulations.policies.vectorised.rates import Rules
from simulations.policies.vectorised.windows import NONE, SlidingMaximum

Mask = NDArray[np.bool_]

MIRROR: Final = 2.0**40
"""A lowest value is the mirror image of a highest one."""


class _Window:
    """Sliding maxima of lanes whose windows differ in length.

    Args:
        lengths: Ticks before the present one that a lane's window holds.
    """

    def __init__(self, lengths: Values) -> None:
        self._lanes = len(lengths)
        self._parts: list[tuple[NDArray[np.int64] | None, SlidingMaximum]] = []
        for length in np.unique(lengths[lengths > 0]):
            lanes = np.flatnonzero(lengths == length)
            where = None if len(lanes) == self._lanes else lanes
            self._parts.append((where, SlidingMaximum(int(length), len(lanes))))

    def highest(self) -> Values | float:
        """Return the highest of each lane's window; ``NONE`` where there is none."""
        if not self._parts:
            return NONE
        if self._parts[0][0] is None:
            return self._parts[0][1].highest()
        result = np.full(self._lanes, NONE)
        for lanes, maximum in self._parts:
            result[lanes] = maximum.highest()
        return result

    def push(self, row: Values) -> None:
        """Add the present tick's entries."""
        for lanes, maximum in self._parts:
            maximum.push(row if lanes is None else row[lanes])


class Histories:
    """Recommendations and changes of policies that all have a behavior, or all have none.

    Args:
        policies: One per lane.
        tick_ms: How often they decide.
    """

    def __init__(self, policies: Sequence[Policy], tick_ms: int) -> None:
        lanes = len(policies)
        behaviors = [policy.behavior for policy in policies]
        settings = policies[0].hpa
        self._doubles = settings.default_scale_up_limit
        self._has_history = np.zeros(lanes, dtype=bool)
        self._all_have_history = False
        self._high_row = np.full(lanes, NONE)
        self._low_row = np.full(lanes, NONE)
        self._ups = self._downs = None
        if behaviors[0] is None:
            windows = np.array(
                [round(p.hpa.downscale_stabilization_seconds * 1000) for p in policies]
            )
            # The edge counts: so does an entry exactly one window old.
            self._high = _Window(windows // tick_ms)
            self._counts_start = np.ones(lanes, dtype=bool)
            self._low = None
            return
        rules = [behavior for behavior in behaviors if behavior is not None]
        down = np.array([_down_window_ms(b, p) for b, p in zip(rules, policies, strict=True)])
        up = np.array([(b.scale_up.stabilization_window_seconds or 0) * 1000 for b in rules])
        self._high = _Window(np.maximum(0, -(-down // tick_ms) - 1))
        self._counts_start = down > 0
        self._low = _Window(np.maximum(0, -(-up // tick_ms) - 1)) if up.any() else None
        self._low_counts_start = up > 0
        self._ups = Rules([behavior.scale_up for behavior in rules], is_up=True)
        self._downs = Rules([behavior.scale_down for behavior in rules], is_up=False)

    def begin(self) -> None:
        """Begin a tick."""
        self._high_row.fill(NONE)
        self._low_row.fill(NONE)
        self._highest = self._high.highest()
        self._mirrored = NONE if self._low is None else self._low.highest()

    def end(self) -> None:
        """Remember the tick's recommendations."""
        self._high.push(self._high_row)
        if self._low is not None:
            self._low.push(self._low_row)

    def remember_start(self, current: Values, lanes: Mask) -> None:
        """Take the count found at the very first sync as a recommendation."""
        if self._all_have_history:
            return
        first = lanes & ~self._has_history
        self._has_history |= lanes
        self._all_have_history = bool(self._has_history.all())
        if not first.any():
            return
        self._record(current, first)
        counts = first & self._counts_start
        self._highest = np.maximum(self._highest, np.where(counts, current, NONE))
        if self._low is not None:
            counts = first & self._low_counts_start
            self._mirrored = np.maximum(self._mirrored, np.where(counts, MIRROR - current, NONE))

    def normalise(
        self, view: LaneView, desired: Values, lanes: Mask, minimum: Values, maximum: Values
    ) -> Values:
        """Return what windows and limits make of raw proposals.

        Args:
            view: What is seen.
            desired: Raw merged proposals.
            lanes: Those that count; other elements of the result mean nothing.
            minimum: Lower bounds.
            maximum: Upper bounds.
        """
        current = view.replicas
        if self._ups is None or self._downs is None:
            held = np.maximum(desired, self._highest)
            if not self._doubles:
                raised = (held > desired) & (held > current)
                np.copyto(held, np.maximum(desired, current), where=raised)
            limit = maximum
            if self._doubles:
                limit = np.minimum(maximum, np.maximum(2.0 * current, 4.0))
            self._record(desired, lanes)
            allowed = np.minimum(held, limit)
            return np.where(held < minimum, minimum, allowed)
        highest = np.maximum(desired, self._highest)
        lowest = np.minimum(desired, MIRROR - self._mirrored)
        held = np.minimum(np.maximum(current, lowest), highest)
        self._record(desired, lanes)
        now_ms = round(view.at * 1000)
        up = np.flatnonzero(lanes & (held > current))
        if up.size:
            rate = self._rate(self._ups.limit, up, current, now_ms)
            rate = np.maximum(rate, current[up])
            held[up] = np.minimum(held[up], np.minimum(maximum[up], rate))
        down = np.flatnonzero(lanes & (held < current))
        if down.size:
            rate = self._rate(self._downs.limit, down, current, now_ms)
            rate = np.minimum(rate, current[down])
            held[down] = np.maximum(held[down], np.maximum(minimum[down], rate))
        return held

    def performed(self, view: LaneView, wanted: Values, lanes: Mask | bool) -> None:
        """Remember changes that count toward the scaling policies' periods."""
        if self._ups is None or self._downs is None:
            return
        change = wanted - view.replicas
        now_ms = round(view.at * 1000)
        for rules, sign in ((self._ups, 1.0), (self._downs, -1.0)):
            changed = np.flatnonzero((sign * change > 0) & lanes)
            if changed.size:
                rules.events.record(changed, sign * change[changed], now_ms)

    def _rate(
        self,
        limit: Callable[..., Values],
        lanes: NDArray[np.int64],
        current: Values,
        now_ms: int,
    ) -> Values:
        assert self._ups is not None
        assert self._downs is not None
        return limit(lanes, current[lanes], self._ups.events, self._downs.events, now_ms)

    def _record(self, replicas: Values, lanes: Mask) -> None:
        np.maximum(self._high_row, replicas, out=self._high_row, where=lanes)
        if self._low is not None:
            np.maximum(self._low_row, MIRROR - replicas, out=self._low_row, where=lanes)


def _down_window_ms(behavior: Behavior, policy: Policy) -> int:
    window = behavior.scale_down.stabilization_window_seconds
    if window is None:
        window = int(policy.hpa.downscale_stabilization_seconds)
    return window * 1000
