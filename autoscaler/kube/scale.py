"""The scale subresource: read it, and write it only if nobody else did in between."""

from __future__ import annotations

import msgspec

from autoscaler.kube.resources import Resource
from autoscaler.kube.transport import KubeClient

FIELD_MANAGER = "flyball"


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


async def read_scale(
    client: KubeClient, resource: Resource, namespace: str, name: str
) -> ScaleView:
    """Read the scale subresource; raises KubeError."""
    raise NotImplementedError


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

    Raises:
        Conflict: The target changed since ``resource_version``: observe and decide again.
        KubeError: Anything else.
    """
    raise NotImplementedError
