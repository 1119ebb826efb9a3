"""Which REST path an object lives at: well-known resources, and discovery for the others."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from autoscaler.errors import ConfigError, KubeError, NotFound, shorten

if TYPE_CHECKING:
    from autoscaler.kube.transport import KubeClient

UNKNOWN_KIND_SECONDS = 10.0
"""How long a kind that does not exist is not asked for again; its CRD may appear any time."""
ASKED_VERSIONS_MAX = 256


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of object and where the API serves it.

    Attributes:
        group: Empty for core/v1.
        plural: The path segment, e.g. ``deployments``.
        has_scale: Whether it has the scale subresource.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    has_scale: bool = False

    @property
    def is_scale_target(self) -> bool:
        """Whether objects of a namespace may scale it."""
        return self.has_scale and self.namespaced

    @property
    def api_version(self) -> str:
        """``group/version``, or just the version for core."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """Return the REST path of the collection, an object, or its subresource.

        Args:
            namespace: None = across all namespaces (collections only) or cluster-scoped.
            name: None = the collection.
            subresource: ``scale`` or ``status``.
        """
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        where = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        what = f"/{quote(name, safe='')}" if name else ""
        return f"{root}{where}/{self.plural}{what}" + (f"/{subresource}" if subresource else "")


PODS: Final = Resource(group="", version="v1", plural="pods", kind="Pod")
SECRETS: Final = Resource(group="", version="v1", plural="secrets", kind="Secret")
CONFIG_MAPS: Final = Resource(group="", version="v1", plural="configmaps", kind="ConfigMap")
EVENTS: Final = Resource(group="", version="v1", plural="events", kind="Event")
NODES: Final = Resource(group="", version="v1", plural="nodes", kind="Node", namespaced=False)
DEPLOYMENTS: Final = Resource(
    group="apps", version="v1", plural="deployments", kind="Deployment", has_scale=True
)
STATEFUL_SETS: Final = Resource(
    group="apps", version="v1", plural="statefulsets", kind="StatefulSet", has_scale=True
)
REPLICA_SETS: Final = Resource(
    group="apps", version="v1", plural="replicasets", kind="ReplicaSet", has_scale=True
)
JOBS: Final = Resource(group="batch", version="v1", plural="jobs", kind="Job")
LEASES: Final = Resource(group="coordination.k8s.io", version="v1", plural="leases", kind="Lease")
ENDPOINT_SLICES: Final = Resource(
    group="discovery.k8s.io", version="v1", plural="endpointslices", kind="EndpointSlice"
)
POD_METRICS: Final = Resource(
    group="metrics.k8s.io", version="v1beta1", plural="pods", kind="PodMetrics"
)

FLYBALL_GROUP: Final = "flyball.dev"
KEDA_GROUP: Final = "keda.sh"


def _scaling(group: str, plural: str, kind: str, *, namespaced: bool = True) -> Resource:
    return Resource(
        group=group, version="v1alpha1", plural=plural, kind=kind, namespaced=namespaced
    )


SCALED_OBJECTS: Final = _scaling(FLYBALL_GROUP, "scaledobjects", "ScaledObject")
SCALED_JOBS: Final = _scaling(FLYBALL_GROUP, "scaledjobs", "ScaledJob")
TRIGGER_AUTHENTICATIONS: Final = _scaling(
    FLYBALL_GROUP, "triggerauthentications", "TriggerAuthentication"
)
CLUSTER_TRIGGER_AUTHENTICATIONS: Final = _scaling(
    FLYBALL_GROUP,
    "clustertriggerauthentications",
    "ClusterTriggerAuthentication",
    namespaced=False,
)


def in_group(resource: Resource, group: str) -> Resource:
    """Return the same resource served by another group (``keda.sh`` for ``--watch-keda``)."""
    return msgspec.structs.replace(resource, group=group)


_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_API_VERSION: Final = re.compile(
    rf"(?:(?P<group>{_LABEL}(?:\.{_LABEL})*)/)?(?P<version>[a-z0-9]{{1,63}})"
)
_BUILT_IN: Final = {(r.api_version, r.kind): r for r in (DEPLOYMENTS, STATEFUL_SETS, REPLICA_SETS)}


class _ApiResource(msgspec.Struct, frozen=True):
    name: str
    kind: str = ""
    namespaced: bool = False


class _ApiResourceList(msgspec.Struct, frozen=True):
    resources: list[_ApiResource] = []


decode_resources = msgspec.json.Decoder(_ApiResourceList).decode


class Discovery:
    """Finds the resource behind an ``apiVersion`` and ``kind``; answers are cached.

    The workloads of ``apps/v1`` are known without asking. A kind found once is served from memory
    for good. One that is missing, or cannot be scaled though that is wanted, is asked for again
    after ``UNKNOWN_KIND_SECONDS``: definitions come and change at any time.
    """

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._known: dict[tuple[str, str], Resource] = dict(_BUILT_IN)
        self._asked_at: dict[str, float] = {}
        self._lock = asyncio.Lock()

    async def resolve(self, api_version: str, kind: str, *, needs_scale: bool = False) -> Resource:
        """Return the resource.

        Args:
            api_version: ``group/version`` or ``v1``; empty means ``apps/v1``, as in a
                ``scaleTargetRef``.
            kind: CamelCase; empty means ``Deployment``.
            needs_scale: Insist on a scale target: a kind with a scale subresource that lives in
                namespaces, as objects that scale it do.

        Raises:
            ConfigError: The API server serves no such kind, or it is no scale target.
            KubeError: The API server could not be asked.
        """
        api_version, kind = api_version or "apps/v1", kind or "Deployment"
        found = self._known.get((api_version, kind))
        if found is None or (needs_scale and not found.is_scale_target):
            async with self._lock:
                await self._learn(api_version)
            found = self._known.get((api_version, kind))
        if found is None:
            raise ConfigError(
                f"apiVersion {api_version!r}, kind {kind!r}: the API server serves no such kind; "
                "check the spelling or install its CustomResourceDefinition",
                field="spec.scaleTargetRef",
            )
        if needs_scale and not found.has_scale:
            raise ConfigError(
                f"apiVersion {api_version!r}, kind {kind!r} has no scale subresource; name a kind "
                "that has one, such as Deployment or StatefulSet",
                field="spec.scaleTargetRef.kind",
            )
        if needs_scale and not found.namespaced:
            raise ConfigError(
                f"apiVersion {api_version!r}, kind {kind!r} is cluster-scoped; name a kind whose "
                "objects are in a namespace: those of all namespaces would fight over it",
                field="spec.scaleTargetRef.kind",
            )
        return found

    async def _learn(self, api_version: str) -> None:
        """Ask for all kinds of an API version, unless that was done a moment ago."""
        match = _API_VERSION.fullmatch(api_version)
        if match is None:
            raise ConfigError(
                f"apiVersion {shorten(api_version)!r} is not of the form group/version, "
                "such as apps/v1",
                field="spec.scaleTargetRef.apiVersion",
            )
        now = asyncio.get_running_loop().time()
        asked_at = self._asked_at.get(api_version)
        if asked_at is not None and now - asked_at < UNKNOWN_KIND_SECONDS:
            return
        group, version = match["group"] or "", match["version"]
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            served = decode_resources(await self._client.request("GET", path)).resources
        except NotFound:
            served = []
        except msgspec.MsgspecError as exc:
            raise KubeError(f"GET {path}: not a list of resources: {shorten(str(exc))}") from exc
        while len(self._asked_at) >= ASKED_VERSIONS_MAX:
            self._asked_at.pop(next(iter(self._asked_at)))
        self._asked_at[api_version] = now
        for key, known in list(self._known.items()):
            if key[0] == api_version and not known.is_scale_target:
                del self._known[key]
        names = {entry.name for entry in served}
        for entry in served:
            if "/" not in entry.name:
                self._known[api_version, entry.kind] = Resource(
                    group=group,
                    version=version,
                    plural=entry.name,
                    kind=entry.kind,
                    namespaced=entry.namespaced,
                    has_scale=f"{entry.name}/scale" in names,
                )
