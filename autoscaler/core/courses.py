"""How the stages are strung together: for a bare HPA, and under an activation stage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from autoscaler.core import conditions, derivation
from autoscaler.core.activation import (
    Action,
    ActivationOutcome,
    Activity,
    activated_event,
)
from autoscaler.core.draft import Draft
from autoscaler.core.model import (
    Activation,
    Health,
    MetricPolicy,
    Policy,
    Reading,
    SmoothingState,
)
from autoscaler.core.proposal import is_total
from autoscaler.core.stages import (
    ABOVE_MAXIMUM,
    ALL_BELOW_TARGET,
    BELOW_MINIMUM,
    ask_metrics,
    await_sync_period,
    clamp_current,
    normalise,
    remember_start,
)

PAUSED: Final = "paused by annotation"


class Inputs(msgspec.Struct, frozen=True):
    """What the readings say, after freshness, smoothing, fallback and formula."""

    metrics: tuple[MetricPolicy, ...]
    readings: Mapping[str, Reading]
    work: Activity
    health: Mapping[str, Health]
    smoothing: Mapping[str, SmoothingState]


def is_paused(policy: Policy) -> bool:
    """Say whether annotations keep the object from scaling in both directions."""
    return policy.pause.paused or policy.pause.replicas is not None


def as_hpa(draft: Draft, inputs: Inputs) -> int:
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


def as_told(draft: Draft, inputs: Inputs, verdict: ActivationOutcome) -> int:
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
        if current == 0:
            draft.put(conditions.SCALING_DISABLED)
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
    desired = normalise(draft, target, minimum=target, maximum=policy.max_replicas)
    if desired > policy.max_replicas:
        draft.rescale_reason = ABOVE_MAXIMUM
        draft.steps.append(derivation.clamp_step(desired, policy.max_replicas))
        return policy.max_replicas
    if desired == target:
        draft.rescale_events = verdict.events
    return desired


def keep_paused(draft: Draft, desired: int) -> int:
    """Keep a paused object where it should stay; its histories have gone on."""
    replicas = draft.policy.pause.replicas
    result = draft.current if replicas is None else replicas
    if desired != result:
        draft.steps.append(derivation.paused_step(desired, result))
    draft.rescale_reason = "" if result == draft.current else PAUSED
    draft.rescale_events = ()
    draft.wake_at_ms = None
    return result
