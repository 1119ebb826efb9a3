"""What happens to an object between the request and the store: defaults, validation, metadata."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from autoscaler.demo.apierrors import FieldProblem, bad_request
from autoscaler.demo.objects import JsonObject, at_path, labels_of, timestamp
from autoscaler.demo.resources import Resource
from autoscaler.demo.selectors import matches_selector
from autoscaler.demo.validation import immutable, kind_problems, metadata_problems, required

SYSTEM_METADATA: Final = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
)
NAME_LENGTH_MAX: Final = 253
JOB_PREFIX: Final = "batch.kubernetes.io/"
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_RULE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character"
)


def ordered(resource: Resource, value: JsonObject) -> JsonObject:
    """Return ``value`` with kind, apiVersion and metadata first, as the store keeps objects."""
    rest = {
        name: part for name, part in value.items() if name not in {"kind", "apiVersion", "metadata"}
    }
    return {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": value["metadata"],
        **rest,
    }


def check_body(resource: Resource, value: JsonObject) -> None:
    """Raise ApiError 400 when ``value`` cannot be an object of this resource at all."""
    kind, version = value.get("kind", resource.kind), value.get("apiVersion", resource.api_version)
    if (kind, version) != (resource.kind, resource.api_version):
        raise bad_request(
            f"{kind} in version {version!r} cannot be handled as a {resource.kind}: "
            f"{resource.kind} in version {resource.api_version!r} is expected"
        )
    if resource.is_custom and not (value.get("kind") and value.get("apiVersion")):
        raise bad_request("Object 'Kind' or 'apiVersion' is missing")
    wrong = wrongly_typed(resource, value)
    if wrong:
        raise bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a '
            f"{resource.kind}: {wrong}"
        )


def wrongly_typed(resource: Resource, value: JsonObject) -> str:
    """Return why ``value`` does not decode, as far as types are known here; empty if it does."""
    metadata = value.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        return "metadata is a map"
    texts = {f"metadata.{name}": metadata.get(name) for name in ("labels", "annotations")}
    if resource.kind == "ConfigMap":
        texts["data"] = value.get("data")
    for field, found in texts.items():
        if found is not None and not _is_text_map(found):
            return f"{field} is a map of strings"
    replicas = None if resource.is_custom else at_path(value, "spec", "replicas")
    if replicas is not None and not is_int(replicas):
        return f"spec.replicas: {replicas!r} is no int32"
    return ""


def is_int(value: Any) -> bool:
    """Whether a JSON value is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text_map(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(one, str) for one in value.values())


def prepare_creation(resource: Resource, value: JsonObject, *, uid: str, at: float) -> JsonObject:
    """Return a new object as it is stored: system metadata set, status dropped, defaults in."""
    metadata = {
        name: part for name, part in value["metadata"].items() if name not in SYSTEM_METADATA
    }
    metadata["uid"] = uid
    metadata["creationTimestamp"] = timestamp(at)
    if resource.has_generation:
        metadata["generation"] = 1
    prepared = ordered(resource, {**value, "metadata": metadata})
    if resource.has_status and not resource.keeps_status:
        prepared.pop("status", None)
    default = _DEFAULTS.get(resource.kind)
    if default is not None and not resource.is_custom:
        default(prepared)
    return prepared


