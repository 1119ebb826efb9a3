"""What KEDA's admission webhook refuses, object by object, and what must be there for it.

Each case is one way to break one rule; tests give them to the webhook directly, to the webhook
behind a real API server, and the benchmark mixes them with good objects.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

NAMESPACE = "shop"
FLYBALL = "flyball.dev/v1alpha1"
KEDA = "keda.sh/v1alpha1"

Manifest = dict[str, Any]

REDIS: Manifest = {
    "type": "redis",
    "metadata": {"address": "redis.shop:6379", "listName": "jobs", "listLength": "5"},
}
CRON: Manifest = {
    "type": "cron",
    "metadata": {
        "timezone": "Etc/UTC",
        "start": "0 8 * * *",
        "end": "0 18 * * *",
        "desiredReplicas": "3",
    },
}
CPU: Manifest = {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}}
MEMORY: Manifest = {"type": "memory", "metricType": "Utilization", "metadata": {"value": "60"}}


class Case(NamedTuple):
    """One refused object.

    Attributes:
        rule: KEDA's name of the rule, and which part of it.
        manifest: The object.
        field: What the message has to name.
        others: Objects of the same namespace that have to exist.
    """

    rule: str
    manifest: Manifest
    field: str
    others: tuple[Manifest, ...] = ()


def scaled_object(
    name: str = "worker",
    *,
    api: str = FLYBALL,
    target: str | None = None,
    annotations: Manifest | None = None,
    **spec: Any,
) -> Manifest:
    """Return a good ScaledObject, overridden field by field; its target has its name."""
    metadata: Manifest = {"name": name}
    if annotations:
        metadata["annotations"] = annotations
    wanted = {
        "scaleTargetRef": {"name": target or name},
        "triggers": [copy.deepcopy(REDIS)],
        **spec,
    }
    return {"apiVersion": api, "kind": "ScaledObject", "metadata": metadata, "spec": wanted}


def scaled_job(**spec: Any) -> Manifest:
    """Return a good ScaledJob, overridden field by field."""
    pod = {
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "registry.example.com/convert:1"}],
        }
    }
    wanted = {"jobTargetRef": {"template": pod}, "triggers": [copy.deepcopy(REDIS)], **spec}
    metadata = {"name": "conversion"}
    return {"apiVersion": FLYBALL, "kind": "ScaledJob", "metadata": metadata, "spec": wanted}


def authentication(kind: str = "TriggerAuthentication", **spec: Any) -> Manifest:
    """Return an authentication."""
    return {
        "apiVersion": FLYBALL,
        "kind": kind,
        "metadata": {"name": "credentials"},
        "spec": spec,
    }


def workload(
    name: str = "worker",
    *,
    kind: str = "Deployment",
    resources: Manifest | None = None,
    sidecar: Manifest | None = None,
) -> Manifest:
    """Return a Deployment or StatefulSet without replicas."""
    labels = {"app": name}
    containers = [{"name": "main", "image": "registry.example.com/main:1"}]
    if resources:
        containers[0]["resources"] = resources  # type: ignore[assignment]
    pod: Manifest = {"containers": containers}
    if sidecar is not None:
        pod["containers"].append(
            {"name": "sidecar", "image": "registry.example.com/sidecar:1", **sidecar}
        )
    spec: Manifest = {
        "replicas": 0,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def autoscaler(
    name: str = "worker", *, target: str = "worker", annotations: Manifest | None = None
) -> Manifest:
    """Return a HorizontalPodAutoscaler of nobody's."""
    metadata: Manifest = {"name": name}
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata,
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "minReplicas": 1,
            "maxReplicas": 3,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 60},
                    },
                }
            ],
        },
    }


def limit_range(**limits: Manifest) -> Manifest:
    """Return a LimitRange for containers."""
    spec = {"limits": [{"type": "Container", **limits}]}
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "usual"}, "spec": spec}


def _named(*names: str) -> list[Manifest]:
    return [{**copy.deepcopy(REDIS), "name": name} for name in names]


def _modified(triggers: list[Manifest] | None = None, **modifiers: Any) -> Manifest:
    chosen = _named("a", "b") if triggers is None else triggers
    return scaled_object(triggers=chosen, advanced={"scalingModifiers": modifiers})


def _identity(provider: str, **fields: str) -> Manifest:
    return authentication(podIdentity={"provider": provider, **fields})


def _oauth2(**fields: Any) -> Manifest:
    good = {
        "type": "clientCredentials",
        "clientId": "flyball",
        "clientSecret": {"valueFrom": {"secretKeyRef": {"name": "oauth", "key": "secret"}}},
        "tokenUrl": "https://login.example.com/token",
    }
    return authentication(oauth2={**good, **fields})


def _hpa(name: str) -> Manifest:
    return {"horizontalPodAutoscalerConfig": {"name": name}}


TRANSFER = {"scaledobject.keda.sh/transfer-hpa-ownership": "true"}
HPA_NAME = "spec.advanced.horizontalPodAutoscalerConfig.name"
MODIFIERS = "spec.advanced.scalingModifiers"
IDENTITY = "spec.podIdentity"
STATIC = {"failureThreshold": 3, "replicas": 2}

