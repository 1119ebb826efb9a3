"""The next count for one bound policy: readings in, what KEDA is told out.

Everything happens as in the controller but for the end: a decision is not written, it is told.
KEDA's HPA follows within its own sync period, so what was told is taken for what the target has.
Nothing here waits for anything, so that no API server keeps a new count from being told.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from autoscaler.collect.poll import Collector
from autoscaler.controller.binding import Binding
from autoscaler.controller.journal import Entry, Outcome
from autoscaler.controller.observe import observe, unread_metrics, unreadable
from autoscaler.controller.reconcile import (
    DENIED_SECONDS,
    FIRST_READ_SECONDS,
    SOON_SECONDS,
    NextTurn,
)
from autoscaler.controller.repeats import counted_once
from autoscaler.controller.target_pods import TargetPods
from autoscaler.controller.tracked import Tracked
from autoscaler.core.decide import decide, record_rescale
from autoscaler.core.model import Decision, Memory, Reading
from autoscaler.external.cluster import Cluster
from autoscaler.external.doubt import doubt
from autoscaler.external.served import Served, Trouble, Verdict, verdict_of
from autoscaler.kube.scale import ScaleView
from autoscaler.runtime.clock import Clock, loop_seconds


class Decider:
    """Decides for one policy at a time.

    Args:
        collector: Has the readings.
        cluster: Where targets' pods are watched; None = there is none.
        clock: The time decisions go by.
    """

    def __init__(self, collector: Collector, cluster: Cluster | None, clock: Clock) -> None:
        self._collector = collector
        self._cluster = cluster
        self._clock = clock

    def decide(self, served: Served, binding: Binding) -> NextTurn:
        """Decide by what is known now, and answer with the outcome from now on.

        Raises:
            Forbidden: The target's pods matter, and must not be watched.
        """
        tracked = served.tracked
        readings = self._collector.readings.of(served.key)
        pods = self._pods(served, binding)
        age = loop_seconds(self._clock, self._clock.monotonic() - tracked.bound_at)
        is_early = age < FIRST_READ_SECONDS and bool(unread_metrics(binding, readings))
        if is_early or (pods is not None and pods.is_awaited):
            served.wake()
            return NextTurn(loop_seconds=SOON_SECONDS)
        now = self._clock.now()
        count = served.replicas or 0
        view = ScaleView(
            spec_replicas=count,
            status_replicas=count,
            selector=binding.pod_selector,
            resource_version="",
        )
        decision, memory = decide(
            binding.policy, tracked.memory, observe(binding, view, readings, pods, now)
        )
        if pods is not None and pods.is_doubtful and decision.is_lowering:
            return NextTurn(loop_seconds=SOON_SECONDS)
        again = None if pods is None else pods.look_again_seconds
        verdict = verdict_of(binding.policy, decision, readings)
        if served.replicas is None:
            why = doubt(binding.policy, memory, readings, now) or verdict.why
            if why:
                self._hold(served, binding, memory, readings, why)
                return NextTurn(loop_seconds=again)
        memory = counted_once(tracked, binding, readings, memory)
        outcome = Outcome.UNCHANGED
        if decision.is_rescale:
            memory = record_rescale(binding.policy, memory, decision, now, succeeded=True)
            outcome = Outcome.SERVED
        tracked.memory = memory
        _note(tracked, readings, decision, outcome)
        served.replicas = decision.desired_replicas
        served.publish(verdict)
        return NextTurn(decision.requeue_after_seconds, loop_seconds=again)

    def _hold(
        self,
        served: Served,
        binding: Binding,
        memory: Memory,
        readings: Mapping[str, Reading],
        why: str,
    ) -> None:
        """Tell that there is no count to tell; what was learned about the metrics stays."""
        tracked = served.tracked
        seen = unreadable(0, readings, self._clock.now(), why)
        decision, kept = decide(binding.policy, tracked.memory, seen)
        tracked.memory = replace(kept, health=memory.health, smoothing=memory.smoothing)
        _note(tracked, readings, decision, Outcome.UNCHANGED)
        served.publish(Verdict(trouble=Trouble.UNAVAILABLE, why=why))

    def _pods(self, served: Served, binding: Binding) -> TargetPods | None:
        if self._cluster is None or not binding.needs_pods or not binding.pod_selector:
            return None
        namespace = binding.target.namespace
        pods = self._cluster.watches.pods(served.key, namespace, binding.pod_selector)
        pods.check_allowed(DENIED_SECONDS)
        return pods


def _note(
    tracked: Tracked, readings: Mapping[str, Reading], decision: Decision, outcome: Outcome
) -> None:
    """Keep a decision for whoever asks why."""
    tracked.readings = readings
    seen = tuple((name, reading.value) for name, reading in readings.items())
    tracked.journal.add(Entry(decision=decision, outcome=outcome, readings=seen))
