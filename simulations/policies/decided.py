"""``decide()`` of the live service as the autoscaler of a simulation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from autoscaler.core.decide import decide, record_rescale
from autoscaler.core.explain import explain
from autoscaler.core.model import (
    Container,
    Decision,
    Memory,
    MetricPolicy,
    MetricSource,
    Observation,
    Pod,
    PodSample,
    Policy,
    Reading,
)
from simulations.engine.view import Measured, View
from simulations.errors import SimulationError

REQUEST_MILLI: Final = 1000
"""What a simulated pod requests of cpu and memory; only ratios to it are ever used."""


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What a metric of the policy measures.

    Attributes:
        metric: Name in the policy.
        signal: Name of the signal; unused with ``clock``.
        factor: The metric's value per unit of the signal.
        clock: The metric follows from the time alone (a cron trigger): its reading at epoch
            seconds.
    """

    metric: str
    signal: str = ""
    factor: float = 1.0
    clock: Callable[[float], Reading] | None = None


class DecidedAutoscaler:
    """A policy under the decision core, unchanged.

    Args:
        policy: What the user wants.
        watched: One per metric of the policy.
        tick_seconds: How often it decides (the polling interval, or the HPA's sync period).
        wake_seconds: How often it looks while there are no replicas (KEDA's polling interval);
            each tick when None.
        keep_decisions: Keep every decision, for reports.
        memory: What it knows of the past already.

    Attributes:
        policy: What the user wants.
        metrics: Of the policy, with what each measures.
        wake_seconds: As given.
        why: Derivation of the last decision, for people.
        decisions: If they are kept.

    Raises:
        SimulationError: A metric watches no signal.
    """

    def __init__(
        self,
        policy: Policy,
        watched: Sequence[Watched],
        *,
        tick_seconds: float,
        wake_seconds: float | None = None,
        keep_decisions: bool = False,
        memory: Memory | None = None,
    ) -> None:
        signals = {item.metric: item for item in watched}
        for metric in policy.metrics:
            if metric.spec.name not in signals:
                raise SimulationError(
                    f"metric {metric.spec.name} of {policy.key or 'the policy'} measures no signal"
                )
        self.policy = policy
        self.metrics = [(metric, signals[metric.spec.name]) for metric in policy.metrics]
        self._needs_pods = any(
            metric.spec.source not in {MetricSource.EXTERNAL, MetricSource.OBJECT}
            for metric in policy.metrics
        )
        self.tick_seconds = tick_seconds
        self.wake_seconds = wake_seconds
        self._wake_ms = None if wake_seconds is None else round(wake_seconds * 1000)
        self._memory = memory or Memory()
        self._decision: Decision | None = None
        self.decisions: list[Decision] | None = [] if keep_decisions else None

    @property
    def memory(self) -> Memory:
        """What the next decision will know of the past."""
        return self._memory

    @property
    def why(self) -> str:
        """Derivation of the last decision."""
        return "" if self._decision is None else explain(self._decision)

    def decide(self, view: View) -> int:
        """Return what ``decide()`` wants of what can be seen."""
        if view.replicas == 0 and self._wake_ms is not None and view.at_ms % self._wake_ms:
            return 0
        decision = self.follow(self._observed(view))
        return view.replicas if self.policy.shadow else decision.desired_replicas

    def follow(self, seen: Observation) -> Decision:
        """Return what ``decide()`` makes of an observation, and remember it."""
        decision, self._memory = decide(self.policy, self._memory, seen)
        self._decision = decision
        if self.decisions is not None:
            self.decisions.append(decision)
        return decision

    def applied(self, at: float, *, succeeded: bool) -> None:
        """Record what became of the last decision."""
        assert self._decision is not None
        self._memory = record_rescale(
            self.policy,
            self._memory,
            self._decision,
            at,
            succeeded=succeeded,
            error="" if succeeded else "the API server does not answer",
        )

    def _observed(self, view: View) -> Observation:
        return Observation(
            at=view.at,
            spec_replicas=view.replicas,
            status_replicas=view.replicas,
            readings={
                metric.spec.name: self._reading(metric, item, view) for metric, item in self.metrics
            },
            ready_pods=view.serving,
            total_pods=view.replicas,
            pods=_pods(view) if self._needs_pods else (),
        )

    def _reading(self, metric: MetricPolicy, item: Watched, view: View) -> Reading:
        if item.clock is not None:
            return item.clock(view.at)
        measured = view.signals[item.signal]
        name = metric.spec.name
        sampled_at = view.at - (view.at_ms - measured.at_ms) / 1000
        if measured.value is None:
            return Reading.failed(name, f"signal {item.signal} has no value", sampled_at)
        if metric.spec.source in {MetricSource.EXTERNAL, MetricSource.OBJECT}:
            return Reading.of(name, measured.value * item.factor, sampled_at)
        return Reading(
            metric=name,
            sampled_at=sampled_at,
            samples=_samples(view, measured, item.factor, sampled_at),
        )


def _pods(view: View) -> tuple[Pod, ...]:
    requests = {"cpu": REQUEST_MILLI, "memory": REQUEST_MILLI}
    container = (Container(name="app", requests_milli=requests),)
    return tuple(
        Pod(
            name=f"pod-{index}",
            phase="Running" if index < view.serving else "Pending",
            ready_changed_at=0.0,
            started_at=0.0,
            containers=container,
        )
        for index in range(view.replicas)
    )


def _samples(
    view: View, measured: Measured, factor: float, sampled_at: float
) -> tuple[PodSample, ...]:
    assert measured.value is not None
    used = int(measured.value * factor * REQUEST_MILLI)
    return tuple(
        PodSample(pod=f"pod-{index}", value_milli=used, sampled_at=sampled_at)
        for index in range(view.serving)
    )
