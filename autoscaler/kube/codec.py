"""What is read of each object: msgspec projections with only the fields somebody uses.

Decoding into a projection is some hundred times cheaper than into typed models, and fields that
nobody reads (``managedFields`` above all) never take memory. An absent field means the API's
default, as Go's ``omitempty`` leaves out zeros.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol, TypeVar

import msgspec

from autoscaler.core.model import Pod


class _Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of the projections: camelCase names, everything optional."""


class OwnerReference(_Wire):
    """Who created an object."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class PodMeta(_Wire):
    """The metadata kept of objects there are many of."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] = {}
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    owner_references: list[OwnerReference] = []


class ObjectMeta(_Wire):
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


class Metadata(Protocol):
    """What every object's metadata has."""

    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def resource_version(self) -> str: ...
    @property
    def labels(self) -> dict[str, str]: ...


class HasMetadata(Protocol):
    """An object a store can hold."""

    @property
    def metadata(self) -> Metadata:
        """Name, namespace, version, labels."""
        ...


T = TypeVar("T", bound=HasMetadata)


class PodView(msgspec.Struct, frozen=True, kw_only=True):
    """A pod as stored: its metadata, and the core's view of it, built once on arrival."""

    metadata: PodMeta
    pod: Pod
    node: str = ""

    @property
    def is_ready(self) -> bool:
        """Running with Ready=True, terminating or not, as the HPA counts ready pods."""
        return self.pod.phase == "Running" and self.pod.ready == "True"


class LabelSelector(_Wire):
    """``matchLabels`` and ``matchExpressions`` of a workload."""

    match_labels: dict[str, str] = {}
    match_expressions: list[LabelRequirement] = []


class LabelRequirement(_Wire):
    """One expression: ``In``, ``NotIn``, ``Exists`` or ``DoesNotExist``."""

    key: str
    operator: str
    values: list[str] = []


class KeyRef(_Wire):
    """A key of a Secret or ConfigMap."""

    name: str = ""
    key: str = ""
    optional: bool = False


class EnvSource(_Wire):
    """``valueFrom`` of an environment variable."""

    secret_key_ref: KeyRef | None = None
    config_map_key_ref: KeyRef | None = None


class EnvVar(_Wire):
    """An environment variable of a container."""

    name: str = ""
    value: str = ""
    value_from: EnvSource | None = None


class EnvFromRef(_Wire):
    """A whole Secret or ConfigMap as environment."""

    name: str = ""
    optional: bool = False


class EnvFrom(_Wire):
    """One entry of ``envFrom``."""

    prefix: str = ""
    secret_ref: EnvFromRef | None = None
    config_map_ref: EnvFromRef | None = None


class TemplateContainer(_Wire):
    """A container of a pod template, as far as ``FromEnv`` parameters need it."""

    name: str = ""
    env: list[EnvVar] = []
    env_from: list[EnvFrom] = []


class TemplateSpec(_Wire):
    """``spec`` of a pod template."""

    containers: list[TemplateContainer] = []
    init_containers: list[TemplateContainer] = []
    service_account_name: str = ""


class PodTemplate(_Wire):
    """A workload's pod template."""

    spec: TemplateSpec = TemplateSpec()


class WorkloadSpec(_Wire):
    """``spec`` of a workload; absent ``replicas`` means one."""

    replicas: int = 1
    selector: LabelSelector = LabelSelector()
    template: PodTemplate = PodTemplate()


class WorkloadStatus(_Wire):
    """``status`` of a workload."""

    replicas: int = 0
    ready_replicas: int = 0


class Workload(_Wire):
    """A Deployment, StatefulSet, ReplicaSet, or anything with the same shape."""

    metadata: ObjectMeta
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


class Secret(_Wire):
    """A Secret with its values decoded from base64."""

    metadata: ObjectMeta
    data: dict[str, bytes] = {}


class ConfigMap(_Wire):
    """A ConfigMap."""

    metadata: ObjectMeta
    data: dict[str, str] = {}
    binary_data: dict[str, bytes] = {}


class CustomObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object whose schema others know: metadata read, the rest as plain JSON values.

    Attributes:
        raw: The whole object without ``managedFields``; not to be modified.
    """

    metadata: ObjectMeta
    raw: dict[str, Any]

    @property
    def status(self) -> dict[str, Any]:
        """The ``status`` part, empty when there is none."""
        status = self.raw.get("status")
        return status if isinstance(status, dict) else {}


def decode_pod(data: bytes | msgspec.Raw) -> PodView:
    """Decode a pod and convert it to the core's view."""
    raise NotImplementedError


def decode_workload(data: bytes | msgspec.Raw) -> Workload:
    """Decode a workload."""
    raise NotImplementedError


def decode_secret(data: bytes | msgspec.Raw) -> Secret:
    """Decode a Secret."""
    raise NotImplementedError


def decode_config_map(data: bytes | msgspec.Raw) -> ConfigMap:
    """Decode a ConfigMap."""
    raise NotImplementedError


def decode_custom(data: bytes | msgspec.Raw) -> CustomObject:
    """Decode a custom object."""
    raise NotImplementedError
