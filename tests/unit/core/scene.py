"""A small stage for decisions: one policy, one target, time that moves on command."""

from __future__ import annotations

from autoscaler.core.decide import decide, record_rescale
from autoscaler.core.model import (
    Activation,
    Behavior,
    Decision,
    HpaSettings,
    Memory,
    MetricPolicy,
    MetricSpec,
    Observation,
    Policy,
    PolicyType,
    Reading,
    ScalingPolicy,
    ScalingRules,
)

START = 1_700_000_000.0
JUMPING = HpaSettings(default_scale_up_limit=False)


def metric(name: str = "s0-redis-jobs", **fields: object) -> MetricPolicy:
    """Return an External metric with ten per replica as its target."""
    spec = MetricSpec(name=name, target_milli=10_000)
    return MetricPolicy(spec=spec, **fields)  # type: ignore[arg-type]


def policy(**fields: object) -> Policy:
    """Return a policy of one queue, 0 to 20 replicas, 60 s of cooldown, no doubling limit."""
    known: dict[str, object] = {
        "key": "shop/worker",
        "max_replicas": 20,
        "metrics": (metric(),),
        "cooldown_seconds": 60.0,
        "hpa": JUMPING,
        **fields,
    }
    return Policy(**known)  # type: ignore[arg-type]


def pods_per_minute(count: int, *, up_window: int = 0, down_window: int = 0) -> Behavior:
    """Return a behavior that changes at most ``count`` pods per minute in each direction."""
    rule = ScalingPolicy(type=PolicyType.PODS, value=count, period_seconds=60)
    return Behavior(
        scale_up=ScalingRules(policies=(rule,), stabilization_window_seconds=up_window),
        scale_down=ScalingRules(policies=(rule,), stabilization_window_seconds=down_window),
    )


class Scene:
    """A target that is decided on and scaled."""

    def __init__(self, policy: Policy, replicas: int = 0, memory: Memory | None = None) -> None:
        self.policy = policy
        self.replicas = replicas
        self.memory = memory or Memory()
        self.at = START

    def see(self, *values: float | None, **fields: object) -> Observation:
        """Return what is seen now; None is a failed read, values are per metric."""
        readings = {}
        for own, value in zip(self.policy.metrics, values, strict=True):
            name = own.spec.name
            readings[name] = (
                Reading.failed(name, "connection refused", self.at)
                if value is None
                else Reading.of(name, value, self.at)
            )
        known: dict[str, object] = {
            "at": self.at,
            "spec_replicas": self.replicas,
            "status_replicas": self.replicas,
            "ready_pods": self.replicas,
            "total_pods": self.replicas,
            "readings": readings,
            **fields,
        }
        return Observation(**known)  # type: ignore[arg-type]

    def decide(self, *values: float | None, after: float = 0.0, **fields: object) -> Decision:
        """Let time pass, decide, and apply what was decided."""
        self.at += after
        decision, self.memory = decide(self.policy, self.memory, self.see(*values, **fields))
        if decision.is_rescale:
            self.memory = record_rescale(
                self.policy, self.memory, decision, self.at, succeeded=True
            )
            self.replicas = decision.desired_replicas
        return decision


def codes(decision: Decision) -> list[str]:
    """Return the codes of a decision's steps."""
    return [step.code for step in decision.steps]


def condition(decision: Decision, kind: str) -> str:
    """Return a condition as ``Status:Reason``."""
    found = next(item for item in decision.conditions if item.type == kind)
    return f"{found.status}:{found.reason}"


__all__ = ["Activation", "Scene", "START", "codes", "condition", "metric", "policy",
           "pods_per_minute"]  # fmt: skip
