"""What a ScaledJob's status says."""

from __future__ import annotations

from typing import Any, Final

from autoscaler.controller.jobs.binding import JobBinding
from autoscaler.controller.jobs.tracked import JobEntry, TrackedJob
from autoscaler.controller.status import MESSAGE_LIMIT, READY, explained, matters, replaced
from autoscaler.core.explain_jobs import explain_jobs
from autoscaler.core.model import Condition
from autoscaler.errors import shorten
from autoscaler.kube.status import timestamp

READY_REASON: Final = "ScaledJobReady"
CHECK_FAILED_REASON: Final = "ScaledJobCheckFailed"


def job_status(tracked: TrackedJob, binding: JobBinding, entry: JobEntry) -> dict[str, Any]:
    """Return the status fields (without conditions and ``lastDecision``) after a decision."""
    triggers = binding.obj.spec.triggers
    authentications = [t.authentication_ref.name for t in triggers if t.authentication_ref]
    status: dict[str, Any] = {
        "observedGeneration": tracked.item.metadata.generation,
        "externalMetricNames": list(binding.external_metrics),
        "triggersTypes": ",".join(dict.fromkeys(t.type for t in triggers)),
        "authenticationsTypes": ",".join(dict.fromkeys(authentications)) or None,
        "triggersActivity": replaced(
            tracked.item.status.get("triggersActivity"),
            {
                name: {"isActive": name in entry.decision.active_triggers}
                for name in binding.external_metrics
            },
        ),
    }
    if entry.desired is not None:
        status["desiredReplicas"] = entry.desired
    if tracked.memory.last_active_at is not None:
        status["lastActiveTime"] = timestamp(tracked.memory.last_active_at)
    return {name: value for name, value in status.items() if matters(tracked, name, value)}


def last_decision(entry: JobEntry) -> dict[str, Any]:
    """Return the short form of a decision that created jobs."""
    counts = entry.decision.counts
    assert counts is not None, "without counts nothing is created"
    codes = [step.code for step in entry.decision.steps]
    text = explain_jobs(entry.decision)
    return {
        "time": timestamp(entry.decision.at),
        "currentReplicas": counts.running,
        "desiredReplicas": entry.desired,
        "reason": codes[-1] if codes else "Decided",
        "message": f"{entry.error}; {text}" if entry.error else text,
    }


def shown_conditions(tracked: TrackedJob, binding: JobBinding) -> tuple[Condition, ...]:
    """Return the conditions to show: one that is not Ready says why."""
    conditions = explained(binding, tracked.memory.conditions, tracked.readings)
    if not tracked.refusal:
        return conditions
    text = f"jobs cannot be created: {tracked.refusal}"
    not_ready = Condition(READY, "False", CHECK_FAILED_REASON, shorten(text, MESSAGE_LIMIT))
    return tuple(not_ready if c.type == READY else c for c in conditions)
