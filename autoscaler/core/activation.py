"""Activation: is there work at all, and what follows for zero, idle and the minimum.

The stage decides the steps the HPA arithmetic cannot take (leaving and entering zero or idle
replicas) and hands everything else over to it.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from autoscaler.core.fallback import FallbackOutcome
from autoscaler.core.model import Condition, DecisionEvent, Policy, Step
from autoscaler.core.modifiers import Composite


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """Whether there is work.

    Attributes:
        is_active: Some trigger is active or in fallback, or activation is forced.
        is_error: Some trigger failed and no stand-in value covers it.
        active_triggers: Metric names, in policy order; ``composite-metric`` with modifiers.
    """

    is_active: bool
    is_error: bool
    active_triggers: tuple[str, ...] = ()


class Action(StrEnum):
    """What the activation stage wants."""

    SCALE = "scale"
    """Go to ``replicas``; the HPA arithmetic may only raise it (``Activation.DIRECT``)."""
    METRICS = "metrics"
    """The HPA arithmetic decides, between max(1, min) and max."""
    HOLD = "hold"
    """Keep the current replicas."""


class ActivationOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The stage's verdict.

    Attributes:
        replicas: With ``SCALE`` where to go, else the current replicas.
        last_active_at: For ``Memory``.
        conditions: The previous conditions with Ready, Active and Paused brought up to date; the
            same tuple when nothing changed.
        events: Due when exactly ``replicas`` is written (see :func:`activated_event` and
            :func:`deactivated_event` for other counts).
        step: What was decided and why.
        requeue_after_seconds: When a running cooldown ends, else None.
    """

    action: Action
    replicas: int
    last_active_at: float | None
    conditions: tuple[Condition, ...]
    events: tuple[DecisionEvent, ...] = ()
    step: Step
    requeue_after_seconds: float | None = None


def activity(policy: Policy, outcome: FallbackOutcome, composite: Composite) -> Activity:
    """Say whether there is work.

    Args:
        policy: Of the object.
        outcome: Result of the fallback stage.
        composite: Result of the formula stage.
    """
    raise NotImplementedError


def activate(
    policy: Policy,
    work: Activity,
    *,
    at: float,
    current_replicas: int,
    last_active_at: float | None,
    conditions: tuple[Condition, ...],
) -> ActivationOutcome:
    """Decide about zero, idle, minimum and pause.

    Args:
        policy: Of the object.
        work: Result of :func:`activity`.
        at: Now, epoch seconds.
        current_replicas: ``spec.replicas`` of the scale target.
        last_active_at: From ``Memory``.
        conditions: From ``Memory``; other types than KEDA's are kept in place.
    """
    raise NotImplementedError


def activated_event(
    policy: Policy, before: int, after: int, triggers: tuple[str, ...]
) -> DecisionEvent:
    """Return the event for leaving zero or idle."""
    raise NotImplementedError


def deactivated_event(policy: Policy, before: int, after: int) -> DecisionEvent:
    """Return the event for going to zero or idle."""
    raise NotImplementedError
