"""Whether a decision can be told though nobody knows what the target has.

Without a cluster, or where KEDA's object cannot be seen, a server that starts does not know the
count. Metrics that were all read lead to one that needs none before it. Everything else a decision
may come to is a count held, or one that goes by the count before: told from an invented one, it
would scale down what it was to protect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from autoscaler.core.fallback import COMPOSITE_METRIC, FallbackOutcome, apply_fallback
from autoscaler.core.model import FallbackBehavior, Memory, Policy, Reading
from autoscaler.core.modifiers import compose
from autoscaler.core.readings import fresh_readings
from autoscaler.external.served import errors_in

RELATIVE: Final = frozenset(
    {
        FallbackBehavior.CURRENT_REPLICAS,
        FallbackBehavior.CURRENT_REPLICAS_IF_HIGHER,
        FallbackBehavior.CURRENT_REPLICAS_IF_LOWER,
    }
)
UNKNOWN: Final = "what the target has is not known"


def doubt(policy: Policy, memory: Memory, readings: Mapping[str, Reading], at: float) -> str:
    """Return why a decision made from no known count must not be told; empty = it may.

    Args:
        policy: Decided for.
        memory: Returned with the decision.
        readings: It was made from.
        at: When, epoch seconds.
    """
    pause = policy.pause
    if pause.replicas is not None:
        return ""
    if pause.paused or pause.scale_in or pause.scale_out:
        return f"{UNKNOWN}, and annotations ask to keep it"
    usable = fresh_readings(policy.metrics, readings, at)
    fallen = apply_fallback(policy, memory.health, usable, current_replicas=0, ready_pods=0)
    why = _unread(policy, usable, fallen) or _failing_formula(policy, fallen, at)
    return f"{UNKNOWN}, and {why}" if why else ""


def _unread(policy: Policy, usable: Mapping[str, Reading], fallen: FallbackOutcome) -> str:
    """Return which metric has no value, nor one that stands in whatever the count."""
    if not policy.metrics:
        return "there is no metric"
    failing = [m.spec.name for m in policy.metrics if usable[m.spec.name].error is not None]
    if any(name not in fallen.active_metrics for name in failing):
        return f"not every metric could be read: {errors_in(policy, usable)}"
    if failing and policy.fallback is not None and policy.fallback.behavior in RELATIVE:
        behavior = policy.fallback.behavior
        return f"fallback.behavior {behavior} goes by it: {errors_in(policy, usable)}"
    return ""


def _failing_formula(policy: Policy, fallen: FallbackOutcome, at: float) -> str:
    """Return what is wrong with the result of the formula, if anything is."""
    if policy.modifiers is None:
        return ""
    error = compose(policy, fallen, at=at).readings[COMPOSITE_METRIC].error
    return f"the formula fails: {error}" if error is not None else ""
