"""A case as manifests: the Deployment shape, the HPA and our object."""

from __future__ import annotations

from typing import Any

from tests.e2e.hpa.cases import REQUEST_MILLI, Case, Metric
from tests.e2e.hpa.timing import POLLING_SECONDS
from tests.e2e.objects import PAUSE_IMAGE

GROUPS = {"external.metrics.k8s.io": "v1beta1", "metrics.k8s.io": "v1beta1"}
"""What the adapter serves behind the API server."""


def deployment(name: str, replicas: int) -> dict[str, Any]:
    """Return a scale target."""
    labels = {"app": name}
    requests = {"cpu": f"{REQUEST_MILLI}m"}
    container = {"name": "main", "image": PAUSE_IMAGE, "resources": {"requests": requests}}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def autoscaler(case: Case) -> dict[str, Any]:
    """Return the HPA of a case."""
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": case.theirs},
        "minReplicas": case.minimum,
        "maxReplicas": case.maximum,
        "metrics": [_hpa_metric(case, index) for index in range(len(case.metrics))],
    }
    if case.behavior is not None:
        spec["behavior"] = case.behavior
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": case.theirs},
        "spec": spec,
    }


def scaled_object(case: Case, adapter_url: str) -> dict[str, Any]:
    """Return our object of a case.

    Args:
        case: What to write down.
        adapter_url: Where numbers are read that are no usage of pods.
    """
    spec = {
        "scaleTargetRef": {"name": case.ours},
        "pollingInterval": POLLING_SECONDS,
        "minReplicaCount": case.minimum,
        "maxReplicaCount": case.maximum,
        "triggers": [
            _trigger(metric, f"{adapter_url}/series/{case.number}/{index}")
            for index, metric in enumerate(case.metrics)
        ],
    }
    if case.behavior is not None:
        spec["advanced"] = {"horizontalPodAutoscalerConfig": {"behavior": case.behavior}}
    return {
        "apiVersion": f"{case.group}/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": case.ours},
        "spec": spec,
    }


def metric_name(case: Case, index: int) -> str:
    """Return what the HPA calls an external metric."""
    return f"case-{case.number}-{index}"


def _hpa_metric(case: Case, index: int) -> dict[str, Any]:
    metric = case.metrics[index]
    field = metric.target_type[0].lower() + metric.target_type[1:]
    if metric.target_type == "Utilization":
        target: dict[str, Any] = {"type": "Utilization", "averageUtilization": metric.target}
    else:
        target = {"type": metric.target_type, field: f"{metric.target}m"}
    if metric.is_cpu:
        return {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    named = {"name": metric_name(case, index)}
    return {"type": "External", "external": {"metric": named, "target": target}}


def _trigger(metric: Metric, url: str) -> dict[str, Any]:
    if metric.is_cpu:
        unit = "" if metric.target_type == "Utilization" else "m"
        metadata = {"value": f"{metric.target}{unit}"}
        return {"type": "cpu", "metricType": metric.target_type, "metadata": metadata}
    metadata = {
        "url": url,
        "valueLocation": "value",
        "targetValue": str(metric.target / 1000),
        "unsafeSsl": "true",
    }
    return {"type": "metrics-api", "metricType": metric.target_type, "metadata": metadata}
