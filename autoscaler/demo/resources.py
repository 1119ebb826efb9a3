"""Which resources the embedded API server serves, and how each of them behaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from autoscaler.demo.objects import JsonObject, at_path

Path = tuple[str, ...]

POD_LISTS: Final[Mapping[Path, tuple[str, ...]]] = {
    ("containers",): ("name",),
    ("initContainers",): ("name",),
    ("containers", "env"): ("name",),
    ("containers", "ports"): ("containerPort", "protocol"),
    ("containers", "volumeMounts"): ("mountPath",),
    ("volumes",): ("name",),
    ("imagePullSecrets",): ("name",),
    ("topologySpreadConstraints",): ("topologyKey", "whenUnsatisfiable"),
}
META_LISTS: Final[Mapping[Path, tuple[str, ...]]] = {("metadata", "ownerReferences"): ("uid",)}
CONDITIONS: Final[Mapping[Path, tuple[str, ...]]] = {("status", "conditions"): ("type",)}
POD_ATOMS: Final[frozenset[Path]] = frozenset({("nodeSelector",), ("tolerations",)})


class ScalePaths(msgspec.Struct, frozen=True, kw_only=True):
    """Where an object keeps what its ``/scale`` shows; ``selector`` may be absent."""

    spec_replicas: Path = ("spec", "replicas")
    status_replicas: Path = ("status", "replicas")
    selector: Path | None = ("spec", "selector")


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One served resource.

    Attributes:
        has_status: ``/status`` exists, so that spec and status are written apart.
        has_generation: ``metadata.generation`` counts spec changes.
        keeps_status: A status given on creation is kept (nodes register with one).
        unconditional_update: PUT without a resourceVersion is accepted.
        create_on_update: PUT of a missing object creates it.
        returns_deleted: DELETE answers the object, not a Status.
        list_keys: Lists merged by key, by path without indices.
        atoms: Maps that apply treats as one value.
        field_labels: Fields a field selector may name, beside name and namespace.
        bucket: Where the store keeps the objects; two resources may share one.
        verbs: Empty means all; ``metrics.k8s.io`` is read-only.
    """

    group: str
    version: str
    kind: str
    plural: str
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    has_status: bool = False
    has_generation: bool = False
    keeps_status: bool = False
    unconditional_update: bool = True
    create_on_update: bool = False
    returns_deleted: bool = False
    is_custom: bool = False
    scale: ScalePaths | None = None
    list_keys: Mapping[Path, tuple[str, ...]] = msgspec.field(default_factory=lambda: META_LISTS)
    atoms: frozenset[Path] = frozenset()
    field_labels: frozenset[str] = frozenset()
    bucket: str = ""
    verbs: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """Return ``group/version``, or ``version`` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """Return ``plural.group`` as error messages name the resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def storage(self) -> str:
        """Return the store's bucket."""
        return self.bucket or self.qualified


def below(prefix: Path, table: Mapping[Path, tuple[str, ...]]) -> dict[Path, tuple[str, ...]]:
    """Return ``table`` with every path moved below ``prefix``."""
    return {prefix + path: keys for path, keys in table.items()}


def workload(kind: str, plural: str, short: str, group: str = "apps", **extra: Any) -> Resource:
    """Return a resource that owns a pod template."""
    template = ("spec", "template", "spec")
    atoms = {template + path for path in POD_ATOMS} | {("spec", "selector")}
    defaults: dict[str, Any] = {
        "group": group,
        "version": "v1",
        "kind": kind,
        "plural": plural,
        "short_names": (short,) if short else (),
        "categories": ("all",),
        "has_status": True,
        "has_generation": True,
        "list_keys": {**META_LISTS, **CONDITIONS, **below(template, POD_LISTS)},
        "atoms": frozenset(atoms),
    }
    return Resource(**{**defaults, **extra})


def core(kind: str, plural: str, *short: str, **extra: Any) -> Resource:
    """Return a resource of the core group."""
    return Resource(group="", version="v1", kind=kind, plural=plural, short_names=short, **extra)


