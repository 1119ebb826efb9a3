"""What the service shows of its objects: plain JSON values, read only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autoscaler.controller.journal import Entry, Outcome
from autoscaler.controller.status import CHECK_FAILED_REASON, explained
from autoscaler.controller.tracked import Tracked
from autoscaler.core.explain import explain, explain_json, explain_table
from autoscaler.core.model import Condition, Reading
from autoscaler.kube.status import timestamp


def summary(tracked: Tracked) -> dict[str, Any]:
    """Return one line about an object."""
    meta = tracked.item.metadata
    latest = tracked.journal.latest
    binding = tracked.binding
    return {
        "kind": "ScaledObject",
        "namespace": meta.namespace,
        "name": meta.name,
        "apiVersion": tracked.item.raw.get("apiVersion"),
        "target": binding.target.text if binding else None,
        "problem": tracked.problem or None,
        "isActive": latest.decision.is_active if latest else None,
        "minReplicas": binding.policy.min_replicas if binding else None,
        "maxReplicas": binding.policy.max_replicas if binding else None,
        "currentReplicas": _after(latest) if latest else None,
        "desiredReplicas": latest.decision.desired_replicas if latest else None,
        "decidedAt": latest.decision.at if latest else None,
        "why": tracked.problem or (explain(latest.decision) if latest else "not decided yet"),
    }


def explanation(tracked: Tracked) -> dict[str, Any]:
    """Return everything known about an object's last decisions."""
    binding = tracked.binding
    conditions = tracked.memory.conditions
    if binding is not None:
        conditions = explained(binding, conditions, tracked.readings)
    elif tracked.problem:
        conditions = (Condition("Ready", "False", CHECK_FAILED_REASON, tracked.problem),)
    latest = tracked.journal.latest
    return {
        **summary(tracked),
        "mode": "shadow" if binding and binding.policy.shadow else "active",
        "conditions": [
            {"type": c.type, "status": c.status, "reason": c.reason, "message": c.message}
            for c in conditions
        ],
        "readings": [shown_reading(reading) for reading in tracked.readings.values()],
        "decision": explain_json(latest.decision) if latest else None,
        "outcome": latest.outcome.value if latest else None,
        "error": (latest.error or None) if latest else None,
        "history": [
            {
                "at": entry.decision.at,
                "from": entry.decision.current_replicas,
                "to": entry.decision.desired_replicas,
                "outcome": entry.outcome.value,
                "readings": dict(entry.readings),
                "why": explain(entry.decision),
            }
            for entry in tracked.journal.entries()
        ],
    }


def explanation_text(tracked: Tracked) -> str:
    """Return :func:`explanation` for people."""
    shown = explanation(tracked)
    lines = [f"{shown['namespace']}/{shown['name']}: {shown['why']}"]
    if shown["target"]:
        lines.append(f"target: {shown['target']}, mode {shown['mode']}")
    latest = tracked.journal.latest
    if latest:
        lines += ["", "derivation:", *_table(latest)]
    lines += reading_lines(shown["readings"])
    lines += condition_lines(shown["conditions"])
    past = shown["history"][:-1]
    if past:
        lines += ["", "before (latest first):"]
        lines += [f"  {timestamp(e['at'])} {e['outcome']}: {e['why']}" for e in reversed(past)]
    return "\n".join(lines) + "\n"


def reading_lines(readings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return shown readings as text, under a heading."""
    if not readings:
        return []
    return ["", "readings:", *(f"  {r['metric']}: {_said(r)}" for r in readings)]


def condition_lines(conditions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return shown conditions as text, under a heading."""
    if not conditions:
        return []
    shown = (f"  {c['type']}={c['status']} {c['reason']}: {c['message']}" for c in conditions)
    return ["", "conditions:", *shown]


def _table(entry: Entry) -> list[str]:
    rows = explain_table(entry.decision)
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        "  "
        + "  ".join(
            [row.stage.ljust(widths[0]), row.before.rjust(widths[1]), row.after.rjust(widths[2])]
        )
        + f"  {row.why}"
        for row in rows
    ]


def _said(reading: Mapping[str, Any]) -> str:
    if reading["error"]:
        return f"{reading['errorReason']}: {reading['error']}"
    if reading["pods"]:
        return f"samples of {reading['pods']} pods, read {timestamp(reading['sampledAt'])}"
    return f"{reading['value']:g}, read {timestamp(reading['sampledAt'])}"


def _after(entry: Entry) -> int:
    decision = entry.decision
    is_done = entry.outcome in {Outcome.WRITTEN, Outcome.SERVED}
    return decision.desired_replicas if is_done else decision.current_replicas


def shown_reading(reading: Reading) -> dict[str, Any]:
    """Return a reading as it is shown."""
    return {
        "metric": reading.metric,
        "sampledAt": reading.sampled_at,
        "value": reading.value,
        "pods": len(reading.samples) or None,
        "error": reading.error,
        "errorReason": reading.error_reason or None,
    }
