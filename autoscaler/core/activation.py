"""Activation: is there work at all, and what follows for zero, idle and the minimum.

The stage decides the steps the HPA arithmetic cannot take (leaving and entering zero or idle
replicas) and hands everything else over to it. Conditions and events are KEDA's, as dashboards and
alerts match on them; a condition is rewritten when its status changes, as KEDA does.

One thing is different on purpose: a failing trigger never lowers the replicas. KEDA goes to zero
on failures below the fallback threshold when ``fallback.replicas`` is 0.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from autoscaler.core.fallback import COMPOSITE_METRIC, FallbackOutcome
from autoscaler.core.model import (
    Condition,
    DecisionEvent,
    MetricPolicy,
    MetricSource,
    Policy,
    Reading,
    Step,
)
from autoscaler.core.modifiers import Composite

READY: Final = Condition(
    "Ready",
    "True",
    "ScaledObjectReady",
    "ScaledObject is defined correctly and is ready for scaling",
)
PARTIAL_ERROR: Final = Condition(
    "Ready",
    "Unknown",
    "PartialTriggerError",
    "Some triggers defined in ScaledObject are not working correctly",
)
TRIGGER_ERROR: Final = Condition(
    "Ready",
    "False",
    "TriggerError",
    "Triggers defined in ScaledObject are not working correctly",
)
ACTIVE: Final = Condition(
    "Active", "True", "ScalerActive", "Scaling is performed because triggers are active"
)
FORCED: Final = Condition(
    "Active",
    "True",
    "ScalerActive",
    "Scaling is performed because activation is being forced by annotation",
)
INACTIVE: Final = Condition(
    "Active", "False", "ScalerNotActive", "Scaling is not performed because triggers are not active"
)
COOLING_DOWN: Final = Condition(
    "Active", "False", "ScalerCooldown", "Scaler cooling down because triggers are not active"
)
PAUSED: Final = Condition("Paused", "True", "ScaledObjectPaused", "ScaledObject is paused")
UNPAUSED: Final = Condition("Paused", "False", "ScaledObjectUnpaused", "ScaledObject is unpaused")

_STAGE: Final = "activation"
_JUST_AFTER_SECONDS: Final = 0.001
"""A cooldown has to be over, not just ending, before it counts."""


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """Whether there is work.

    Attributes:
        is_active: Some trigger is active or in fallback.
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
    is_error = False
    has_external = False
    active: list[str] = []
    for metric in policy.metrics:
        if metric.spec.source is not MetricSource.EXTERNAL:
            continue
        has_external = True
        name = metric.spec.name
        reading = outcome.readings[name]
        if name in outcome.active_metrics:
            active.append(name)
        elif reading.error is not None:
            is_error = True
        elif is_active_reading(metric, reading):
            active.append(name)
    is_active = bool(active)
    if composite.is_active is not None:
        is_error = is_error or composite.readings[COMPOSITE_METRIC].error is not None
        is_active = composite.is_active and not is_error
        active = [COMPOSITE_METRIC] if is_active else []
    if not has_external and not is_error:
        is_active = True
    return Activity(is_active=is_active, is_error=is_error, active_triggers=tuple(active))


def is_active_reading(metric: MetricPolicy, reading: Reading) -> bool:
    """Say whether a good reading makes its trigger active: by its own verdict or its value."""
    if reading.active is not None:
        return reading.active
    return reading.value is not None and reading.value > metric.spec.activation_value


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
    known = _with_pause(policy, conditions)
    if not work.is_error:
        known = _with_status(known, READY)
    situation = _Situation(
        policy,
        work,
        at=at,
        current=current_replicas,
        last_active_at=last_active_at,
        conditions=known,
    )
    if policy.pause.replicas is not None or policy.pause.paused:
        return situation.pause()
    if work.is_active or policy.force_activation:
        return situation.is_working()
    return situation.has_no_work()


