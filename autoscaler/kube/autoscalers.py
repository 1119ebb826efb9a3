"""HorizontalPodAutoscalers of others: what they scale, and removing one that was taken over."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from autoscaler.kube.codec import SlimMeta
from autoscaler.kube.resources import Resource
from autoscaler.kube.transport import KubeClient

AUTOSCALERS: Final = Resource(
    group="autoscaling",
    version="v2",
    plural="horizontalpodautoscalers",
    kind="HorizontalPodAutoscaler",
)


class _Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class ScaleTarget(_Wire, frozen=True):
    """``spec.scaleTargetRef``."""

    api_version: str = ""
    kind: str = ""
    name: str = ""


class AutoscalerSpec(_Wire, frozen=True):
    """``spec``, as far as somebody who takes over keeps it."""

    scale_target_ref: ScaleTarget = ScaleTarget()
    min_replicas: int = 1
    max_replicas: int = 1
    behavior: dict[str, Any] | None = None


class Autoscaler(_Wire, frozen=True):
    """A HorizontalPodAutoscaler."""

    metadata: SlimMeta
    spec: AutoscalerSpec = AutoscalerSpec()

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def target(self) -> tuple[str, str, str, str]:
        """Group, kind, namespace and name of what it scales."""
        ref = self.spec.scale_target_ref
        group = ref.api_version.rpartition("/")[0]
        return group, ref.kind, self.metadata.namespace, ref.name


decode_autoscaler = msgspec.json.Decoder(Autoscaler).decode


async def delete_autoscaler(client: KubeClient, found: Autoscaler) -> None:
    """Delete it if it is still as it was found.

    Raises:
        NotFound: It is gone already.
        Conflict: It has changed: look at it again.
        KubeError: Anything else.
    """
    meta = found.metadata
    preconditions = {"uid": meta.uid, "resourceVersion": meta.resource_version}
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions}
    await client.request(
        "DELETE",
        AUTOSCALERS.path(meta.namespace, meta.name),
        body=msgspec.json.encode(options),
    )