ALONE: tuple[Case, ...] = (
    Case("name-too-long", scaled_object("x" * 64), "metadata.name"),
    Case("hpa-name-too-long", scaled_object(advanced=_hpa("h" * 64)), HPA_NAME),
    Case("incorrect-replicas/min-max", scaled_object(minReplicaCount=3, maxReplicaCount=2), "spec.minReplicaCount"),
    Case("incorrect-replicas/idle", scaled_object(minReplicaCount=2, idleReplicaCount=2), "spec.idleReplicaCount"),
    Case("incorrect-replicas/negative-min", scaled_object(minReplicaCount=-1), "spec.minReplicaCount"),
    Case("incorrect-replicas/negative-max", scaled_object(maxReplicaCount=-1), "spec.maxReplicaCount"),
    Case("incorrect-replicas/negative-idle", scaled_object(minReplicaCount=1, idleReplicaCount=-1), "spec.idleReplicaCount"),
    Case("incorrect-fallback/negative-threshold", scaled_object(fallback={**STATIC, "failureThreshold": -1}), "spec.fallback.failureThreshold"),
    Case("incorrect-fallback/negative-replicas", scaled_object(fallback={**STATIC, "replicas": -1}), "spec.fallback.replicas"),
    Case("incorrect-fallback/behavior", scaled_object(fallback={**STATIC, "behavior": "guess"}), "spec.fallback.behavior"),
    Case("incorrect-fallback/cpu-only", scaled_object(minReplicaCount=1, triggers=[CPU], fallback=STATIC), "spec.fallback"),
    Case("incorrect-triggers/none", scaled_object(triggers=[]), "spec.triggers"),
    Case("incorrect-triggers/duplicate", scaled_object(triggers=_named("a", "a")), "spec.triggers[1].name"),
    Case("incorrect-triggers/cached-cpu", scaled_object(minReplicaCount=1, triggers=[{**CPU, "useCachedMetrics": True}]), "spec.triggers[0].useCachedMetrics"),
    Case("incorrect-triggers/cached-memory", scaled_object(minReplicaCount=1, triggers=[{**MEMORY, "useCachedMetrics": True}]), "spec.triggers[0].useCachedMetrics"),
    Case("incorrect-triggers/cached-cron", scaled_object(triggers=[{**CRON, "useCachedMetrics": True}]), "spec.triggers[0].useCachedMetrics"),
    Case("incorrect-triggers/type", scaled_object(triggers=[{"type": "rediss", "metadata": {}}]), "spec.triggers[0].type"),
    Case("incorrect-triggers/parameter", scaled_object(triggers=[{**REDIS, "metadata": {**REDIS["metadata"], "listLength": "ten"}}]), "spec.triggers[0].metadata.listLength"),
    Case("transfer-ownership-missing-hpa-name", scaled_object(annotations=TRANSFER), HPA_NAME),
    Case("scaling-modifiers/formula", _modified(formula="a +", target="5"), f"{MODIFIERS}.formula"),
    Case("scaling-modifiers/unknown-name", _modified(formula="a + c", target="5"), f"{MODIFIERS}.formula"),
    Case("scaling-modifiers/unnamed", _modified([*_named("a"), REDIS], formula="a", target="5"), "spec.triggers[1].name"),
    Case("scaling-modifiers/no-target", _modified(formula="a + b"), f"{MODIFIERS}.target"),
    Case("scaling-modifiers/zero-target", _modified(formula="a + b", target="0"), f"{MODIFIERS}.target"),
    Case("scaling-modifiers/negative-target", _modified(formula="a + b", target="-5"), f"{MODIFIERS}.target"),
    Case("scaling-modifiers/utilization", _modified(formula="a + b", target="5", metricType="Utilization"), f"{MODIFIERS}.metricType"),
    Case("scaling-modifiers-fallback", scaled_object(fallback={**STATIC, "behavior": "scalingModifiers"}), "spec.fallback.behavior"),
    Case("scale-to-zero-requirements-not-met/unset", scaled_object(triggers=[CPU]), "spec.minReplicaCount"),
    Case("scale-to-zero-requirements-not-met/zero", scaled_object(triggers=[CPU, MEMORY], minReplicaCount=0), "spec.minReplicaCount"),
    Case("scaledjob/no-triggers", scaled_job(triggers=[]), "spec.triggers"),
    Case("scaledjob/duplicate", scaled_job(triggers=_named("a", "a")), "spec.triggers[1].name"),
    Case("scaledjob/metric-type", scaled_job(triggers=[{**REDIS, "metricType": "Value"}]), "spec.triggers[0].metricType"),
    Case("authentication/azure-identity", _identity("azure-workload", identityId=""), f"{IDENTITY}.identityId"),
    Case("authentication/azure-authority", _identity("azure-workload", identityAuthorityHost="https://login.example.com"), f"{IDENTITY}.identityTenantId"),
    Case("authentication/aws-role", _identity("aws", roleArn="arn:aws:iam::000000000000:role/x", identityOwner="workload"), f"{IDENTITY}.roleArn"),
    Case("authentication/aws-external", _identity("aws", externalID="x"), f"{IDENTITY}.roleArn"),
    Case("authentication/oauth2-type", _oauth2(type="password"), "spec.oauth2.type"),
    Case("authentication/oauth2-client", _oauth2(clientId=""), "spec.oauth2.clientId"),
    Case("authentication/oauth2-url", _oauth2(tokenUrl="login.example.com"), "spec.oauth2.tokenUrl"),
    Case("authentication/oauth2-url-without-identity", authentication(**{**_oauth2(tokenUrl="ftp://x")["spec"], "podIdentity": {"provider": "none"}}), "spec.oauth2.tokenUrl"),
    Case("authentication/cluster", {**_oauth2(clientId=""), "kind": "ClusterTriggerAuthentication"}, "spec.oauth2.clientId"),
)  # fmt: skip
"""Refused whatever else there is."""

