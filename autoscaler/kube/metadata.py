"""Finalizers and annotations of ours on objects of other people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from autoscaler.errors import KubeError, shorten
from autoscaler.kube.codec import CustomObject, decode_custom
from autoscaler.kube.resources import Resource
from autoscaler.kube.scale import FIELD_MANAGER, MERGE_PATCH
from autoscaler.kube.transport import KubeClient


async def read_custom(client: KubeClient, resource: Resource, item: CustomObject) -> CustomObject:
    """Return an object as it is now; raises KubeError."""
    path = resource.path(item.metadata.namespace, item.metadata.name)
    return _decoded(f"GET {path}", await client.request("GET", path))


async def write_metadata(
    client: KubeClient,
    resource: Resource,
    item: CustomObject,
    *,
    finalizers: Sequence[str] | None = None,
    annotations: Mapping[str, str | None] | None = None,
) -> CustomObject:
    """Change an object's metadata if the object is still as it was seen.

    Args:
        client: Connection.
        resource: Of the object.
        item: As seen.
        finalizers: All of them from now on (a list is replaced as a whole); None = as they are.
        annotations: To set, or with None to remove; others stay.

    Returns:
        The object after the write.

    Raises:
        Conflict: It has changed: look at it again.
        KubeError: Anything else.
    """
    meta = item.metadata
    changes: dict[str, Any] = {"resourceVersion": meta.resource_version}
    if finalizers is not None:
        changes["finalizers"] = list(finalizers)
    if annotations is not None:
        changes["annotations"] = dict(annotations)
    path = resource.path(meta.namespace, meta.name)
    answer = await client.request(
        "PATCH",
        path,
        params={"fieldManager": FIELD_MANAGER},
        body=msgspec.json.encode({"metadata": changes}),
        content_type=MERGE_PATCH,
    )
    return _decoded(f"PATCH {path}", answer)


def _decoded(what: str, answer: bytes) -> CustomObject:
    try:
        return decode_custom(answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise KubeError(f"{what}: not an object: {shorten(str(exc))}") from exc
