"""What a user of KEDA applies to scale by our decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from tests.e2e.external.server import MountedCertificates

KEDA: Final = "keda.sh/v1alpha1"
METRIC: Final = "s0-flyball"
"""As the HPA knows it: what we call ``flyball``, of the first trigger."""
POLL: Final = "external"
PUSH: Final = "external-push"
UNLIMITED: Final = {
    "stabilizationWindowSeconds": 0,
    "policies": [{"type": "Pods", "value": 1000, "periodSeconds": 1}],
}
CERTIFICATES: Final = ("caCert", "tlsClientCert", "tlsClientKey")
"""Parameters of KEDA's trigger, and keys of our Secret."""
EXACT: Final = {"tolerance": "0"}
"""Without it the HPA ignores changes of up to a tenth."""


def scaled_object(
    name: str,
    address: str,
    metadata: Mapping[str, str],
    *,
    kind: str = POLL,
    polling_seconds: int = 1,
    authentication: str = "",
    tolerance: Mapping[str, str] = EXACT,
) -> dict[str, Any]:
    """Return an object for the Deployment of the same name; nothing but our answer counts.

    Args:
        name: Of the object and of the Deployment.
        address: Of the external scaler.
        metadata: Which policy: beside the address.
        kind: Trigger type.
        polling_seconds: How often KEDA asks by itself.
        authentication: Name of a TriggerAuthentication.
        tolerance: What the HPA overlooks, in both directions; empty = its default.
    """
    trigger: dict[str, Any] = {
        "type": kind,
        "metadata": {"scalerAddress": address, **metadata},
    }
    if authentication:
        trigger["authenticationRef"] = {"name": authentication}
    direction = {**UNLIMITED, **tolerance}
    behavior = {"scaleUp": direction, "scaleDown": direction}
    return {
        "apiVersion": KEDA,
        "kind": "ScaledObject",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"name": name},
            "pollingInterval": polling_seconds,
            "cooldownPeriod": 0,
            "minReplicaCount": 0,
            "maxReplicaCount": 100,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior}},
            "triggers": [trigger],
        },
    }


def inline(policy: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata that carries a policy."""
    return {"policy": yaml.safe_dump(dict(policy), sort_keys=False)}


def read_from(url: str, target: int = 10) -> dict[str, str]:
    """Return the metadata of a ``metrics-api`` trigger."""
    return {"url": url, "valueLocation": "value", "targetValue": str(target)}


def secret(name: str, certificates: MountedCertificates) -> dict[str, Any]:
    """Return the Secret with what KEDA shows to a server, and whom it trusts."""
    client = certificates.client
    texts = {
        CERTIFICATES[0]: certificates.authority.certificate.crt.read_text(),
        CERTIFICATES[1]: client.crt.read_text(),
        CERTIFICATES[2]: client.key.read_text(),
    }
    metadata = {"name": name}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": texts}


def authentication(name: str) -> dict[str, Any]:
    """Return the TriggerAuthentication that gives KEDA the Secret of the same name."""
    entries = [{"parameter": key, "name": name, "key": key} for key in CERTIFICATES]
    return {
        "apiVersion": KEDA,
        "kind": "TriggerAuthentication",
        "metadata": {"name": name},
        "spec": {"secretTargetRef": entries},
    }
