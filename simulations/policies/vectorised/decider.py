"""One decision of many alike policies: the stages of ``decide()`` with masks for branches.

Most lanes most of the time have work and lie between their bounds; a branch that no lane takes
costs one test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.model import Activation
from autoscaler.core.proposal import tolerance_of
from simulations.engine.view import LaneView, Values
from simulations.policies.decided import DecidedAutoscaler
from simulations.policies.vectorised.composites import LaneComposite
from simulations.policies.vectorised.histories import Histories
from simulations.policies.vectorised.metrics import LaneMetric

Mask = NDArray[np.bool_]
NEVER: Final = -np.inf


class Decider:
    """Policies of one structure.

    Args:
        policies: One per lane.
    """

    def __init__(self, policies: Sequence[DecidedAutoscaler]) -> None:
        first = policies[0].policy
        all_of = [decided.policy for decided in policies]
        self._activation = first.activation
        self._zero_follows = first.behavior is not None and first.zero_follows_behavior
        self._sync_ms = round(first.hpa.sync_period_seconds * 1000)
        wake = policies[0].wake_seconds
        self._wake_ms = None if wake is None else round(wake * 1000)
        self._minimum = np.array([float(policy.min_replicas) for policy in all_of])
        self._maximum = np.array([float(policy.max_replicas) for policy in all_of])
        self._floor = np.maximum(1.0, self._minimum)
        if self._activation is Activation.HPA:
            self._floor = self._minimum
        self._idle = np.array(
            [np.nan if p.idle_replicas is None else float(p.idle_replicas) for p in all_of]
        )
        self._has_idle = ~np.isnan(self._idle)
        self._may_idle = bool(self._has_idle.any())
        self._rest = np.where(self._has_idle, self._idle, 0.0)
        self._cooldown = np.array([policy.cooldown_seconds for policy in all_of])
        self._first_retire_at = np.array(
            [policy.created_at + policy.initial_cooldown_seconds for policy in all_of]
        )
        self._last_active_at = np.full(len(policies), NEVER)
        self._last_sync_ms = np.full(len(policies), NEVER)
        tolerances = [tolerance_of(policy) for policy in all_of]
        self._low = np.array([low for low, _ in tolerances])
        self._high = np.array([high for _, high in tolerances])
        self._metrics = _metrics(policies)
        self._has_external = any(metric.activates for metric in self._metrics)
        self._everywhere = np.ones(len(policies), dtype=bool)
        self._histories = Histories(all_of, round(policies[0].tick_seconds * 1000))

    def decide(self, view: LaneView) -> Values:
        """Return the replicas each lane wants, and remember them as done."""
        missing = [metric.read(view) for metric in self._metrics]
        current = view.replicas
        asleep: Mask | None = None
        if self._wake_ms is not None and view.at_ms % self._wake_ms:
            asleep = current == 0
        histories = self._histories
        histories.begin()
        counts: Mask | bool = True
        if self._activation is Activation.HPA:
            histories.remember_start(current, self._everywhere)
            wanted = self._govern(view, missing, self._everywhere)
        else:
            wanted, counts = self._as_told(view, missing, asleep)
        histories.end()
        histories.performed(view, wanted, counts)
        return wanted

    def _as_told(
        self, view: LaneView, missing: list[Mask | bool], asleep: Mask | None
    ) -> tuple[Values, Mask | bool]:
        """Follow the activation stage; the HPA arithmetic decides for the lanes left over.

        Returns:
            The replicas, and where a change counts toward the scaling policies' periods: with
            ``Activation.MINIMUM`` jumps of the activation stage do not.
        """
        current = view.replicas
        active, failing = self._work(missing)
        if not self._may_idle and active.all() and current.all() and not failing.any():
            # The usual case: nothing to wake, to retire or to wait for.
            self._last_active_at.fill(view.at)
            return self._govern(view, missing, self._everywhere), True
        starts = active & ((current == 0) | (self._has_idle & (current < self._minimum)))
        idles = ~active & ~failing
        retires = idles & np.where(
            self._has_idle, current > self._rest, (current > 0) & (self._minimum == 0)
        )
        rises = idles & ~self._has_idle & (current < self._minimum) & ~retires
        rests = ~active & ~retires & ~rises & (current <= self._rest)
        due = retires
        if retires.any():
            until = np.where(
                self._last_active_at == NEVER,
                self._first_retire_at,
                self._last_active_at + self._cooldown,
            )
            due = retires & (until < view.at)
        working = active & (starts | ~failing)
        governed = ~(starts | rises | rests | due)
        wakes = starts | rises
        if asleep is not None and asleep.any():
            for lanes in (starts, rises, rests, due, working, governed, wakes):
                np.copyto(lanes, False, where=asleep)
        np.copyto(self._last_active_at, view.at, where=working)
        if governed.all():
            return self._govern(view, missing, governed), True
        wanted = self._govern(view, missing, governed) if governed.any() else current.copy()
        if rests.any():
            np.minimum(wanted, self._maximum, out=wanted, where=rests)
        if due.any():
            self._retire(view, due, wanted)
        if wakes.any():
            self._wake(view, missing, wakes, np.where(rises, self._minimum, self._floor), wanted)
        if self._activation is Activation.MINIMUM:
            return wanted, ~wakes if self._zero_follows else ~(wakes | due)
        return wanted, True

    def _work(self, missing: list[Mask | bool]) -> tuple[Mask, Mask]:
        """Return where there is work, and where an activating metric fails."""
        lanes = len(self._minimum)
        active = np.zeros(lanes, dtype=bool)
        failing = np.zeros(lanes, dtype=bool)
        for metric, absent in zip(self._metrics, missing, strict=True):
            if not metric.activates:
                continue
            if absent is not False:
                failing |= absent
            if absent is not True:
                active |= metric.is_active() & ~np.asarray(absent)
        if not self._has_external:
            active[:] = True
        return active, failing

    def _govern(self, view: LaneView, missing: list[Mask | bool], lanes: Mask) -> Values:
        """Let the HPA arithmetic decide between the bounds."""
        current = view.replicas
        governed = lanes & (current > 0)
        self._histories.remember_start(current, governed)
        clamped = np.minimum(np.maximum(current, self._floor), self._maximum)
        inside = governed & (clamped == current)
        wanted = np.where(governed, clamped, current)
        if self._sync_ms:
            inside &= view.at_ms - self._last_sync_ms >= self._sync_ms
            np.copyto(self._last_sync_ms, view.at_ms, where=inside)
        proposed, known = self._ask(view, missing)
        inside &= known
        if inside.any():
            allowed = self._histories.normalise(view, proposed, inside, self._floor, self._maximum)
            np.copyto(wanted, allowed, where=inside)
        return wanted

    def _ask(
        self, view: LaneView, missing: list[Mask | bool], *, without_pods: Mask | None = None
    ) -> tuple[Values, Mask | bool]:
        """Return the merged proposal, and where there is one that may be acted on.

        Args:
            view: What is seen.
            missing: Where each metric has no value.
            without_pods: Lanes in which metrics of pods are not asked.
        """
        if len(self._metrics) == 1 and without_pods is None:
            if missing[0] is True:
                return view.replicas, False
            proposed, failed = self._metrics[0].propose(view, self._low, self._high)
            if failed is False and missing[0] is False:
                return proposed, True
            return proposed, ~(np.asarray(failed) | np.asarray(missing[0]))
        best = np.full(len(self._minimum), -1.0)
        failures = np.zeros(len(self._minimum), dtype=bool)
        for metric, absent in zip(self._metrics, missing, strict=True):
            asked = self._everywhere
            if without_pods is not None and not metric.is_total:
                asked = ~without_pods
            if absent is True:
                failures |= asked
                continue
            proposed, failed = metric.propose(view, self._low, self._high)
            bad = np.asarray(failed) | np.asarray(absent)
            failures |= bad & asked
            np.maximum(best, proposed, out=best, where=asked & ~bad)
        return best, (best >= 0) & ~(failures & (best < view.replicas))

    def _wake(
        self,
        view: LaneView,
        missing: list[Mask | bool],
        lanes: Mask,
        told: Values,
        wanted: Values,
    ) -> None:
        """Leave zero or idle: to the minimum, or straight to what the metrics ask for."""
        floor = np.minimum(told, self._maximum)
        np.copyto(wanted, floor, where=lanes)
        if self._activation is not Activation.DIRECT:
            return
        self._histories.remember_start(view.replicas, lanes)
        np.copyto(self._last_sync_ms, view.at_ms, where=lanes)
        proposed, known = self._ask(view, missing, without_pods=view.replicas == 0)
        lanes = lanes & known
        if lanes.any():
            allowed = self._histories.normalise(view, proposed, lanes, floor, self._maximum)
            np.copyto(wanted, np.maximum(floor, allowed), where=lanes)

    def _retire(self, view: LaneView, lanes: Mask, wanted: Values) -> None:
        """Go to zero or idle: in one jump, or as slowly as the scale-down rules want."""
        np.copyto(wanted, self._rest, where=lanes)
        if not self._zero_follows:
            return
        self._histories.remember_start(view.replicas, lanes)
        allowed = self._histories.normalise(view, self._rest, lanes, self._rest, self._maximum)
        np.copyto(wanted, np.minimum(allowed, self._maximum), where=lanes)


def _metrics(policies: Sequence[DecidedAutoscaler]) -> list[LaneMetric]:
    """Return what the HPA arithmetic looks at: with modifiers the composite and what is beside."""
    written = [
        LaneMetric(
            [decided.metrics[index][0] for decided in policies],
            [decided.metrics[index][1] for decided in policies],
        )
        for index in range(len(policies[0].metrics))
    ]
    modifiers = [item for decided in policies if (item := decided.policy.modifiers) is not None]
    if not modifiers:
        return written
    names = [metric.trigger for metric, _ in policies[0].metrics]
    parts = {name: metric for name, metric in zip(names, written, strict=True) if metric.activates}
    return [
        LaneComposite(modifiers, parts),
        *(metric for metric in written if not metric.activates),
    ]
