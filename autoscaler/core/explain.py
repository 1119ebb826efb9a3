"""A decision in words, as a table and as JSON, rendered from the steps it carries."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from autoscaler.core.model import Decision, Proposal


class Row(NamedTuple):
    """One line of the derivation; empty cells say that a stage changed nothing."""

    stage: str
    before: str
    after: str
    why: str


def explain(decision: Decision) -> str:
    """Return one sentence: what is done and every reason for it, in the order they applied."""
    return f"{_headline(decision)}: {'; '.join(_reasons(decision))}"


def explain_table(decision: Decision) -> list[Row]:
    """Return the derivation, one row per metric and per stage that changed or held something."""
    rows = [
        Row("metric", "", _cell(proposal.replicas), _metric(proposal))
        for proposal in decision.proposals
    ]
    rows += [
        Row(step.stage, _cell(step.before), _cell(step.after), step.render())
        for step in decision.steps
    ]
    current, desired = decision.current_replicas, decision.desired_replicas
    return [*rows, Row("decision", str(current), str(desired), _headline(decision))]


def explain_json(decision: Decision) -> dict[str, Any]:
    """Return the decision as plain JSON types, sentences rendered."""
    return {
        "at": decision.at,
        "currentReplicas": decision.current_replicas,
        "desiredReplicas": decision.desired_replicas,
        "summary": explain(decision),
        "rescaleReason": decision.rescale_reason,
        "isActive": decision.is_active,
        "activeTriggers": [*decision.active_triggers],
        "proposals": [
            {
                "metric": proposal.metric,
                "replicas": proposal.replicas,
                "description": proposal.description,
                "currentMilli": proposal.current_milli,
                "currentUtilization": proposal.current_utilization,
                "error": proposal.error,
                "errorReason": proposal.error_reason,
            }
            for proposal in decision.proposals
        ],
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
        "requeueAfterSeconds": decision.requeue_after_seconds,
    }


def _headline(decision: Decision) -> str:
    current, desired = decision.current_replicas, decision.desired_replicas
    if current == desired:
        return f"staying at {current}"
    return f"scaling from {current} to {desired}"


def _reasons(decision: Decision) -> list[str]:
    """Return the sentences of the steps; without any that concerns the metrics, what they ask."""
    reasons = [text for step in decision.steps if (text := step.render())]
    if not any(step.stage == "combine" for step in decision.steps):
        reasons += [_metric(proposal) for proposal in decision.proposals]
    return reasons or ["nothing asks for a change"]


def _metric(proposal: Proposal) -> str:
    if proposal.replicas is None:
        return f"{proposal.metric} failed: {proposal.error}"
    return f"{proposal.metric} asks for {proposal.replicas}"


def _cell(replicas: int | None) -> str:
    return "" if replicas is None else str(replicas)
