"""Conditions of a ScaledJob and the events their changes call for, in KEDA's words."""

from __future__ import annotations

from typing import Final

from autoscaler.core.model import Condition, DecisionEvent

READY: Final = Condition(
    "Ready", "True", "ScaledJobReady", "ScaledJob is defined correctly and is ready for scaling"
)
PARTIAL_ERROR: Final = Condition(
    "Ready",
    "Unknown",
    "PartialTriggerError",
    "Some triggers defined in ScaledJob are not working correctly",
)
TRIGGER_ERROR: Final = Condition(
    "Ready",
    "False",
    "TriggerError",
    "Triggers defined in ScaledJob are not working correctly",
)
ACTIVE: Final = Condition(
    "Active", "True", "ScalerActive", "Scaling is performed because triggers are active"
)
INACTIVE: Final = Condition(
    "Active", "False", "ScalerNotActive", "Scaling is not performed because triggers are not active"
)
PAUSED: Final = Condition("Paused", "True", "ScaledJobPaused", "ScaledJob is paused")
UNPAUSED: Final = Condition("Paused", "False", "ScaledJobUnpaused", "ScaledJob is unpaused")


def job_conditions(
    conditions: tuple[Condition, ...], *, is_active: bool, is_error: bool, paused: bool = False
) -> tuple[tuple[Condition, ...], tuple[DecisionEvent, ...]]:
    """Return the conditions after a decision and the events their changes call for.

    A condition is rewritten when its status changes, as KEDA does.
    """
    ready = READY if not is_error else PARTIAL_ERROR if is_active else TRIGGER_ERROR
    wanted = [ready, ACTIVE if is_active else INACTIVE]
    by_type = {known.type: known for known in conditions}
    if paused or PAUSED.type in by_type:
        wanted.append(PAUSED if paused else UNPAUSED)
    events: list[DecisionEvent] = []
    for condition in wanted:
        known = by_type.get(condition.type)
        if known is not None and known.status == condition.status:
            continue
        by_type[condition.type] = condition
        if condition.type == ACTIVE.type:
            reason = "ScaledJobActive" if is_active else "ScaledJobInactive"
            events.append(DecisionEvent("Normal", reason, condition.message))
    return tuple(by_type.values()), tuple(events)


def jobs_created_event(created: int) -> DecisionEvent:
    """Return the event for jobs that have been created; failed creations are not counted."""
    return DecisionEvent("Normal", "KEDAJobsCreated", f"Created {created} jobs")


def jobs_refused_event(refused: int, wanted: int, error: str) -> DecisionEvent:
    """Return the event for jobs that could not be created, one per cause."""
    message = f"Failed to create {refused} of {wanted} jobs: {error}"
    return DecisionEvent("Warning", "KEDAJobCreateFailed", message)


def roll_out_events(wanted: int, deleted: int, error: str) -> tuple[DecisionEvent, ...]:
    """Return the events for jobs of an older generation that were deleted, or should have been.

    Args:
        wanted: Jobs that should have gone.
        deleted: Jobs that went.
        error: Why not all did, else empty.
    """
    reason = "ScaledJobRolloutCleanup"
    begun = DecisionEvent(
        "Normal", f"{reason}Started", f"Deleting {wanted} jobs of an older generation"
    )
    if error:
        text = f"Deleted {deleted} of {wanted} jobs of an older generation: {error}"
        return begun, DecisionEvent("Warning", f"{reason}Failed", text)
    text = f"Deleted {deleted} jobs of an older generation"
    return begun, DecisionEvent("Normal", f"{reason}Completed", text)
