"""The decision: policy, memory and observation in; decision and new memory out.

The stages run in one fixed order and never call each other; each notes on the draft what it
changed or held.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from autoscaler.core import conditions, derivation
from autoscaler.core.activation import (
    Action,
    ActivationOutcome,
    Activity,
    activate,
    activated_event,
    activity,
)
from autoscaler.core.draft import Draft
from autoscaler.core.fallback import apply_fallback, track_health
from autoscaler.core.model import (
    Activation,
    Decision,
    Health,
    Memory,
    MetricPolicy,
    Observation,
    Policy,
    Reading,
    SmoothingState,
)
from autoscaler.core.modifiers import compose
from autoscaler.core.proposal import is_total
from autoscaler.core.readings import usable_readings
from autoscaler.core.rescale import record_rescale
from autoscaler.core.smoothing import smooth
from autoscaler.core.stages import (
    ALL_BELOW_TARGET,
    BELOW_MINIMUM,
    ask_metrics,
    await_sync_period,
    clamp_current,
    normalise,
    remember_start,
)

__all__ = ["decide", "record_rescale"]

PAUSED: Final = "paused by annotation"


class Inputs(msgspec.Struct, frozen=True):
    """What the readings say, after freshness, smoothing, fallback and formula."""

    metrics: tuple[MetricPolicy, ...]
    readings: Mapping[str, Reading]
    work: Activity
    health: Mapping[str, Health]
    smoothing: Mapping[str, SmoothingState]


def decide(policy: Policy, memory: Memory, seen: Observation) -> tuple[Decision, Memory]:
    """Decide how many replicas a scale target should have.

    Args:
        policy: What the user wants.
        memory: What the previous decision of this object returned; ``Memory()`` at first.
        seen: Everything known now.

    Returns:
        The decision and the memory for the next one. Whoever applies a rescale passes the outcome
        to :func:`record_rescale`.
    """
    draft = Draft(policy, memory, seen)
    if seen.scale_error is not None:
        return _without_scale(draft, seen.scale_error)
    inputs = _read(draft)
    last_active_at = memory.last_active_at
    if policy.activation is Activation.HPA:
        desired = _as_hpa(draft, inputs)
    else:
        verdict = activate(
            policy,
            inputs.work,
            at=seen.at,
            current_replicas=draft.current,
            last_active_at=memory.last_active_at,
            conditions=tuple(draft.conditions),
        )
        last_active_at = verdict.last_active_at
        desired = _as_told(draft, inputs, verdict)
    if is_paused(policy):
        desired = _pause(draft, desired)
    if policy.shadow and desired != draft.current:
        draft.steps.append(derivation.shadow_step(draft.current, desired))
    return _finish(draft, inputs, desired, last_active_at)


def _read(draft: Draft) -> Inputs:
    """Run the stages that turn readings into metrics to act on."""
    policy, memory, seen = draft.policy, draft.memory, draft.seen
    readings = usable_readings(policy, seen)
    readings, smoothing = smooth(policy, memory.smoothing, readings)
    health = track_health(policy, memory.health, readings)
    outcome = apply_fallback(
        policy,
        health,
        readings,
        current_replicas=draft.current,
        ready_pods=seen.ready_pods,
    )
    if outcome.condition is not None:
        draft.put(outcome.condition)
        draft.steps += outcome.steps
    composite = compose(policy, outcome, at=seen.at)
    work = activity(policy, outcome, composite)
    return Inputs(composite.metrics, composite.readings, work, health, smoothing)


def is_paused(policy: Policy) -> bool:
    """Say whether annotations keep the object from scaling in both directions."""
    return policy.pause.paused or policy.pause.replicas is not None


def _as_hpa(draft: Draft, inputs: Inputs) -> int:
    """Decide as a bare HPA does, zero replicas included."""
    policy = draft.policy
    draft.put(conditions.SCALE_READ)
    if draft.current != 0:
        return _govern(draft, inputs, minimum=policy.min_replicas)
    remember_start(draft)
    if not _may_leave_zero(draft):
        if not policy.hpa.scale_to_zero:
            draft.drop(conditions.SCALED_TO_ZERO)
        draft.put(conditions.SCALING_DISABLED)
        draft.steps.append(derivation.disabled_step())
        return 0
    desired = _from_metrics(draft, inputs, minimum=policy.min_replicas)
    if desired >= policy.min_replicas or draft.failed:
        return desired
    draft.rescale_reason = draft.rescale_reason or BELOW_MINIMUM
    draft.steps.append(derivation.floor_step(desired, policy.min_replicas))
    return policy.min_replicas


def _may_leave_zero(draft: Draft) -> bool:
    """Say whether a bare HPA computes metrics at zero: only if it scaled there itself."""
    policy = draft.policy
    if not (policy.hpa.scale_to_zero and conditions.is_scaled_to_zero(draft.conditions)):
        return False
    return policy.min_replicas != 0 or any(map(is_total, policy.metrics))


def _as_told(draft: Draft, inputs: Inputs, verdict: ActivationOutcome) -> int:
    """Follow the activation stage; between minimum and maximum the HPA arithmetic decides."""
    policy, current = draft.policy, draft.current
    draft.conditions = [*verdict.conditions]
    draft.put(conditions.SCALE_READ)
    draft.steps.append(verdict.step)
    if is_paused(policy):
        return _govern(draft, inputs, minimum=max(1, policy.min_replicas))
    if verdict.requeue_after_seconds is not None:
        draft.wake_at(draft.now_ms + math.ceil(verdict.requeue_after_seconds * 1000))
    if verdict.action is Action.METRICS:
        return _govern(draft, inputs, minimum=max(1, policy.min_replicas))
    if verdict.action is Action.HOLD or verdict.replicas == current:
        bound = clamp_current(draft, 0, policy.max_replicas)
        return current if bound is None else bound
    if verdict.replicas > current:
        return _wake(draft, inputs, verdict)
    return _retire(draft, verdict)


def _govern(draft: Draft, inputs: Inputs, *, minimum: int) -> int:
    """Let the HPA arithmetic decide between the bounds; at zero there is nothing to govern."""
    if draft.current == 0:
        return 0
    remember_start(draft)
    bound = clamp_current(draft, minimum, draft.policy.max_replicas)
    return _from_metrics(draft, inputs, minimum=minimum) if bound is None else bound


def _from_metrics(draft: Draft, inputs: Inputs, *, minimum: int) -> int:
    """Return what metrics, windows and limits allow; the current count when they may not act."""
    if await_sync_period(draft):
        return draft.current
    proposed = ask_metrics(draft, inputs.metrics, inputs.readings)
    if proposed is None:
        return draft.current
    return normalise(draft, proposed, minimum=minimum, maximum=draft.policy.max_replicas)


def _wake(draft: Draft, inputs: Inputs, verdict: ActivationOutcome) -> int:
    """Leave zero or idle: to the minimum or (``DIRECT``) straight to what the metrics ask for."""
    policy = draft.policy
    floor = desired = min(verdict.replicas, policy.max_replicas)
    if policy.activation is Activation.DIRECT:
        remember_start(draft)
        metrics = inputs.metrics if draft.current else tuple(filter(is_total, inputs.metrics))
        proposed = ask_metrics(draft, metrics, inputs.readings)
        if proposed is not None:
            allowed = normalise(draft, proposed, minimum=floor, maximum=policy.max_replicas)
            desired = max(floor, allowed)
    if desired == verdict.replicas:
        draft.rescale_events = verdict.events
    elif verdict.events:
        event = activated_event(policy, draft.current, desired, inputs.work.active_triggers)
        draft.rescale_events = (event,)
    return desired


def _retire(draft: Draft, verdict: ActivationOutcome) -> int:
    """Go to zero or idle: in one jump, or as slowly as the behavior's scale-down rules want."""
    policy, target = draft.policy, verdict.replicas
    draft.rescale_reason = ALL_BELOW_TARGET
    if policy.behavior is None or not policy.zero_follows_behavior:
        draft.rescale_events = verdict.events
        return target
    remember_start(draft)
    allowed = normalise(draft, target, minimum=target, maximum=policy.max_replicas)
    desired = min(allowed, policy.max_replicas)
    if desired == target:
        draft.rescale_events = verdict.events
    return desired


