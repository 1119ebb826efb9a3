"""A decision in the making: what the stages of one :func:`~autoscaler.core.decide.decide` share."""

from __future__ import annotations

from autoscaler.core.model import (
    Condition,
    DecisionEvent,
    Memory,
    Observation,
    Policy,
    Proposal,
    Recommendation,
    Step,
)


class Draft:
    """Inputs of a decision and what its stages have found so far.

    It lives for one call of ``decide()``; mutable because a decision has to cost microseconds.

    Attributes:
        now_ms: The observation's instant, epoch milliseconds.
        current: ``spec.replicas``.
        recommendations: The history, with this decision's proposal once it is recorded.
        rescale_reason: HPA wording, empty when it gives none.
        rescale_events: Due if the decision is applied; empty = the HPA's event.
        synced: The metrics were acted upon.
        failed: Nothing could be computed; ``Memory.desired_replicas`` stays.
        wake_at_ms: Earliest instant at which the same readings could give another answer, epoch
            milliseconds; None = waiting changes nothing.
    """

    __slots__ = (
        "conditions",
        "current",
        "events",
        "failed",
        "memory",
        "now_ms",
        "policy",
        "proposals",
        "recommendations",
        "rescale_events",
        "rescale_reason",
        "seen",
        "steps",
        "synced",
        "wake_at_ms",
    )

    def __init__(self, policy: Policy, memory: Memory, seen: Observation) -> None:
        self.policy = policy
        self.memory = memory
        self.seen = seen
        self.now_ms = round(seen.at * 1000)
        self.current = seen.spec_replicas
        self.recommendations: tuple[Recommendation, ...] = memory.recommendations
        self.conditions: list[Condition] = [*memory.conditions]
        self.steps: list[Step] = []
        self.events: list[DecisionEvent] = []
        self.proposals: tuple[Proposal, ...] = ()
        self.rescale_reason = ""
        self.rescale_events: tuple[DecisionEvent, ...] = ()
        self.synced = False
        self.failed = False
        self.wake_at_ms: int | None = None

    def put(self, condition: Condition) -> None:
        """Set a condition in place of the one of its type, or append it."""
        put_condition(self.conditions, condition)

    def drop(self, condition_type: str) -> None:
        """Remove the condition of a type, if there is one."""
        drop_condition(self.conditions, condition_type)

    def wake_at(self, instant_ms: int | None) -> None:
        """Note an instant at which the answer could change; the earliest one counts."""
        if instant_ms is not None and (self.wake_at_ms is None or instant_ms < self.wake_at_ms):
            self.wake_at_ms = instant_ms


def put_condition(conditions: list[Condition], condition: Condition) -> None:
    """Set a condition in place of the one of its type, or append it."""
    kind = condition.type
    for index, known in enumerate(conditions):
        if known.type == kind:
            conditions[index] = condition
            return
    conditions.append(condition)


def drop_condition(conditions: list[Condition], condition_type: str) -> None:
    """Remove the condition of a type, if there is one."""
    conditions[:] = [known for known in conditions if known.type != condition_type]
