"""The scale subresource: read it, and write it only if nobody else did in between."""

from __future__ import annotations

from typing import Final

import msgspec

from autoscaler.errors import KubeError, shorten
from autoscaler.kube.codec import ObjectMeta
from autoscaler.kube.resources import Resource
from autoscaler.kube.transport import KubeClient

FIELD_MANAGER: Final = "flyball"
MERGE_PATCH: Final = "application/merge-patch+json"


class ScaleView(msgspec.Struct, frozen=True, kw_only=True):
    """A scale target as the scale subresource shows it.

    Attributes:
        spec_replicas: What was asked for.
        status_replicas: What there is.
        selector: Of the target's pods, textual; empty when the target declares none.
        resource_version: To guard the next write.
    """

    spec_replicas: int
    status_replicas: int
    selector: str
    resource_version: str


class _ScaleSpec(msgspec.Struct, frozen=True):
    # The API leaves out a zero.
    replicas: int = 0


class _ScaleStatus(msgspec.Struct, frozen=True):
    replicas: int = 0
    selector: str = ""


class _Scale(msgspec.Struct, frozen=True):
    metadata: ObjectMeta
    spec: _ScaleSpec = _ScaleSpec()
    status: _ScaleStatus = _ScaleStatus()


_decode = msgspec.json.Decoder(_Scale).decode


async def read_scale(
    client: KubeClient, resource: Resource, namespace: str, name: str
) -> ScaleView:
    """Read the scale subresource; raises KubeError."""
    path = resource.path(namespace, name, "scale")
    return _view(f"GET {path}", await client.request("GET", path))


async def write_scale(
    client: KubeClient,
    resource: Resource,
    namespace: str,
    name: str,
    *,
    replicas: int,
    resource_version: str,
) -> ScaleView:
    """Set the replicas of a target that is still as it was read.

    Args:
        client: Connection.
        resource: Of the target.
        namespace: Of the target.
        name: Of the target.
        replicas: >= 0.
        resource_version: From the read the decision was made on; never empty, because without it
            the write would go through whatever others did.

    Raises:
        Conflict: The target changed since then: observe and decide again.
        KubeError: Anything else.
    """
    assert replicas >= 0
    assert resource_version
    path = resource.path(namespace, name, "scale")
    patch = {"metadata": {"resourceVersion": resource_version}, "spec": {"replicas": replicas}}
    answer = await client.request(
        "PATCH",
        path,
        params={"fieldManager": FIELD_MANAGER},
        body=msgspec.json.encode(patch),
        content_type=MERGE_PATCH,
    )
    return _view(f"PATCH {path}", answer)


def _view(what: str, body: bytes) -> ScaleView:
    try:
        scale = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise KubeError(f"{what}: not a Scale: {shorten(str(exc))}") from exc
    return ScaleView(
        spec_replicas=scale.spec.replicas,
        status_replicas=scale.status.replicas,
        selector=scale.status.selector,
        resource_version=scale.metadata.resource_version,
    )