class _Situation:
    """One call's inputs, so that each branch reads as one decision."""

    __slots__ = ("at", "conditions", "current", "last_active_at", "policy", "work")

    def __init__(
        self,
        policy: Policy,
        work: Activity,
        *,
        at: float,
        current: int,
        last_active_at: float | None,
        conditions: tuple[Condition, ...],
    ) -> None:
        self.policy = policy
        self.work = work
        self.at = at
        self.current = current
        self.last_active_at = last_active_at
        self.conditions = conditions

    def pause(self) -> ActivationOutcome:
        """Go to the replicas the annotation names, or stay."""
        wanted = self.policy.pause.replicas
        if wanted is None or wanted == self.current:
            return self._stay(Action.HOLD, "Paused", "paused by annotation")
        return self._scale(wanted, "PausedReplicas", "paused by annotation at {0} replicas")

    def is_working(self) -> ActivationOutcome:
        """There is work: leave zero or idle, or let the metrics decide."""
        policy, work = self.policy, self.work
        self.conditions = _with_status(self.conditions, ACTIVE if work.is_active else FORCED)
        is_below = policy.idle_replicas is not None and self.current < policy.min_replicas
        if is_below or self.current == 0:
            if policy.pause.scale_out:
                return self._stay(Action.HOLD, "ScaleOutPaused", "scaling out is paused")
            self.last_active_at = self.at
            replicas = max(1, policy.min_replicas)
            event = activated_event(policy, self.current, replicas, work.active_triggers)
            return self._scale(replicas, "Activated", "there is work", event)
        if work.is_error:
            self.conditions = _with_status(self.conditions, PARTIAL_ERROR)
            return self._stay(
                Action.METRICS, "PartialError", "some triggers fail, others have work"
            )
        self.last_active_at = self.at
        return self._stay(Action.METRICS, "Active", "there is work")

    def has_no_work(self) -> ActivationOutcome:
        """There is no work: cool down to zero or idle, or keep the minimum."""
        policy = self.policy
        idle = policy.idle_replicas
        if self.work.is_error:
            return self._has_failing_triggers()
        if (idle is not None and self.current > idle) or (
            self.current > 0 and policy.min_replicas == 0
        ):
            return self._retire(idle or 0)
        self.conditions = _with_status(self.conditions, INACTIVE)
        if idle is None and self.current < policy.min_replicas:
            return self._raise_to_minimum()
        return self._rest("Inactive", "there is no work")

    def _has_failing_triggers(self) -> ActivationOutcome:
        policy = self.policy
        if policy.fallback is None:
            self.conditions = _with_status(self.conditions, TRIGGER_ERROR)
        self.conditions = _with_status(self.conditions, INACTIVE)
        keeps_minimum = policy.fallback is not None and policy.fallback.replicas == 0
        if keeps_minimum and policy.idle_replicas is None and self.current < policy.min_replicas:
            return self._raise_to_minimum()
        return self._rest("TriggerError", "triggers fail and none has work: nothing is lowered")

    def _retire(self, target: int) -> ActivationOutcome:
        """Go to zero or idle once the cooldown is over."""
        policy = self.policy
        if policy.pause.scale_in:
            self.conditions = _with_status(self.conditions, INACTIVE)
            return self._stay(Action.METRICS, "ScaleInPaused", "scaling in is paused")
        if self.last_active_at is None:
            until = policy.created_at + policy.initial_cooldown_seconds
        else:
            until = self.last_active_at + policy.cooldown_seconds
        if until < self.at:
            self.conditions = _with_condition(self.conditions, INACTIVE)
            event = deactivated_event(policy, self.current, target)
            return self._scale(target, "Deactivated", "no work and the cooldown is over", event)
        self.conditions = _with_reason(self.conditions, COOLING_DOWN)
        left = until - self.at
        text = "no work; the cooldown lasts {0:.0f} s more"
        return ActivationOutcome(
            action=Action.METRICS,
            replicas=self.current,
            last_active_at=self.last_active_at,
            conditions=self.conditions,
            step=Step(_STAGE, self.current, self.current, "CoolingDown", text, (left,)),
            requeue_after_seconds=left + _JUST_AFTER_SECONDS,
        )

    def _raise_to_minimum(self) -> ActivationOutcome:
        minimum = self.policy.min_replicas
        if self.policy.pause.scale_out:
            return self._stay(Action.HOLD, "ScaleOutPaused", "scaling out is paused")
        return self._scale(minimum, "BelowMinimum", "fewer replicas than the minimum {0}")

    def _rest(self, code: str, text: str) -> ActivationOutcome:
        """Hold at zero or idle; above it the metrics decide."""
        resting = self.current <= (self.policy.idle_replicas or 0)
        return self._stay(Action.HOLD if resting else Action.METRICS, code, text)

    def _stay(self, action: Action, code: str, text: str) -> ActivationOutcome:
        return ActivationOutcome(
            action=action,
            replicas=self.current,
            last_active_at=self.last_active_at,
            conditions=self.conditions,
            step=Step(_STAGE, self.current, self.current, code, text),
        )

    def _scale(
        self, replicas: int, code: str, text: str, *events: DecisionEvent
    ) -> ActivationOutcome:
        return ActivationOutcome(
            action=Action.SCALE,
            replicas=replicas,
            last_active_at=self.last_active_at,
            conditions=self.conditions,
            events=events,
            step=Step(_STAGE, self.current, replicas, code, text, (replicas,)),
        )