KEDA_ALONE: tuple[Case, ...] = (
    Case("hpa-name-too-long/derived", scaled_object("x" * 55, api=KEDA), HPA_NAME),
)
"""Refused only of ``keda.sh``, as nothing of ours is named after the object."""

BESIDE: tuple[Case, ...] = (
    Case("other-scaled-object", scaled_object(), "spec.scaleTargetRef", (scaled_object("other", target="worker"),)),
    Case("other-scaled-object-hpa", scaled_object(advanced=_hpa("web")), HPA_NAME, (scaled_object("other", advanced=_hpa("web")),)),
    Case("other-scaled-object-hpa/derived", scaled_object(advanced=_hpa("keda-hpa-other")), HPA_NAME, (scaled_object("other"),)),
    Case("other-hpa", scaled_object(), "spec.scaleTargetRef", (autoscaler(),)),
    Case("other-hpa/transferred-another", scaled_object(annotations=TRANSFER, advanced=_hpa("web")), HPA_NAME, (autoscaler(),)),
    Case("missing-requests/cpu", scaled_object(triggers=[CPU], minReplicaCount=1), "spec.triggers[0].metricType", (workload(),)),
    Case("missing-requests/memory", scaled_object(triggers=[REDIS, MEMORY]), "spec.triggers[1].metricType", (workload(resources={"requests": {"cpu": "10m"}}),)),
    Case("missing-requests/sidecar", scaled_object(triggers=[CPU], minReplicaCount=1), "spec.triggers[0].metricType", (workload(resources={"requests": {"cpu": "10m"}}, sidecar={}),)),
    Case("missing-requests/statefulset", scaled_object(triggers=[CPU], minReplicaCount=1, scaleTargetRef={"kind": "StatefulSet", "name": "worker"}), "spec.triggers[0].metricType", (workload(kind="StatefulSet"),)),
    Case("missing-requests/limit-range-of-another-resource", scaled_object(triggers=[CPU], minReplicaCount=1), "spec.triggers[0].metricType", (workload(), limit_range(defaultRequest={"memory": "1Gi"}, default={"memory": "1Gi"}))),
)  # fmt: skip
"""Refused beside the objects given."""

UTILIZED = scaled_object(triggers=[CPU], minReplicaCount=1)
ACCEPTED: tuple[Case, ...] = (
    Case("another-target", scaled_object(), "", (scaled_object("other"),)),
    Case("same-name-of-another-kind", scaled_object(scaleTargetRef={"kind": "StatefulSet", "name": "worker"}), "", (scaled_object("other", target="worker"),)),
    Case("shadow", scaled_object(mode="shadow"), "", (scaled_object("other", target="worker"), autoscaler())),
    Case("beside-shadow", scaled_object(), "", (scaled_object("other", target="worker", mode="shadow"),)),
    Case("hpa-of-another-target", scaled_object(), "", (autoscaler(target="other"),)),
    Case("hpa-exempt", scaled_object(), "", (autoscaler(annotations={"validations.keda.sh/hpa-ownership": "false"}),)),
    Case("hpa-transferred", scaled_object(annotations=TRANSFER, advanced=_hpa("worker")), "", (autoscaler(),)),
    Case("requests", UTILIZED, "", (workload(resources={"requests": {"cpu": "10m"}}),)),
    Case("limits", UTILIZED, "", (workload(resources={"limits": {"cpu": "10m"}}),)),
    Case("limit-range", UTILIZED, "", (workload(), limit_range(default={"cpu": "1"}, defaultRequest={"cpu": "1"}))),
    Case("average-value", scaled_object(triggers=[{"type": "cpu", "metricType": "AverageValue", "metadata": {"value": "100m"}}], minReplicaCount=1), "", (workload(),)),
    Case("one-container", scaled_object(triggers=[{**CPU, "metadata": {"value": "60", "containerName": "main"}}], minReplicaCount=1), "", (workload(resources={"requests": {"cpu": "10m"}}, sidecar={}),)),
    Case("target-does-not-exist-yet", UTILIZED, ""),
)  # fmt: skip
"""Accepted beside the objects given."""
