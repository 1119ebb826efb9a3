"""The decision: policy, memory and observation in; decision and new memory out.

The stages run in one fixed order and never call each other; each notes on the draft what it
changed or held.
"""

from __future__ import annotations

import math

from msgspec.structs import replace

from autoscaler.core import conditions, derivation
from autoscaler.core.activation import activate, activity
from autoscaler.core.courses import Inputs, as_hpa, as_told, is_paused, keep_paused
from autoscaler.core.draft import Draft
from autoscaler.core.fallback import apply_fallback, track_health
from autoscaler.core.model import Activation, Decision, Memory, Observation, Policy
from autoscaler.core.modifiers import compose
from autoscaler.core.readings import usable_readings
from autoscaler.core.rescale import record_rescale
from autoscaler.core.smoothing import smooth

__all__ = ["decide", "record_rescale"]


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
        desired = as_hpa(draft, inputs)
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
        desired = as_told(draft, inputs, verdict)
    if is_paused(policy):
        desired = keep_paused(draft, desired)
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
        ready_pods=seen.ready_pods if seen.pods_error is None else None,
    )
    if outcome.condition is not None:
        draft.put(outcome.condition)
        draft.steps += outcome.steps
    composite = compose(policy, outcome, at=seen.at)
    work = activity(policy, outcome, composite)
    return Inputs(composite.metrics, composite.readings, work, health, smoothing)


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
        scale_target=memory.scale_target,
    )


def _requeue_after(draft: Draft, inputs: Inputs) -> float | None:
    """Return when waiting alone could change a held answer: then, or when a reading goes stale."""
    if draft.wake_at_ms is None:
        return None
    for metric in draft.policy.metrics:
        if metric.freshness_seconds is not None:
            reading = inputs.readings[metric.spec.name]
            if reading.error is None:
                draft.wake_at(math.ceil((reading.sampled_at + metric.freshness_seconds) * 1000) + 1)
    return max(draft.wake_at_ms - draft.now_ms, 0) / 1000
