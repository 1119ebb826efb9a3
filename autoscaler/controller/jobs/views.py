"""What the service shows of its ScaledJobs: plain JSON values, read only."""

from __future__ import annotations

from typing import Any

from autoscaler.controller.jobs.status import CHECK_FAILED_REASON, shown_conditions
from autoscaler.controller.jobs.tracked import TrackedJob
from autoscaler.controller.views import condition_lines, reading_lines, shown_reading
from autoscaler.core.explain_jobs import explain_jobs, explain_jobs_json
from autoscaler.core.model import Condition
from autoscaler.kube.status import timestamp

KIND = "ScaledJob"


def job_summary(tracked: TrackedJob) -> dict[str, Any]:
    """Return one line about a ScaledJob."""
    meta = tracked.item.metadata
    latest, binding = tracked.journal.latest, tracked.binding
    counts = latest.decision.counts if latest else None
    policy = binding.policy if binding else None
    return {
        "kind": KIND,
        "namespace": meta.namespace,
        "name": meta.name,
        "apiVersion": tracked.item.raw.get("apiVersion"),
        "target": f'Jobs "{meta.namespace}/{meta.name}-*"' if binding else None,
        "problem": tracked.problem or None,
        "isActive": latest.decision.is_active if latest else None,
        "minReplicas": policy.min_jobs if policy else None,
        "maxReplicas": policy.min_jobs + policy.max_queue_jobs if policy else None,
        "currentReplicas": counts.running if counts else None,
        "desiredReplicas": latest.desired if latest else None,
        "decidedAt": latest.decision.at if latest else None,
        "why": explain_jobs(latest.decision) if latest else tracked.problem or "not decided yet",
    }


def job_explanation(tracked: TrackedJob) -> dict[str, Any]:
    """Return everything known about a ScaledJob's last decisions."""
    conditions = tracked.memory.conditions
    if tracked.binding is not None:
        conditions = shown_conditions(tracked, tracked.binding)
    elif tracked.problem:
        conditions = (Condition("Ready", "False", CHECK_FAILED_REASON, tracked.problem),)
    latest = tracked.journal.latest
    return {
        **job_summary(tracked),
        "mode": "active",
        "conditions": [
            {"type": c.type, "status": c.status, "reason": c.reason, "message": c.message}
            for c in conditions
        ],
        "readings": [shown_reading(reading) for reading in tracked.readings.values()],
        "unsettledJobs": sorted(tracked.unsettled),
        "decision": explain_jobs_json(latest.decision) if latest else None,
        "created": latest.created if latest else None,
        "deleted": latest.deleted if latest else None,
        "error": (latest.error or None) if latest else None,
        "history": [
            {
                "at": entry.decision.at,
                "created": entry.created,
                "deleted": entry.deleted,
                "error": entry.error or None,
                "why": explain_jobs(entry.decision),
            }
            for entry in tracked.journal.entries()
        ],
    }


def job_explanation_text(tracked: TrackedJob) -> str:
    """Return :func:`job_explanation` for people."""
    shown = job_explanation(tracked)
    lines = [f"ScaledJob {shown['namespace']}/{shown['name']}: {shown['why']}"]
    if shown["error"]:
        lines.append(f"failed: {shown['error']}")
    if shown["unsettledJobs"]:
        lines.append(f"asked for without an answer: {', '.join(shown['unsettledJobs'])}")
    lines += reading_lines(shown["readings"])
    lines += condition_lines(shown["conditions"])
    past = shown["history"][:-1]
    if past:
        lines += ["", "before (latest first):"]
        lines += [
            f"  {timestamp(e['at'])} created {e['created']}, deleted {e['deleted']}: {e['why']}"
            for e in reversed(past)
        ]
    return "\n".join(lines) + "\n"
