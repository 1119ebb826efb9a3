"""Small valid objects for tests to bend."""

from __future__ import annotations

import copy
from typing import Any

from autoscaler.api.parse import parse_object
from autoscaler.api.problems import InvalidObject

FLYBALL = "flyball.dev/v1alpha1"
KEDA = "keda.sh/v1alpha1"

REDIS = {"type": "redis", "metadata": {"listName": "jobs", "listLength": "5"}}
CPU = {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}}


def scaled_object(
    spec: dict[str, Any] | None = None, *, api_version: str = FLYBALL, **metadata: Any
) -> dict[str, Any]:
    """Return a ScaledObject with one redis trigger, overridden field by field."""
    return {
        "apiVersion": api_version,
        "kind": "ScaledObject",
        "metadata": {"name": "worker", "namespace": "shop", **metadata},
        "spec": {
            "scaleTargetRef": {"name": "worker"},
            "triggers": [copy.deepcopy(REDIS)],
            **(spec or {}),
        },
    }


def scaled_job(
    spec: dict[str, Any] | None = None, *, api_version: str = FLYBALL, **metadata: Any
) -> dict[str, Any]:
    """Return a ScaledJob with one redis trigger, overridden field by field."""
    pod = {"spec": {"containers": [{"name": "main", "image": "example.com/main"}]}}
    return {
        "apiVersion": api_version,
        "kind": "ScaledJob",
        "metadata": {"name": "conversion", "namespace": "shop", **metadata},
        "spec": {
            "jobTargetRef": {"template": pod},
            "triggers": [copy.deepcopy(REDIS)],
            **(spec or {}),
        },
    }


def authentication(
    spec: dict[str, Any], *, kind: str = "TriggerAuthentication", api_version: str = FLYBALL
) -> dict[str, Any]:
    """Return an authentication object."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "credentials", "namespace": "shop"},
        "spec": spec,
    }


def problems_of(raw: dict[str, Any]) -> dict[str, str]:
    """Return the message by field of everything that makes an object invalid."""
    try:
        parse_object(raw)
    except InvalidObject as error:
        return {problem.field: problem.message for problem in error.problems}
    return {}