def prepare_update(
    resource: Resource, old: JsonObject, value: JsonObject, subresource: str
) -> JsonObject:
    """Return the replacement of ``old`` as it is stored: only the written half changes."""
    kept = {name: old["metadata"][name] for name in SYSTEM_METADATA if name in old["metadata"]}
    if subresource == "status":
        replacement = {**old, "metadata": dict(old["metadata"])}
        replacement.pop("status", None)
        if "status" in value:
            replacement["status"] = value["status"]
        return replacement
    metadata = {
        name: part for name, part in value["metadata"].items() if name not in SYSTEM_METADATA
    }
    replacement = ordered(resource, {**value, "metadata": {**metadata, **kept}})
    if resource.has_status:
        replacement.pop("status", None)
        if "status" in old:
            replacement["status"] = old["status"]
    default = _DEFAULTS.get(resource.kind)
    if default is not None and not resource.is_custom:
        default(replacement)
    if resource.has_generation and not _same_spec(old, replacement):
        replacement["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
    return replacement


def _same_spec(old: JsonObject, new: JsonObject) -> bool:
    apart = {"metadata", "status", "kind", "apiVersion"}
    return {k: v for k, v in old.items() if k not in apart} == {
        k: v for k, v in new.items() if k not in apart
    }


def problems_of(
    resource: Resource, value: JsonObject, old: JsonObject | None = None
) -> list[FieldProblem]:
    """Return everything wrong with an object, all at once; ``old`` None on creation."""
    problems = _name_problems(value)
    if problems:
        return problems
    problems = metadata_problems(value)
    if old is not None:
        problems += _finalizer_problems(value, old)
    if resource.is_custom:
        return problems
    replicas = at_path(value, "spec", "replicas")
    if isinstance(replicas, int) and replicas < 0:
        problems.append(negative_replicas(replicas))
    if resource.group == "apps":
        problems += _selector_problems(value, old)
    problems += kind_problems(resource, value, old)
    if resource.kind == "Pod" and old is not None and _frozen_pod(old) != _frozen_pod(value):
        problems.append(
            FieldProblem(
                "spec",
                "Forbidden: pod updates may not change fields other than images and tolerations",
                "FieldValueForbidden",
            )
        )
    return problems


def negative_replicas(replicas: int) -> FieldProblem:
    """Return the problem of a replica count below zero."""
    return FieldProblem(
        "spec.replicas", f"Invalid value: {replicas}: must be greater than or equal to 0"
    )


def _name_problems(value: JsonObject) -> list[FieldProblem]:
    name = value["metadata"].get("name")
    if not name:
        return [
            FieldProblem(
                "metadata.name",
                "Required value: name or generateName is required",
                "FieldValueRequired",
            )
        ]
    if len(name) > NAME_LENGTH_MAX or not _SUBDOMAIN.fullmatch(name):
        return [FieldProblem("metadata.name", f"Invalid value: {name!r}: {_NAME_RULE}")]
    return []


def _finalizer_problems(value: JsonObject, old: JsonObject) -> list[FieldProblem]:
    known = old["metadata"].get("finalizers") or ()
    added = [one for one in value["metadata"].get("finalizers") or () if one not in known]
    if not added or "deletionTimestamp" not in old["metadata"]:
        return []
    return [
        FieldProblem(
            "metadata.finalizers",
            "Forbidden: no new finalizers can be added if the object is being deleted, found new "
            f"finalizers {added}",
            "FieldValueForbidden",
        )
    ]


def _selector_problems(value: JsonObject, old: JsonObject | None) -> list[FieldProblem]:
    selector = at_path(value, "spec", "selector")
    if not selector:
        return [required("spec.selector")]
    if old is not None and selector != at_path(old, "spec", "selector"):
        return [immutable("spec.selector")]
    labels = labels_of(at_path(value, "spec", "template") or {})
    if not matches_selector(selector, labels):
        return [
            FieldProblem(
                "spec.template.metadata.labels",
                f"Invalid value: {dict(labels)}: `selector` does not match template `labels`",
            )
        ]
    return []


def _frozen_pod(pod: JsonObject) -> JsonObject:
    spec = pod.get("spec") or {}
    containers = [
        {name: part for name, part in one.items() if name != "image"}
        for one in spec.get("containers") or ()
    ]
    loose = {"containers", "tolerations", "activeDeadlineSeconds", "terminationGracePeriodSeconds"}
    return {
        **{name: part for name, part in spec.items() if name not in loose},
        "containers": containers,
    }


def _default_replicas(value: JsonObject) -> None:
    value["spec"] = {**(value.get("spec") or {})}
    value["spec"].setdefault("replicas", 1)


def _default_deployment(value: JsonObject) -> None:
    _default_replicas(value)
    value["spec"].setdefault(
        "strategy",
        {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
    )


def _default_stateful_set(value: JsonObject) -> None:
    _default_replicas(value)
    value["spec"].setdefault("podManagementPolicy", "OrderedReady")


def _default_job(value: JsonObject) -> None:
    spec = value["spec"] = {**(value.get("spec") or {})}
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    if "selector" in spec or not spec.get("template"):
        return
    uid, name = value["metadata"]["uid"], value["metadata"]["name"]
    spec["selector"] = {"matchLabels": {f"{JOB_PREFIX}controller-uid": uid}}
    template = {**spec["template"], "metadata": {**(spec["template"].get("metadata") or {})}}
    own = {
        f"{prefix}{label}": text
        for prefix in (JOB_PREFIX, "")
        for label, text in (("controller-uid", uid), ("job-name", name))
    }
    template["metadata"]["labels"] = {**(template["metadata"].get("labels") or {}), **own}
    spec["template"] = template


def _default_pod(value: JsonObject) -> None:
    spec = value["spec"] = {**(value.get("spec") or {})}
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("serviceAccountName", "default")
    value.setdefault("status", {"phase": "Pending"})


def _default_namespace(value: JsonObject) -> None:
    metadata = value["metadata"]
    labels = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata["name"]}
    metadata["labels"] = labels
    value.setdefault("spec", {"finalizers": ["kubernetes"]})
    value.setdefault("status", {"phase": "Active"})


def _default_secret(value: JsonObject) -> None:
    value.setdefault("type", "Opaque")
    plain = value.pop("stringData", None)
    if plain:
        coded = {name: base64.b64encode(text.encode()).decode() for name, text in plain.items()}
        value["data"] = {**(value.get("data") or {}), **coded}


def _default_definition(value: JsonObject) -> None:
    spec = value["spec"] = {**(value.get("spec") or {})}
    names = {**spec["names"]}
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", f"{names['kind']}List")
    spec["names"] = names
    at = value["metadata"]["creationTimestamp"]
    value.setdefault(
        "status",
        {
            "acceptedNames": names,
            "storedVersions": [v["name"] for v in spec["versions"] if v.get("storage")],
            "conditions": [
                {
                    "type": kind,
                    "status": "True",
                    "reason": reason,
                    "message": "",
                    "lastTransitionTime": at,
                }
                for kind, reason in (
                    ("NamesAccepted", "NoConflicts"),
                    ("Established", "InitialNamesAccepted"),
                )
            ],
        },
    )


_DEFAULTS: Final[Mapping[str, Callable[[JsonObject], None]]] = {
    "Deployment": _default_deployment,
    "ReplicaSet": _default_replicas,
    "StatefulSet": _default_stateful_set,
    "Job": _default_job,
    "Pod": _default_pod,
    "Namespace": _default_namespace,
    "Secret": _default_secret,
    "CustomResourceDefinition": _default_definition,
}