def _with_pause(policy: Policy, conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """Return the conditions with Paused; an object that was never paused has none."""
    pause = policy.pause
    if pause.paused or pause.replicas is not None or pause.scale_in or pause.scale_out:
        return _with_status(conditions, PAUSED)
    if any(known.type == PAUSED.type for known in conditions):
        return _with_status(conditions, UNPAUSED)
    return conditions


def _find(conditions: tuple[Condition, ...], kind: str) -> Condition | None:
    for known in conditions:
        if known.type == kind:
            return known
    return None


def _with_status(conditions: tuple[Condition, ...], wanted: Condition) -> tuple[Condition, ...]:
    """Return the conditions with ``wanted`` in place of one of another status."""
    known = _find(conditions, wanted.type)
    if known is not None and known.status == wanted.status:
        return conditions
    return _with_condition(conditions, wanted)


def _with_reason(conditions: tuple[Condition, ...], wanted: Condition) -> tuple[Condition, ...]:
    """Return the conditions with ``wanted`` in place of one of another status or reason."""
    known = _find(conditions, wanted.type)
    if known is not None and (known.status, known.reason) == (wanted.status, wanted.reason):
        return conditions
    return _with_condition(conditions, wanted)


def _with_condition(conditions: tuple[Condition, ...], wanted: Condition) -> tuple[Condition, ...]:
    known = _find(conditions, wanted.type)
    if known is None:
        return (*conditions, wanted)
    if known == wanted:
        return conditions
    return tuple(wanted if item is known else item for item in conditions)


def activated_event(
    policy: Policy, before: int, after: int, triggers: tuple[str, ...]
) -> DecisionEvent:
    """Return the event for leaving zero or idle."""
    cause = (
        "caused by forced activation annotation"
        if policy.force_activation
        else f"triggered by {', '.join(triggers)}"
    )
    message = f"Scaled {_target(policy)} from {before} to {after}, {cause}"
    return DecisionEvent("Normal", "KEDAScaleTargetActivated", message)


def deactivated_event(policy: Policy, before: int, after: int) -> DecisionEvent:
    """Return the event for going to zero or idle."""
    message = f"Deactivated {_target(policy)} from {before} to {after}"
    return DecisionEvent("Normal", "KEDAScaleTargetDeactivated", message)


def write_failed_event(policy: Policy, before: int, after: int) -> DecisionEvent:
    """Return the event for an activation or deactivation that could not be written."""
    if after > before:
        reason, verb = "KEDAScaleTargetActivationFailed", "scale"
    else:
        reason, verb = "KEDAScaleTargetDeactivationFailed", "deactivate"
    message = f"Failed to {verb} {_target(policy)} from {before} to {after}"
    return DecisionEvent("Warning", reason, message)


def _target(policy: Policy) -> str:
    return policy.scale_target or policy.key
