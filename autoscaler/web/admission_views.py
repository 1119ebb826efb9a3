"""Other objects as the webhook's rules see them: decoded from the API's JSON, nothing else kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from autoscaler.api.annotations import HPA_OWNERSHIP_CHECK, is_on
from autoscaler.api.conflicts import (
    Autoscaler,
    Claimant,
    Owner,
    Target,
    Template,
    TemplateContainer,
    autoscaler_name,
)
from autoscaler.kube.codec import SlimMeta

SIDECAR: Final = "Always"
"""Restart policy of init containers that run as long as their pod."""


class ClaimView(msgspec.Struct, frozen=True):
    """A ScaledObject as stored; None in ``claimant`` means it is in nobody's way."""

    metadata: SlimMeta
    claimant: Claimant | None


class AutoscalerView(msgspec.Struct, frozen=True):
    """A HorizontalPodAutoscaler as stored."""

    metadata: SlimMeta
    autoscaler: Autoscaler


class _Wire(msgspec.Struct, frozen=True, rename="camel"):
    pass


class _TargetRef(_Wire, frozen=True):
    api_version: str = ""
    kind: str = ""
    name: str = ""

    def target(self) -> Target:
        return Target.of(self.api_version, self.kind, self.name)


class _HpaConfig(_Wire, frozen=True):
    name: str = ""


class _Advanced(_Wire, frozen=True):
    horizontal_pod_autoscaler_config: _HpaConfig | None = None


class _ClaimSpec(_Wire, frozen=True):
    scale_target_ref: _TargetRef = _TargetRef()
    advanced: _Advanced | None = None
    mode: str | None = None


class _Claim(_Wire, frozen=True):
    metadata: SlimMeta
    api_version: str = ""
    spec: _ClaimSpec = _ClaimSpec()


class _OwnerReference(_Wire, frozen=True):
    api_version: str = ""
    kind: str = ""
    name: str = ""


class _OwnedMeta(_Wire, frozen=True):
    annotations: dict[str, str] = {}
    owner_references: list[_OwnerReference] = []


class _AutoscalerSpec(_Wire, frozen=True):
    scale_target_ref: _TargetRef = _TargetRef()


class _Autoscaler(_Wire, frozen=True):
    # Read twice: what a store needs to know, and what the shared metadata leaves out.
    metadata: msgspec.Raw
    spec: _AutoscalerSpec = _AutoscalerSpec()


class _Resources(_Wire, frozen=True):
    requests: dict[str, msgspec.Raw] = {}
    limits: dict[str, msgspec.Raw] = {}

    def names(self) -> frozenset[str]:
        # Where only a limit is given, the API server makes it the request.
        return frozenset({*self.requests, *self.limits})


class _Container(_Wire, frozen=True):
    name: str = ""
    restart_policy: str = ""
    resources: _Resources = _Resources()


class _PodSpec(_Wire, frozen=True):
    containers: list[_Container] = []
    init_containers: list[_Container] = []
    resources: _Resources | None = None


class _PodTemplate(_Wire, frozen=True):
    spec: _PodSpec = _PodSpec()


class _WorkloadSpec(_Wire, frozen=True):
    template: _PodTemplate = _PodTemplate()


class _Workload(_Wire, frozen=True):
    spec: _WorkloadSpec = _WorkloadSpec()


class _Limit(_Wire, frozen=True):
    type: str = ""
    default: dict[str, msgspec.Raw] = {}
    default_request: dict[str, msgspec.Raw] = {}


class _LimitRangeSpec(_Wire, frozen=True):
    limits: list[_Limit] = []


class _LimitRange(_Wire, frozen=True):
    spec: _LimitRangeSpec = _LimitRangeSpec()


class _LimitRanges(_Wire, frozen=True):
    items: list[_LimitRange] = []


_read_claim = msgspec.json.Decoder(_Claim).decode
_read_autoscaler = msgspec.json.Decoder(_Autoscaler).decode
_read_slim_meta = msgspec.json.Decoder(SlimMeta).decode
_read_owned_meta = msgspec.json.Decoder(_OwnedMeta).decode
_read_workload = msgspec.json.Decoder(_Workload).decode
_read_limit_ranges = msgspec.json.Decoder(_LimitRanges).decode


def decode_claim(data: bytes | msgspec.Raw) -> ClaimView:
    """Decode a ScaledObject; raises msgspec.MsgspecError.

    One that is being deleted, or only watches its target, claims nothing.
    """
    wire = _read_claim(data)
    meta, spec = wire.metadata, wire.spec
    if meta.deletion_timestamp is not None or spec.mode == "shadow":
        return ClaimView(meta, None)
    config = spec.advanced.horizontal_pod_autoscaler_config if spec.advanced else None
    claimant = Claimant(
        group=wire.api_version.partition("/")[0],
        name=meta.name,
        target=spec.scale_target_ref.target(),
        autoscaler=autoscaler_name(config.name if config else "", meta.name),
    )
    return ClaimView(meta, claimant)


def decode_autoscaler(data: bytes | msgspec.Raw) -> AutoscalerView:
    """Decode a HorizontalPodAutoscaler; raises msgspec.MsgspecError."""
    wire = _read_autoscaler(data)
    meta, owned = _read_slim_meta(wire.metadata), _read_owned_meta(wire.metadata)
    autoscaler = Autoscaler(
        name=meta.name,
        target=wire.spec.scale_target_ref.target(),
        owners=tuple(
            Owner(owner.api_version.partition("/")[0], owner.kind, owner.name)
            for owner in owned.owner_references
        ),
        is_exempt=HPA_OWNERSHIP_CHECK in owned.annotations
        and not is_on(owned.annotations, HPA_OWNERSHIP_CHECK),
    )
    # Labels and owners are of no further use; a store only needs to tell versions apart.
    slim = SlimMeta(
        name=meta.name, namespace=meta.namespace, resource_version=meta.resource_version
    )
    return AutoscalerView(slim, autoscaler)


def decode_template(data: bytes) -> Template:
    """Decode what the pod template of a workload requests; raises msgspec.MsgspecError."""
    pod = _read_workload(data).spec.template.spec
    return Template(
        containers=tuple(
            TemplateContainer(container.name, container.resources.names())
            for container in _running(pod)
        ),
        resources=pod.resources.names() if pod.resources else frozenset(),
    )


def decode_container_defaults(data: bytes) -> frozenset[str]:
    """Decode the resources a list of LimitRanges gives containers; raises msgspec.MsgspecError."""
    return frozenset(
        resource
        for limit_range in _read_limit_ranges(data).items
        for limit in limit_range.spec.limits
        if limit.type == "Container"
        for resource in (*limit.default, *limit.default_request)
    )


def _running(pod: _PodSpec) -> Iterable[_Container]:
    sidecars = (one for one in pod.init_containers if one.restart_policy == SIDECAR)
    return (*pod.containers, *sidecars)
