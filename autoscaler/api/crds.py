"""The custom resource definitions, made from the API models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml
from pydantic import BaseModel
from typing_extensions import override

from autoscaler.api.scaledjob import ScaledJob
from autoscaler.api.scaledobject import DEFAULT_MAX_REPLICAS, ScaledObject
from autoscaler.api.structural import structural_schema
from autoscaler.api.triggerauthentication import (
    ClusterTriggerAuthentication,
    TriggerAuthentication,
)

GROUP: Final = "flyball.dev"
VERSION: Final = "v1alpha1"

_HEADER: Final = "# Made by `flyball crds` from the models in autoscaler/api; do not edit.\n"

Column = tuple[str, str, str]

_MIN: Final = ("Min", "integer", ".spec.minReplicaCount")
_MAX: Final = ("Max", "integer", ".spec.maxReplicaCount")
_DESIRED: Final = ("Desired", "integer", ".status.desiredReplicas")
_DECIDED: Final = ("LastDecision", "date", ".status.lastDecision.time")
_TRIGGERS: Final = ("Triggers", "string", ".status.triggersTypes")
_AUTHENTICATIONS: Final = ("Authentications", "string", ".status.authenticationsTypes")
_AGE: Final = ("Age", "date", ".metadata.creationTimestamp")


class _Plain(yaml.SafeDumper):
    """Writes equal parts out each time: anchors are hard to read, and not every tool knows them."""

    @override
    def ignore_aliases(self, data: object) -> bool:
        """Say that nothing is ever referred to."""
        return True


def _condition(name: str) -> Column:
    return (name, "string", f'.status.conditions[?(@.type=="{name}")].status')


_SCALED_OBJECT_COLUMNS: Final[Sequence[Column]] = (
    ("ScaleTargetKind", "string", ".status.scaleTargetKind"),
    ("ScaleTargetName", "string", ".spec.scaleTargetRef.name"),
    _MIN,
    _MAX,
    _DESIRED,
    _condition("Ready"),
    _condition("Active"),
    _condition("Fallback"),
    _condition("Paused"),
    _TRIGGERS,
    _AUTHENTICATIONS,
    _DECIDED,
    _AGE,
)
_SCALED_JOB_COLUMNS: Final[Sequence[Column]] = (
    _MIN,
    _MAX,
    _DESIRED,
    _condition("Ready"),
    _condition("Active"),
    _condition("Paused"),
    _TRIGGERS,
    _AUTHENTICATIONS,
    _DECIDED,
    _AGE,
)
_AUTHENTICATION_COLUMNS: Final[Sequence[Column]] = (
    ("PodIdentity", "string", ".spec.podIdentity.provider"),
    ("Secret", "string", ".spec.secretTargetRef[*].name"),
    ("Env", "string", ".spec.env[*].name"),
    ("VaultAddress", "string", ".spec.hashiCorpVault.address"),
    ("ScaledObjects", "string", ".status.scaledobjects"),
    ("ScaledJobs", "string", ".status.scaledjobs"),
)

_BOUNDS_RULE: Final = {
    "rule": (
        "(has(self.minReplicaCount) ? self.minReplicaCount : 0) <= "
        f"(has(self.maxReplicaCount) ? self.maxReplicaCount : {DEFAULT_MAX_REPLICAS})"
    ),
    "message": (
        f"minReplicaCount must be at most maxReplicaCount (default {DEFAULT_MAX_REPLICAS})"
    ),
}


def render_crds() -> dict[str, str]:
    """Return the text of each definition by file name, ``<group>_<plural>.yaml``."""
    return {
        f"{GROUP}_{crd['spec']['names']['plural']}.yaml": _HEADER
        + yaml.dump(crd, Dumper=_Plain, sort_keys=False, width=100, allow_unicode=True)
        for crd in custom_resource_definitions()
    }


def custom_resource_definitions() -> list[dict[str, Any]]:
    """Return the definitions as objects, ready to be applied."""
    return [
        _definition(ScaledObject, ["so"], _SCALED_OBJECT_COLUMNS, rules=[_BOUNDS_RULE]),
        _definition(ScaledJob, ["sj"], _SCALED_JOB_COLUMNS),
        _definition(TriggerAuthentication, ["ta", "triggerauth"], _AUTHENTICATION_COLUMNS),
        _definition(
            ClusterTriggerAuthentication,
            ["cta", "clustertriggerauth"],
            _AUTHENTICATION_COLUMNS,
            scope="Cluster",
        ),
    ]


def _definition(
    model: type[BaseModel],
    short_names: Sequence[str],
    columns: Sequence[Column],
    *,
    scope: str = "Namespaced",
    rules: Sequence[Mapping[str, str]] = (),
) -> dict[str, Any]:
    kind = model.__name__
    plural = kind.lower() + "s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": list(short_names),
                "categories": ["flyball"],
            },
            "scope": scope,
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _object_schema(model, rules)},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind_of_value, "jsonPath": path}
                        for name, kind_of_value, path in columns
                    ],
                }
            ],
        },
    }


def _object_schema(model: type[BaseModel], rules: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return the schema of a whole object; ``metadata`` stays the API server's own business."""
    schema = structural_schema(model)
    properties = schema["properties"]
    properties["apiVersion"] = {"type": "string"}
    properties["kind"] = {"type": "string"}
    properties["metadata"] = {"type": "object"}
    if rules:
        properties["spec"]["x-kubernetes-validations"] = [dict(rule) for rule in rules]
    schema["required"] = ["spec"]
    return schema
