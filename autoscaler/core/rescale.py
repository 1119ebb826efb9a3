"""What became of a decision: called by whoever writes the scale subresource."""

from __future__ import annotations

from msgspec.structs import replace

from autoscaler.core import conditions
from autoscaler.core.activation import write_failed_event
from autoscaler.core.behavior import longest_period_ms
from autoscaler.core.draft import drop_condition, put_condition
from autoscaler.core.history import record_event
from autoscaler.core.model import (
    Activation,
    Behavior,
    Condition,
    Decision,
    DecisionEvent,
    Memory,
    Policy,
    ScaleEvent,
)
from autoscaler.core.proposal import is_total

Histories = tuple[tuple[ScaleEvent, ...], tuple[ScaleEvent, ...]]


def record_rescale(
    policy: Policy,
    memory: Memory,
    decision: Decision,
    at: float,
    *,
    succeeded: bool,
    error: str = "",
) -> Memory:
    """Return the memory after an attempt to write a decision.

    Args:
        policy: The decision was taken for.
        memory: As returned with the decision.
        decision: With ``is_rescale``.
        at: When the write was answered, epoch seconds.
        succeeded: Whether the scale was written.
        error: Why not, for the condition.
    """
    known = [*memory.conditions]
    if not succeeded:
        put_condition(known, conditions.rescale_failed(error or "unknown error"))
        return replace(memory, conditions=tuple(known))
    desired = decision.desired_replicas
    put_condition(known, conditions.rescaled(desired))
    if policy.activation is Activation.HPA:
        _mark_zero(policy, decision, known)
    ups, downs = memory.scale_ups, memory.scale_downs
    if policy.behavior is not None and counts_toward_rates(policy, decision):
        change = desired - decision.current_replicas
        ups, downs = _record(policy.behavior, memory, change, round(at * 1000))
    return replace(
        memory,
        conditions=tuple(known),
        scale_ups=ups,
        scale_downs=downs,
        last_scale_at=at,
        desired_replicas=desired,
    )


def events_after_failure(
    decision: Decision, error: str, *, policy: Policy | None = None
) -> tuple[DecisionEvent, ...]:
    """Return the events due instead of the decision's when its scale could not be written.

    Args:
        decision: With ``is_rescale``.
        error: Why it could not be written.
        policy: Names the scale target in KEDA's events about leaving and entering zero; without
            it every failed write is the HPA's ``FailedRescale``.
    """
    before, after = decision.current_replicas, decision.desired_replicas
    kept = [event for event in decision.events if event.type != "Normal"]
    is_kedas = any(event.reason.startswith("KEDAScaleTarget") for event in decision.events)
    if policy is not None and is_kedas:
        return (*kept, write_failed_event(policy, before, after))
    return (*kept, conditions.rescale_failed_event(after, decision.rescale_reason, error))


def counts_toward_rates(policy: Policy, decision: Decision) -> bool:
    """Say whether a rescale counts toward the scaling policies' periods.

    With ``Activation.MINIMUM`` a jump of the activation stage does not: KEDA makes it behind the
    HPA's back. Everything else we do, counts.
    """
    if policy.activation is not Activation.MINIMUM:
        return True
    desired, current = decision.desired_replicas, decision.current_replicas
    jumped = any(
        step.stage == "activation" and step.before != step.after == desired
        for step in decision.steps
    )
    return not jumped or (desired < current and policy.zero_follows_behavior)


def _record(behavior: Behavior, memory: Memory, change: int, now_ms: int) -> Histories:
    """Return both histories with the change added to the one of its direction."""
    if change > 0:
        longest = longest_period_ms(behavior.scale_up)
        return record_event(memory.scale_ups, change, now_ms, longest), memory.scale_downs
    longest = longest_period_ms(behavior.scale_down)
    return memory.scale_ups, record_event(memory.scale_downs, -change, now_ms, longest)


def _mark_zero(policy: Policy, decision: Decision, known: list[Condition]) -> None:
    """Remember whether it was us who scaled to zero; only then may we leave it again."""
    if not policy.hpa.scale_to_zero:
        drop_condition(known, conditions.SCALED_TO_ZERO)
        return
    went_to_zero = (
        decision.current_replicas > 0
        and decision.desired_replicas == 0
        and policy.min_replicas == 0
        and any(map(is_total, policy.metrics))
    )
    put_condition(
        known,
        conditions.DID_SCALE_TO_ZERO if went_to_zero else conditions.DID_NOT_SCALE_TO_ZERO,
    )