REFERENCE: Final = (
    "kind",
    "namespace",
    "name",
    "uid",
    "apiVersion",
    "resourceVersion",
    "fieldPath",
)
CORE_EVENT_FIELDS: Final = frozenset(
    {f"involvedObject.{part}" for part in REFERENCE}
    | {"reason", "type", "reportingComponent", "source"}
)
NEW_EVENT_FIELDS: Final = frozenset(
    {f"regarding.{part}" for part in REFERENCE} | {"reason", "type", "reportingController"}
)
POD_FIELDS: Final = frozenset(
    {
        *("spec.nodeName", "spec.restartPolicy", "spec.schedulerName"),
        *("spec.serviceAccountName", "spec.hostNetwork"),
        *("status.phase", "status.podIP", "status.nominatedNodeName"),
    }
)

BUILTIN: Final[tuple[Resource, ...]] = (
    core(
        "Namespace",
        "namespaces",
        "ns",
        namespaced=False,
        has_status=True,
        returns_deleted=True,
        field_labels=frozenset({"status.phase"}),
    ),
    core(
        "Node",
        "nodes",
        "no",
        namespaced=False,
        has_status=True,
        keeps_status=True,
        field_labels=frozenset({"spec.unschedulable"}),
        list_keys={**META_LISTS, **CONDITIONS, ("status", "addresses"): ("type",)},
    ),
    core(
        "Pod",
        "pods",
        "po",
        categories=("all",),
        has_status=True,
        has_generation=True,
        returns_deleted=True,
        list_keys={**META_LISTS, **CONDITIONS, **below(("spec",), POD_LISTS)},
        atoms=frozenset(("spec", *path) for path in POD_ATOMS),
        field_labels=POD_FIELDS,
    ),
    core("ConfigMap", "configmaps", "cm"),
    core("Secret", "secrets", field_labels=frozenset({"type"})),
    core("ServiceAccount", "serviceaccounts", "sa", returns_deleted=True),
    core(
        "Service",
        "services",
        "svc",
        categories=("all",),
        has_status=True,
        returns_deleted=True,
        atoms=frozenset({("spec", "selector")}),
        list_keys={**META_LISTS, ("spec", "ports"): ("port", "protocol")},
        field_labels=frozenset({"spec.clusterIP", "spec.type"}),
    ),
    core("Event", "events", "ev", create_on_update=True, field_labels=CORE_EVENT_FIELDS),
    Resource(
        group="events.k8s.io",
        version="v1",
        kind="Event",
        plural="events",
        short_names=("ev",),
        create_on_update=True,
        bucket="events",
        field_labels=NEW_EVENT_FIELDS,
    ),
    workload("Deployment", "deployments", "deploy", scale=ScalePaths()),
    workload("ReplicaSet", "replicasets", "rs", scale=ScalePaths()),
    workload("StatefulSet", "statefulsets", "sts", scale=ScalePaths()),
    Resource(
        group="autoscaling",
        version="v2",
        kind="HorizontalPodAutoscaler",
        plural="horizontalpodautoscalers",
        short_names=("hpa",),
        categories=("all",),
        has_status=True,
    ),
    workload("Job", "jobs", "", group="batch", field_labels=frozenset({"status.successful"})),
    Resource(
        group="coordination.k8s.io",
        version="v1",
        kind="Lease",
        plural="leases",
        unconditional_update=False,
        create_on_update=True,
    ),
    Resource(
        group="discovery.k8s.io",
        version="v1",
        kind="EndpointSlice",
        plural="endpointslices",
        has_generation=True,
        create_on_update=True,
    ),
    Resource(
        group="apiextensions.k8s.io",
        version="v1",
        kind="CustomResourceDefinition",
        plural="customresourcedefinitions",
        short_names=("crd", "crds"),
        namespaced=False,
        has_status=True,
        has_generation=True,
        returns_deleted=True,
        list_keys={**META_LISTS, **CONDITIONS},
    ),
    Resource(
        group="metrics.k8s.io",
        version="v1beta1",
        kind="PodMetrics",
        plural="pods",
        verbs=("get", "list"),
        bucket="pods.metrics.k8s.io",
    ),
    Resource(
        group="metrics.k8s.io",
        version="v1beta1",
        kind="NodeMetrics",
        plural="nodes",
        namespaced=False,
        verbs=("get", "list"),
        bucket="nodes.metrics.k8s.io",
    ),
)