def _pause(draft: Draft, desired: int) -> int:
    """Keep a paused object where it should stay; its histories have gone on."""
    replicas = draft.policy.pause.replicas
    result = draft.current if replicas is None else replicas
    if desired != result:
        draft.steps.append(derivation.paused_step(desired, result))
    draft.rescale_reason = "" if result == draft.current else PAUSED
    draft.rescale_events = ()
    draft.wake_at_ms = None
    return result


def _without_scale(draft: Draft, error: str) -> tuple[Decision, Memory]:
    """Decide nothing: the scale could not be read."""
    draft.put(conditions.scale_unreadable(error))
    known = tuple(draft.conditions)
    decision = Decision(
        at=draft.seen.at,
        current_replicas=draft.current,
        desired_replicas=draft.current,
        steps=(derivation.unreadable_step(error),),
        conditions=known,
        events=(conditions.scale_unreadable_event(error),),
    )
    return decision, replace(draft.memory, conditions=known)


def _finish(
    draft: Draft, inputs: Inputs, desired: int, last_active_at: float | None
) -> tuple[Decision, Memory]:
    """Put decision and memory together."""
    memory, seen, current = draft.memory, draft.seen, draft.current
    known = tuple(draft.conditions)
    if desired != current:
        draft.events += draft.rescale_events or (
            conditions.rescaled_event(desired, draft.rescale_reason),
        )
    decision = Decision(
        at=seen.at,
        current_replicas=current,
        desired_replicas=desired,
        proposals=draft.proposals,
        steps=tuple(draft.steps),
        conditions=known,
        events=tuple(draft.events),
        is_active=inputs.work.is_active,
        active_triggers=inputs.work.active_triggers,
        rescale_reason=draft.rescale_reason if desired != current else "",
        requeue_after_seconds=_requeue_after(draft, inputs),
    )
    return decision, Memory(
        recommendations=draft.recommendations,
        scale_ups=memory.scale_ups,
        scale_downs=memory.scale_downs,
        last_active_at=last_active_at,
        last_sync_at=seen.at if draft.synced else memory.last_sync_at,
        last_scale_at=memory.last_scale_at,
        desired_replicas=memory.desired_replicas if draft.failed or desired != current else current,
        conditions=known,
        health=inputs.health,
        smoothing=inputs.smoothing,
    )


def _requeue_after(draft: Draft, inputs: Inputs) -> float | None:
    """Return when waiting alone could change a held answer: then, or when a reading goes stale."""
    if draft.wake_at_ms is None:
        return None
    for metric in inputs.metrics:
        if metric.freshness_seconds is not None:
            reading = inputs.readings[metric.spec.name]
            if reading.error is None:
                draft.wake_at(math.ceil((reading.sampled_at + metric.freshness_seconds) * 1000) + 1)
    return max(draft.wake_at_ms - draft.now_ms, 0) / 1000
