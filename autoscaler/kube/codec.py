"""What is read of each object: msgspec projections with only the fields somebody uses.

Decoding into a projection is some hundred times cheaper than into typed models, and fields that
nobody reads (``managedFields`` above all) never take memory. An absent field means the API's
default, as Go's ``omitempty`` leaves out zeros.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Protocol

import msgspec

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


class _Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of the projections: camelCase names, everything optional."""


class OwnerReference(_Wire, frozen=True):
    """Who created an object."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class SlimMeta(_Wire, frozen=True):
    """The metadata kept of objects there are many of (pods, workloads): no annotations."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] = {}
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    owner_references: list[OwnerReference] = []


class ObjectMeta(_Wire, frozen=True):
    """The metadata kept of objects people write."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: list[str] = []
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    owner_references: list[OwnerReference] = []

    @property
    def key(self) -> str:
        """``namespace/name``, or just the name when cluster-scoped."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class HasMetadata(Protocol):
    """An object a store can hold."""

    @property
    def metadata(self) -> SlimMeta | ObjectMeta:
        """Name, namespace, version, labels."""
        ...


class LabelSelector(_Wire, frozen=True):
    """``matchLabels`` and ``matchExpressions`` of a workload."""

    match_labels: dict[str, str] = {}
    match_expressions: list[LabelRequirement] = []


class LabelRequirement(_Wire, frozen=True):
    """One expression: ``In``, ``NotIn``, ``Exists`` or ``DoesNotExist``."""

    key: str
    operator: str
    values: list[str] = []


class KeyRef(_Wire, frozen=True):
    """A key of a Secret or ConfigMap."""

    name: str = ""
    key: str = ""
    optional: bool = False


class EnvSource(_Wire, frozen=True):
    """``valueFrom`` of an environment variable."""

    secret_key_ref: KeyRef | None = None
    config_map_key_ref: KeyRef | None = None


class EnvVar(_Wire, frozen=True):
    """An environment variable of a container."""

    name: str = ""
    value: str = ""
    value_from: EnvSource | None = None


class EnvFromRef(_Wire, frozen=True):
    """A whole Secret or ConfigMap as environment."""

    name: str = ""
    optional: bool = False


class EnvFrom(_Wire, frozen=True):
    """One entry of ``envFrom``."""

    prefix: str = ""
    secret_ref: EnvFromRef | None = None
    config_map_ref: EnvFromRef | None = None


class TemplateContainer(_Wire, frozen=True):
    """A container of a pod template, as far as ``FromEnv`` parameters need it."""

    name: str = ""
    env: list[EnvVar] = []
    env_from: list[EnvFrom] = []


class TemplateSpec(_Wire, frozen=True):
    """``spec`` of a pod template."""

    containers: list[TemplateContainer] = []
    init_containers: list[TemplateContainer] = []
    service_account_name: str = ""


class PodTemplate(_Wire, frozen=True):
    """A workload's pod template."""

    spec: TemplateSpec = TemplateSpec()


class WorkloadSpec(_Wire, frozen=True):
    """``spec`` of a workload; absent ``replicas`` means one."""

    replicas: int = 1
    selector: LabelSelector = LabelSelector()
    template: PodTemplate = PodTemplate()


class WorkloadStatus(_Wire, frozen=True):
    """``status`` of a workload."""

    replicas: int = 0
    ready_replicas: int = 0


class Workload(_Wire, frozen=True):
    """A Deployment, StatefulSet, ReplicaSet, or anything with the same shape."""

    metadata: SlimMeta
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


class Secret(_Wire, frozen=True):
    """A Secret with its values decoded from base64."""

    metadata: ObjectMeta
    data: dict[str, bytes] = {}


class ConfigMap(_Wire, frozen=True):
    """A ConfigMap."""

    metadata: ObjectMeta
    data: dict[str, str] = {}
    binary_data: dict[str, bytes] = {}


class CustomObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object whose schema others know: metadata read, the rest as plain JSON values.

    Attributes:
        raw: The whole object without ``managedFields`` and kubectl's copy; not to be modified.
    """

    metadata: ObjectMeta
    raw: dict[str, Any]

    @property
    def status(self) -> dict[str, Any]:
        """The ``status`` part, empty when there is none."""
        status = self.raw.get("status")
        return status if isinstance(status, dict) else {}


class ListMeta(_Wire, frozen=True):
    """``metadata`` of a list: where to continue, and the version it is of."""

    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class ObjectList(_Wire, frozen=True):
    """A page of objects, not decoded yet."""

    metadata: ListMeta = ListMeta()
    items: list[msgspec.Raw] = []


class WatchEvent(msgspec.Struct, frozen=True):
    """One line of a watch; ``type`` is ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."""

    type: str
    object: msgspec.Raw


class Bookmark(_Wire, frozen=True):
    """The object of a BOOKMARK event: only its version means something."""

    metadata: ListMeta = ListMeta()


class Named(_Wire, frozen=True):
    """An object of which only the identity is wanted."""

    metadata: SlimMeta


decode_list = msgspec.json.Decoder(ObjectList).decode
decode_watch_event = msgspec.json.Decoder(WatchEvent).decode
decode_bookmark = msgspec.json.Decoder(Bookmark).decode
decode_name = msgspec.json.Decoder(Named).decode
decode_workload = msgspec.json.Decoder(Workload).decode
decode_secret = msgspec.json.Decoder(Secret).decode
decode_config_map = msgspec.json.Decoder(ConfigMap).decode


def decode_custom(data: bytes | msgspec.Raw) -> CustomObject:
    """Decode an object whose schema others know; raises msgspec.MsgspecError."""
    raw = msgspec.json.decode(data, type=dict[str, Any])
    metadata = raw.get("metadata")
    if isinstance(metadata, dict):
        metadata.pop("managedFields", None)
        annotations = metadata.get("annotations")
        if isinstance(annotations, dict):
            # A second copy of the whole object, kept by kubectl.
            annotations.pop(LAST_APPLIED, None)
    return CustomObject(metadata=msgspec.convert(metadata, ObjectMeta), raw=raw)