def custom(
    group: str,
    version: str,
    kind: str,
    plural: str,
    *,
    scale: ScalePaths | None = None,
    **extra: Any,
) -> Resource:
    """Return a custom resource with ``/status``."""
    defaults: dict[str, Any] = {
        "has_status": True,
        "has_generation": True,
        "unconditional_update": False,
        "is_custom": True,
        "scale": scale,
        "list_keys": {**META_LISTS},
    }
    return Resource(group=group, version=version, kind=kind, plural=plural, **{**defaults, **extra})


def from_definition(definition: JsonObject) -> tuple[Resource, ...]:
    """Return one resource per served version of a CustomResourceDefinition."""
    spec = definition["spec"]
    names = spec["names"]
    found = []
    for version in spec["versions"]:
        if not version.get("served", True):
            continue
        subresources = version.get("subresources") or {}
        paths = subresources.get("scale")
        schema = at_path(version, "schema", "openAPIV3Schema") or {}
        found.append(
            custom(
                spec["group"],
                version["name"],
                names["kind"],
                names["plural"],
                singular=names.get("singular", ""),
                short_names=tuple(names.get("shortNames") or ()),
                categories=tuple(names.get("categories") or ()),
                namespaced=spec.get("scope", "Namespaced") == "Namespaced",
                has_status="status" in subresources,
                scale=None if paths is None else scale_paths(paths),
                list_keys={**META_LISTS, **dict(schema_lists(schema, ()))},
            )
        )
    return tuple(found)


def scale_paths(paths: JsonObject) -> ScalePaths:
    """Return the scale paths of a CRD's ``subresources.scale``."""

    def split(text: str) -> Path:
        return tuple(text.lstrip(".").split("."))

    selector = paths.get("labelSelectorPath")
    return ScalePaths(
        spec_replicas=split(paths["specReplicasPath"]),
        status_replicas=split(paths["statusReplicasPath"]),
        selector=split(selector) if selector else None,
    )


def schema_lists(schema: JsonObject, path: Path) -> Iterable[tuple[Path, tuple[str, ...]]]:
    """Yield the path and keys of every keyed list of a structural schema."""
    for name, child in (schema.get("properties") or {}).items():
        here = (*path, name)
        if child.get("x-kubernetes-list-type") == "map":
            yield here, tuple(child.get("x-kubernetes-list-map-keys") or ())
        yield from schema_lists(child.get("items") or child, here)


class Catalogue:
    """The resources served now."""

    def __init__(self, resources: Iterable[Resource] = BUILTIN) -> None:
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        for resource in resources:
            self.add(resource)

    def add(self, resource: Resource) -> None:
        """Serve a resource."""
        self._by_path[resource.group, resource.version, resource.plural] = resource

    def remove(self, group: str, plural: str) -> None:
        """Stop serving every version of a resource."""
        for path in [p for p in self._by_path if (p[0], p[2]) == (group, plural)]:
            del self._by_path[path]

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource at a path, None when it is not served."""
        return self._by_path.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        """Return the resource of a kind, None when it is not served."""
        for resource in self._by_path.values():
            if resource.kind == kind and resource.api_version == api_version and not resource.verbs:
                return resource
        return None

    def is_own_group(self, segments: Sequence[str]) -> bool:
        """Return whether a path is below a group that is built in, whatever its version."""
        if segments[:1] == ["api"]:
            return True
        if segments[:1] != ["apis"] or len(segments) == 1:
            return False
        return any(r.group == segments[1] and not r.is_custom for r in self._by_path.values())

    def all(self) -> tuple[Resource, ...]:
        """Return everything served, in order of registration."""
        return tuple(self._by_path.values())
