"""HorizontalPodAutoscaler specs become policies."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.api.hpa import default_hpa_spec, hpa_policy, validate_hpa_spec
from autoscaler.core.model import Activation, HpaSettings, MetricSource, TargetType


def _external(target: dict[str, Any], **metric: Any) -> dict[str, Any]:
    return {"type": "External", "external": {"metric": {"name": "m", **metric}, "target": target}}


def test_a_policy_decides_as_the_hpa() -> None:
    """Bounds, settings and activation are the HPA's own."""
    settings = HpaSettings(tolerance=0.2)
    policy = hpa_policy({"maxReplicas": 7}, settings, key="shop/web")
    assert (policy.min_replicas, policy.max_replicas, policy.key) == (1, 7, "shop/web")
    assert policy.activation is Activation.HPA
    assert policy.hpa is settings
    (cpu,) = policy.metrics
    assert (cpu.spec.source, cpu.spec.target_type, cpu.spec.target_milli) == (
        MetricSource.RESOURCE,
        TargetType.UTILIZATION,
        80,
    )
    assert cpu.spec.description == "cpu resource utilization (percentage of request)"


@pytest.mark.parametrize(
    ("target", "kind", "milli"),
    [
        ({"type": "Value", "value": "2"}, TargetType.VALUE, 2000),
        ({"type": "AverageValue", "averageValue": "1500m"}, TargetType.AVERAGE_VALUE, 1500),
        ({"type": "Value", "averageValue": 3}, TargetType.AVERAGE_VALUE, 3000),
        ({"type": "Utilization", "value": "1u"}, TargetType.VALUE, 1),
    ],
)
def test_the_field_that_is_set_counts(target: dict[str, Any], kind: str, milli: int) -> None:
    """An External target's type is not asked; whichever amount is given is taken."""
    (metric,) = hpa_policy(
        {"maxReplicas": 2, "metrics": [_external(target)]}, HpaSettings()
    ).metrics
    assert (metric.spec.target_type, metric.spec.target_milli) == (kind, milli)


def test_an_object_metric_needs_the_field_of_its_type() -> None:
    """An Object target whose type and field disagree has no amount to compare with."""
    block = {
        "describedObject": {"kind": "Ingress", "name": "main"},
        "metric": {"name": "hits"},
        "target": {"type": "Value", "averageValue": "5"},
    }
    spec = {"maxReplicas": 2, "metrics": [{"type": "Object", "object": block}]}
    (metric,) = hpa_policy(spec, HpaSettings()).metrics
    assert (metric.spec.target_type, metric.spec.target_milli) == (TargetType.UTILIZATION, 0)


def test_selectors_are_described_as_events_show_them() -> None:
    """The description of an External metric contains its selector in Go's notation."""
    selector = {
        "matchLabels": {"b": "2", "a": "1"},
        "matchExpressions": [{"key": "k", "operator": "In", "values": ["x", "y"]}],
    }
    metric = _external({"type": "Value", "value": "1"}, selector=selector)
    (found,) = hpa_policy({"maxReplicas": 2, "metrics": [metric]}, HpaSettings()).metrics
    assert found.spec.description == (
        "external metric m(&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},"
        "MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:k,"
        "Operator:In,Values:[x y],},},})"
    )


def test_defaulting_twice_changes_nothing() -> None:
    """A stored spec is already complete."""
    once = default_hpa_spec({"maxReplicas": 3, "behavior": {}})
    assert default_hpa_spec(once) == once


@pytest.mark.parametrize(
    ("metric", "field"),
    [
        (_external({"value": "1"}), "external.target.type"),
        (_external({"type": "Value", "value": "many"}), "external.target.value"),
        (
            {"type": "Resource", "resource": {"name": "", "target": {"type": "Utilization"}}},
            "resource.name",
        ),
        (
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}},
            "resource.target.averageUtilization",
        ),
        (
            {
                "type": "Object",
                "object": {
                    "describedObject": {"kind": "a/b", "name": "x", "apiVersion": "a/b/c"},
                    "metric": {"name": "m"},
                    "target": {"type": "Value"},
                },
            },
            "object.describedObject.apiVersion",
        ),
    ],
)
def test_refusals_beyond_the_vectors(metric: dict[str, Any], field: str) -> None:
    """Rules the recorded cases do not reach are checked as well."""
    problems = validate_hpa_spec({"maxReplicas": 1, "metrics": [metric]})
    assert f"spec.metrics[0].{field}" in {problem.field for problem in problems}


def test_the_scale_target_is_checked_when_given() -> None:
    """A target reference without a name is refused."""
    spec = default_hpa_spec({"maxReplicas": 1, "scaleTargetRef": {"kind": "Deployment"}})
    assert [problem.field for problem in validate_hpa_spec(spec)] == ["spec.scaleTargetRef.name"]
