"""A decision about jobs in words and as JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from autoscaler.core.jobs import JobDecision


def explain_jobs(decision: JobDecision) -> str:
    """Return one sentence: what is done and why."""
    reasons = "; ".join(text for step in decision.steps if (text := step.render()))
    return f"{_headline(decision)}: {reasons}" if reasons else _headline(decision)


def explain_jobs_json(decision: JobDecision) -> dict[str, Any]:
    """Return the decision as plain JSON types, sentences rendered."""
    counts, load = decision.counts, decision.load
    return {
        "at": decision.at,
        "summary": explain_jobs(decision),
        "runningJobs": counts.running if counts else None,
        "pendingJobs": counts.pending if counts else None,
        "jobsToCreate": decision.create,
        "jobsToDelete": [*decision.delete],
        "jobsToRollOut": [*decision.roll_out],
        "queueLength": load.queue_length,
        "queueWorthJobs": load.max_jobs,
        "isActive": decision.is_active,
        "activeTriggers": [*decision.active_triggers],
        "steps": [
            {
                "stage": step.stage,
                "before": step.before,
                "after": step.after,
                "code": step.code,
                "text": step.render(),
            }
            for step in decision.steps
        ],
        "conditions": [msgspec.to_builtins(item) for item in decision.conditions],
        "events": [msgspec.to_builtins(item) for item in decision.events],
    }


def _headline(decision: JobDecision) -> str:
    parts = [f"creating {_jobs(decision.create)}" if decision.create else ""]
    if decision.roll_out:
        parts.append(f"deleting {_jobs(len(decision.roll_out))} of an older generation")
    if decision.delete:
        parts.append(f"deleting {_jobs(len(decision.delete))} beyond the history limits")
    return ", ".join(filter(None, parts)) or "creating no jobs"


def _jobs(count: int) -> str:
    return f"{count} job" if count == 1 else f"{count} jobs"
