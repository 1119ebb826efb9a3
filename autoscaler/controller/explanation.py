"""Decisions in words."""

from __future__ import annotations

from typing import Any

from autoscaler.core.model import Decision


def sentence(decision: Decision) -> str:
    """Return a decision's derivation as one text."""
    return "; ".join(step.render() for step in decision.steps)


def decision_json(decision: Decision) -> dict[str, Any]:
    """Return a decision as plain JSON values."""
    return {
        "at": decision.at,
        "currentReplicas": decision.current_replicas,
        "desiredReplicas": decision.desired_replicas,
        "steps": [
            {"stage": s.stage, "before": s.before, "after": s.after, "text": s.render()}
            for s in decision.steps
        ],
    }
