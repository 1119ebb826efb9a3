"""HPA conditions and events: types, reasons and our wording of the messages.

Reasons are the HPA's, because dashboards and alerts match on them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from autoscaler.core import behavior
from autoscaler.core.model import Condition, DecisionEvent, Proposal

ABLE_TO_SCALE: Final = "AbleToScale"
SCALING_ACTIVE: Final = "ScalingActive"
SCALING_LIMITED: Final = "ScalingLimited"
SCALED_TO_ZERO: Final = "ScaledToZero"

SCALE_READ: Final = Condition(
    ABLE_TO_SCALE, "True", "SucceededGetScale", "the scale of the target was read"
)
STABILIZED: Final = {
    condition.reason: condition
    for condition in (
        Condition(
            ABLE_TO_SCALE,
            "True",
            behavior.READY_FOR_NEW_SCALE,
            "no recent recommendation stands against the proposed replicas",
        ),
        Condition(
            ABLE_TO_SCALE,
            "True",
            behavior.SCALE_UP_STABILIZED,
            "a lower recommendation within the scale-up window holds the replicas down",
        ),
        Condition(
            ABLE_TO_SCALE,
            "True",
            behavior.SCALE_DOWN_STABILIZED,
            "a higher recommendation within the scale-down window holds the replicas up",
        ),
    )
}
LIMITED: Final = {
    condition.reason: condition
    for condition in (
        Condition(
            SCALING_LIMITED,
            "False",
            behavior.DESIRED_WITHIN_RANGE,
            "the desired replicas are within all limits",
        ),
        Condition(
            SCALING_LIMITED,
            "True",
            behavior.TOO_MANY_REPLICAS,
            "more replicas are wanted than the maximum allows",
        ),
        Condition(
            SCALING_LIMITED,
            "True",
            behavior.TOO_FEW_REPLICAS,
            "fewer replicas are wanted than the minimum allows",
        ),
        Condition(
            SCALING_LIMITED,
            "True",
            behavior.SCALE_UP_LIMIT,
            "scaling up is slowed down by its policies",
        ),
        Condition(
            SCALING_LIMITED,
            "True",
            behavior.SCALE_DOWN_LIMIT,
            "scaling down is slowed down by its policies",
        ),
    )
}
SCALING_DISABLED: Final = Condition(
    SCALING_ACTIVE, "False", "ScalingDisabled", "the target has zero replicas, which pauses scaling"
)
DID_SCALE_TO_ZERO: Final = Condition(
    SCALED_TO_ZERO, "True", "ScaledToZero", "the last rescale went to zero"
)
DID_NOT_SCALE_TO_ZERO: Final = Condition(
    SCALED_TO_ZERO, "False", "NotScaledToZero", "the last rescale did not go to zero"
)

SELECTOR_REQUIRED: Final = "SelectorRequired"
"""``Observation.selector_error`` reason of a scale without selector; a condition says
``InvalidSelector``."""


def is_scaled_to_zero(known: Iterable[Condition]) -> bool:
    """Say whether the last rescale of ours went to zero."""
    return any(item.type == SCALED_TO_ZERO and item.status == "True" for item in known)


def scale_unreadable(error: str) -> Condition:
    """Return the condition of a target whose scale cannot be read."""
    return Condition(
        ABLE_TO_SCALE, "False", "FailedGetScale", f"the scale of the target cannot be read: {error}"
    )


def rescaled(replicas: int) -> Condition:
    """Return the condition after a written scale."""
    return Condition(
        ABLE_TO_SCALE, "True", "SucceededRescale", f"the target was scaled to {replicas}"
    )


def rescale_failed(error: str) -> Condition:
    """Return the condition after a scale that could not be written."""
    return Condition(
        ABLE_TO_SCALE,
        "False",
        "FailedUpdateScale",
        f"the scale of the target cannot be written: {error}",
    )


def metric_found(chosen: Proposal) -> Condition:
    """Return the condition of a usable merged proposal."""
    return Condition(
        SCALING_ACTIVE, "True", "ValidMetricFound", f"replicas follow {chosen.description}"
    )


def metrics_failed(first: Proposal) -> Condition:
    """Return the condition of metrics that may not be acted upon."""
    return Condition(
        SCALING_ACTIVE, "False", first.error_reason, f"no replica count: {first.error}"
    )


def selector_failed(reason: str, message: str) -> Condition:
    """Return the condition of a scale target whose pods cannot be told."""
    return Condition(
        SCALING_ACTIVE,
        "False",
        "InvalidSelector" if reason == SELECTOR_REQUIRED else reason,
        message,
    )


def failure_events(proposals: Iterable[Proposal]) -> list[DecisionEvent]:
    """Return one warning per failing metric."""
    return [
        DecisionEvent("Warning", proposal.error_reason, proposal.error)
        for proposal in proposals
        if proposal.replicas is None
    ]


def not_computed_event(first: Proposal, failures: int, of: int) -> DecisionEvent:
    """Return the warning that failing metrics leave nothing to act upon."""
    return DecisionEvent(
        "Warning",
        "FailedComputeMetricsReplicas",
        f"{failures} of {of} metrics failed, the first of them: {first.error}",
    )


def selector_events(reason: str, message: str) -> list[DecisionEvent]:
    """Return the warnings for a scale target whose pods cannot be told."""
    return [
        DecisionEvent("Warning", reason, message),
        DecisionEvent("Warning", "FailedComputeMetricsReplicas", message),
    ]


def scale_unreadable_event(error: str) -> DecisionEvent:
    """Return the warning that the scale cannot be read."""
    return DecisionEvent("Warning", "FailedGetScale", error)


def rescaled_event(replicas: int, reason: str) -> DecisionEvent:
    """Return the event of a written scale."""
    return DecisionEvent("Normal", "SuccessfulRescale", f"New size: {replicas}; reason: {reason}")


def rescale_failed_event(replicas: int, reason: str, error: str) -> DecisionEvent:
    """Return the event of a scale that could not be written."""
    return DecisionEvent(
        "Warning", "FailedRescale", f"New size: {replicas}; reason: {reason}; error: {error}"
    )
