"""Discovery documents: what is served, group by group, plain and aggregated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from autoscaler.demo.objects import JsonObject
from autoscaler.demo.resources import Catalogue, Resource

VERBS: Final = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
)
SUBRESOURCE_VERBS: Final = ("get", "patch", "update")
AGGREGATED: Final = "as=APIGroupDiscoveryList"
VERSION: Final[JsonObject] = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0+flyball-embedded",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}


def document(catalogue: Catalogue, segments: Sequence[str], host: str) -> JsonObject | None:
    """Return the document at a path, None when the path is no document's.

    Args:
        catalogue: What is served.
        segments: The path, split at ``/``.
        host: Address the client used.
    """
    found: JsonObject | None = None
    match segments:
        case ["version"]:
            found = VERSION
        case ["api"]:
            found = core_versions(host)
        case ["apis"]:
            found = group_list(catalogue)
        case ["api", "v1"]:
            found = resource_list(catalogue, "", "v1")
        case ["apis", group] if group in groups(catalogue):
            head = {"kind": "APIGroup", "apiVersion": "v1"}
            found = {**head, **group_of(catalogue, group)}
        case ["apis", group, version] if group and version in versions(catalogue, group):
            found = resource_list(catalogue, group, version)
    return found


def versions(catalogue: Catalogue, group: str) -> list[str]:
    """Return the served versions of a group, in order of registration."""
    return list(dict.fromkeys(r.version for r in catalogue.all() if r.group == group))


def groups(catalogue: Catalogue) -> list[str]:
    """Return the served groups beside the core one."""
    return list(dict.fromkeys(r.group for r in catalogue.all() if r.group))


def core_versions(host: str) -> JsonObject:
    """Return the answer to ``/api``."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}],
    }


def group_of(catalogue: Catalogue, group: str) -> JsonObject:
    """Return the APIGroup at ``/apis/<group>``, without kind and apiVersion."""
    known = [
        {"groupVersion": f"{group}/{version}", "version": version}
        for version in versions(catalogue, group)
    ]
    return {"name": group, "versions": known, "preferredVersion": known[0]}


def group_list(catalogue: Catalogue) -> JsonObject:
    """Return the answer to ``/apis``."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [group_of(catalogue, group) for group in groups(catalogue)],
    }


def resource_list(catalogue: Catalogue, group: str, version: str) -> JsonObject:
    """Return the APIResourceList of one group version."""
    served = [r for r in catalogue.all() if (r.group, r.version) == (group, version)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": [entry for resource in served for entry in _entries(resource)],
    }


def _entries(resource: Resource) -> Iterable[JsonObject]:
    entry: JsonObject = {
        "name": resource.plural,
        "singularName": resource.singular or resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs or VERBS),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    yield entry
    if resource.has_status:
        yield _subresource(resource, "status", resource.kind)
    if resource.scale is not None:
        yield {
            **_subresource(resource, "scale", "Scale"),
            "group": "autoscaling",
            "version": "v1",
        }


def _subresource(resource: Resource, name: str, kind: str) -> JsonObject:
    return {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": kind,
        "verbs": list(SUBRESOURCE_VERBS),
    }


def aggregated(catalogue: Catalogue, *, core: bool) -> JsonObject:
    """Return the APIGroupDiscoveryList of ``/api`` (core) or ``/apis``."""
    wanted = [""] if core else groups(catalogue)
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": group, "creationTimestamp": None},
                "versions": [
                    {
                        "version": version,
                        "freshness": "Current",
                        "resources": [
                            _aggregated_entry(r)
                            for r in catalogue.all()
                            if (r.group, r.version) == (group, version)
                        ],
                    }
                    for version in versions(catalogue, group)
                ],
            }
            for group in wanted
        ],
    }


def _aggregated_entry(resource: Resource) -> JsonObject:
    subresources = []
    if resource.has_status:
        subresources.append(("status", resource.group, resource.version, resource.kind))
    if resource.scale is not None:
        subresources.append(("scale", "autoscaling", "v1", "Scale"))
    return {
        "resource": resource.plural,
        "responseKind": _response_kind(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular or resource.kind.lower(),
        "verbs": list(resource.verbs or VERBS),
        "shortNames": list(resource.short_names),
        "categories": list(resource.categories),
        "subresources": [
            {
                "subresource": name,
                "responseKind": _response_kind(group, version, kind),
                "verbs": list(SUBRESOURCE_VERBS),
            }
            for name, group, version, kind in subresources
        ],
    }


def _response_kind(group: str, version: str, kind: str) -> JsonObject:
    return {"group": group, "version": version, "kind": kind}
