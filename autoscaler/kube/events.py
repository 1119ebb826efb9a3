"""Kubernetes events: counted up instead of repeated, rate limited, and never in the way."""

from __future__ import annotations

import msgspec

from autoscaler.kube.codec import ObjectMeta
from autoscaler.kube.resources import Resource
from autoscaler.kube.transport import KubeClient
from autoscaler.runtime.clock import Clock


class ObjectReference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The object an event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str = ""
    resource_version: str = ""

    @classmethod
    def to(cls, resource: Resource, metadata: ObjectMeta) -> ObjectReference:
        """Build the reference to an object."""
        return cls(
            api_version=resource.api_version,
            kind=resource.kind,
            namespace=metadata.namespace,
            name=metadata.name,
            uid=metadata.uid,
            resource_version=metadata.resource_version,
        )


class EventRecorder:
    """Takes events at any time and writes them from its own root task.

    Args:
        client: Connection.
        clock: For time stamps.
        component: Who reports.
        limit: Distinct events waiting at most; further ones are dropped and counted.
    """

    def __init__(
        self,
        client: KubeClient,
        clock: Clock,
        *,
        component: str = "flyball",
        limit: int = 1000,
    ) -> None:
        raise NotImplementedError

    def record(self, about: ObjectReference, type_: str, reason: str, message: str) -> None:
        """Queue an event; returns at once and never raises.

        Args:
            about: The object.
            type_: ``Normal`` or ``Warning``.
            reason: CamelCase.
            message: For people; cut to the API's 1024 characters.
        """
        raise NotImplementedError

    async def run(self) -> None:
        """Write queued events until cancelled (root task)."""
        raise NotImplementedError

    async def flush(self) -> None:
        """Write what is queued now, without rate limit (last words before closing)."""
        raise NotImplementedError
