"""Decide and act: take a decision to the scale subresource, and to the object's status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

from autoscaler.controller.binding import Binding
from autoscaler.controller.journal import Entry, Outcome
from autoscaler.controller.objects import key_for
from autoscaler.controller.observe import observe, unreadable
from autoscaler.controller.status import outline_of, rejected, status_of
from autoscaler.controller.status_writer import StatusWriter
from autoscaler.controller.target_pods import TargetPods
from autoscaler.controller.targets import TargetGone, Targets
from autoscaler.controller.tracked import Tracked
from autoscaler.core.decide import decide, record_rescale
from autoscaler.core.explain import explain
from autoscaler.core.model import Condition, Decision, Memory, Reading
from autoscaler.errors import Conflict, Forbidden, KubeError
from autoscaler.kube.scale import ScaleView
from autoscaler.kube.status import timestamp
from autoscaler.runtime.clock import Clock
from autoscaler.telemetry.metrics import Metrics

CONFLICTS_MAX: Final = 3
"""Observations in a row that somebody else overtook; then the object waits for its next turn."""

log = structlog.get_logger(__name__)


class Actor:
    """Observes, decides and writes for one object at a time.

    Args:
        targets: Where scale targets are read and written.
        statuses: Where statuses go.
        clock: The service's clock.
        metrics: Where numbers go.
        status_seconds: Unimportant status changes are written at most this often.
    """

    def __init__(
        self,
        targets: Targets,
        statuses: StatusWriter,
        *,
        clock: Clock,
        metrics: Metrics,
        status_seconds: float,
    ) -> None:
        self._targets = targets
        self._statuses = statuses
        self._clock = clock
        self._metrics = metrics
        self._status_seconds = status_seconds

    async def look(self, binding: Binding, *, fresh: bool = False) -> ScaleView | KubeError:
        """Return what the target has, or why that cannot be told at the moment.

        Args:
            binding: Of the object.
            fresh: Ask the API server even if the target is watched.

        Raises:
            TargetGone: The scale target is gone.
            Forbidden: A right to read it is missing.
        """
        try:
            return await self._targets.view(binding.target, fresh=fresh)
        except (TargetGone, Forbidden):
            raise
        except KubeError as error:
            return error

    async def scale(
        self,
        tracked: Tracked,
        binding: Binding,
        readings: Mapping[str, Reading],
        pods: TargetPods | None,
        view: ScaleView | KubeError,
    ) -> tuple[Entry, Memory] | None:
        """Decide on fresh facts and write the replicas; a conflict means to look again.

        Args:
            tracked: The object.
            binding: Of the object.
            readings: By metric name.
            pods: The target's pods; None when no metric needs them.
            view: From a :meth:`look` a moment ago.

        Returns:
            None when the count would be lowered on doubtful facts: nothing is decided yet.

        Raises:
            TargetGone: The scale target is gone.
            Forbidden: A right to read or scale it is missing.
        """
        entry: Entry | None = None
        memory = tracked.memory
        for attempt in range(CONFLICTS_MAX):
            if attempt > 0:
                view = await self.look(binding, fresh=True)
            if isinstance(view, KubeError):
                return self._without_scale(tracked, binding, readings, view)
            if tracked.original_replicas is None:
                tracked.original_replicas = view.spec_replicas
            seen = observe(binding, view, readings, pods, self._clock.now())
            decision, memory = decide(binding.policy, tracked.memory, seen)
            if pods is not None and pods.is_doubtful and decision.is_lowering:
                return None
            if binding.policy.shadow or not decision.is_rescale:
                outcome = Outcome.SHADOW if decision.is_rescale else Outcome.UNCHANGED
                return Entry(decision=decision, outcome=outcome), memory
            try:
                await self._targets.scale(binding.target, view, decision.desired_replicas)
            except (TargetGone, Forbidden):
                raise
            except Conflict as error:
                entry = self._failed(binding, decision, error)
                continue
            except KubeError as error:
                entry = self._failed(binding, decision, error)
                break
            return self._written(binding, decision, memory)
        assert entry is not None
        now = self._clock.now()
        memory = record_rescale(
            binding.policy, memory, entry.decision, now, succeeded=False, error=entry.error
        )
        return entry, memory

    def write_status(
        self,
        tracked: Tracked,
        binding: Binding,
        entry: Entry,
        memory: Memory,
        conditions: tuple[Condition, ...],
    ) -> None:
        """Write what changed, at once if it is important, else rarely."""
        decision = entry.decision
        # Everything a status is made of but times and counters: building it costs as much as a
        # decision, and mostly for nothing.
        important = (
            outline_of(conditions),
            binding,
            tracked.item.metadata.generation,
            tracked.original_replicas,
            decision.desired_replicas,
            decision.active_triggers,
        )
        now = self._clock.monotonic()
        is_due = now - tracked.status_at >= self._status_seconds
        if important == tracked.status_signature and not is_due:
            return
        status = status_of(tracked, binding, decision, memory)
        if decision.is_rescale:
            status["lastDecision"] = {
                "time": timestamp(decision.at),
                "currentReplicas": decision.current_replicas,
                "desiredReplicas": decision.desired_replicas,
                "reason": _deciding(decision),
                "message": f"{entry.error}; {explain(decision)}"
                if entry.error
                else explain(decision),
            }
        self._statuses.put(key_for(tracked.item), status, conditions)
        tracked.status_at, tracked.status_signature = now, important

    def write_rejection(self, tracked: Tracked, message: str) -> None:
        """Write that the object cannot work, and why."""
        status = {"observedGeneration": tracked.item.metadata.generation}
        self._statuses.put(key_for(tracked.item), status, (rejected(message),))
        tracked.status_signature = None

    def forget(self, key: str) -> None:
        """Drop what a deleted object still wanted to say."""
        self._statuses.forget(key)

    def _written(
        self, binding: Binding, decision: Decision, memory: Memory
    ) -> tuple[Entry, Memory]:
        namespace, _, name = binding.policy.key.partition("/")
        before, after = decision.current_replicas, decision.desired_replicas
        self._metrics.scaled(namespace, name, before=before, after=after)
        log.info(
            "scaled",
            object=binding.policy.key,
            target=binding.target.text,
            before=before,
            after=after,
            why=explain(decision),
        )
        now = self._clock.now()
        memory = record_rescale(binding.policy, memory, decision, now, succeeded=True)
        return Entry(decision=decision, outcome=Outcome.WRITTEN), memory

    def _failed(self, binding: Binding, decision: Decision, error: KubeError) -> Entry:
        namespace, _, name = binding.policy.key.partition("/")
        before, after = decision.current_replicas, decision.desired_replicas
        self._metrics.scaled(namespace, name, before=before, after=after, outcome=error.reason)
        log.info("scale_refused", object=binding.policy.key, error=str(error), after=after)
        return _entry(decision, error)

    def _without_scale(
        self,
        tracked: Tracked,
        binding: Binding,
        readings: Mapping[str, Reading],
        error: KubeError,
    ) -> tuple[Entry, Memory]:
        latest = tracked.journal.latest
        last = latest.decision.current_replicas if latest else 0
        seen = unreadable(last, readings, self._clock.now(), str(error))
        decision, memory = decide(binding.policy, tracked.memory, seen)
        return _entry(decision, error), memory


def _entry(decision: Decision, error: KubeError) -> Entry:
    return Entry(
        decision=decision,
        outcome=Outcome.FAILED,
        error=str(error),
        retry_after_seconds=error.retry_after_seconds,
    )


def _deciding(decision: Decision) -> str:
    """Return the code of the last step that changed the count."""
    changing = [step.code for step in decision.steps if step.before != step.after]
    return changing[-1] if changing else "Decided"
