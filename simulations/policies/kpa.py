"""Knative's pod autoscaler (KPA).

Rules after ``pkg/autoscaler/scaling/autoscaler.go`` of knative/serving (commit 00a4a55), defaults
of ``config/core/configmaps/autoscaler.yaml``: stable window 60 s, panic window 10 % of it, panic
threshold 200 %, up at most 1000 times and down at most to half of the ready pods per tick, 70 % of
the container's concurrency, 30 s of grace before zero.

Simplified: it ticks every step instead of every 2 s, so the panic window of 6 s is one step of 5 s;
the activator, which keeps requests in front of the pods, is the plant's queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulations.engine.view import LaneView, Values
from simulations.policies.service import ServiceFacts
from simulations.policies.watching import IN_FLIGHT

STABLE_WINDOW_SECONDS: Final = 60.0
PANIC_WINDOW_RATIO: Final = 0.1
PANIC_THRESHOLD: Final = 2.0
MAX_SCALE_UP_RATE: Final = 1000.0
MAX_SCALE_DOWN_RATE: Final = 2.0
SCALE_TO_ZERO_GRACE_SECONDS: Final = 30.0


class Kpa:
    """The KPA on concurrency.

    Args:
        facts: Of the service.
        tick_seconds: Of its decisions and of its metric.
        target_ratios: Utilisation to aim at in each lane; the service's in all when None.
    """

    def __init__(
        self,
        facts: ServiceFacts,
        *,
        tick_seconds: float = 5.0,
        target_ratios: Sequence[float] | None = None,
    ) -> None:
        self.tick_seconds = tick_seconds
        ratios = [facts.target_ratio] if target_ratios is None else target_ratios
        self._target = np.array(ratios) * facts.concurrency
        self._minimum, self._maximum = float(facts.minimum), float(facts.maximum)
        self._stable = max(1, round(STABLE_WINDOW_SECONDS / tick_seconds))
        self._panic = max(1, round(STABLE_WINDOW_SECONDS * PANIC_WINDOW_RATIO / tick_seconds))
        self.start(0)

    def start(self, lanes: int) -> None:
        """Forget everything."""
        self._seen: list[Values] = []
        self._panic_at = np.full(lanes, -np.inf)
        self._panics: NDArray[np.bool_] = np.zeros(lanes, dtype=bool)
        self._most = np.zeros(lanes)
        self._idle_since = np.full(lanes, np.nan)
        self._is_new = True

    def decide(self, view: LaneView) -> Values:
        """Return the replicas each lane wants."""
        if not self._look(view):
            return view.replicas.copy()
        if self._is_new:
            # An autoscaler that starts beside several pods begins in panic, to keep them.
            self._is_new = False
            self._panics = view.serving > 1
            self._panic_at = np.where(self._panics, view.at, -np.inf)
            self._most = view.serving.copy()
        ready = np.maximum(1.0, view.serving)
        highest = np.ceil(MAX_SCALE_UP_RATE * ready)
        lowest = np.floor(ready / MAX_SCALE_DOWN_RATE)
        by_stable = np.ceil(self._mean(self._stable) / self._target)
        by_panic = np.ceil(self._mean(self._panic) / self._target)
        stable = np.minimum(np.maximum(by_stable, lowest), highest)
        panic = np.minimum(np.maximum(by_panic, lowest), highest)

        is_over = by_panic / ready >= PANIC_THRESHOLD
        has_ended = self._panics & ~is_over & (self._panic_at + STABLE_WINDOW_SECONDS < view.at)
        self._panic_at[is_over] = view.at
        self._panics = (self._panics | is_over) & ~has_ended
        self._most[has_ended] = 0.0
        raised = np.maximum(np.maximum(stable, panic), self._most)
        self._most = np.where(self._panics, raised, self._most)
        wanted = np.where(self._panics, raised, stable)
        wanted = np.minimum(np.maximum(wanted, self._minimum), self._maximum)
        return self._with_grace(view, wanted)

    def _look(self, view: LaneView) -> bool:
        """Take the newest report; return whether there is one."""
        seen = np.asarray(view.signals[IN_FLIGHT])
        if np.isnan(seen).any():
            return False
        self._seen.append(seen)
        if len(self._seen) > self._stable:
            del self._seen[0]
        return True

    def _mean(self, count: int) -> Values:
        """Return the mean of the newest readings, added in one order whatever the lanes."""
        newest = self._seen[-count:]
        total = newest[0].copy()
        for seen in newest[1:]:
            total += seen
        total /= len(newest)
        return total

    def _with_grace(self, view: LaneView, wanted: Values) -> Values:
        """Keep the last pod for the grace period."""
        idles = (wanted == 0) & (view.replicas > 0)
        if not idles.any():
            self._idle_since.fill(np.nan)
            return wanted
        self._idle_since = np.where(
            idles, np.where(np.isnan(self._idle_since), view.at, self._idle_since), np.nan
        )
        waits = idles & (view.at - self._idle_since < SCALE_TO_ZERO_GRACE_SECONDS)
        wanted[waits] = 1.0
        return wanted
