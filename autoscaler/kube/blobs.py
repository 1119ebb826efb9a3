"""Bytes kept in a ConfigMap: one value, guarded by its resource version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from autoscaler.errors import KubeError, NotFound, shorten
from autoscaler.kube.codec import ConfigMap, decode_config_map
from autoscaler.kube.resources import CONFIG_MAPS
from autoscaler.kube.scale import FIELD_MANAGER, MERGE_PATCH
from autoscaler.kube.transport import KubeClient

KEY: Final = "snapshot"


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    """What a ConfigMap holds.

    Attributes:
        data: None when the ConfigMap has no such value.
        resource_version: To guard the next write.
    """

    data: bytes | None
    resource_version: str


async def read_blob(client: KubeClient, namespace: str, name: str) -> Blob | None:
    """Return a ConfigMap's blob; None when there is no such ConfigMap.

    Raises:
        KubeError: It could not be read.
    """
    path = CONFIG_MAPS.path(namespace, name)
    try:
        answer = await client.request("GET", path)
    except NotFound:
        return None
    found = _decoded(f"GET {path}", answer)
    return Blob(data=found.binary_data.get(KEY), resource_version=found.metadata.resource_version)


async def write_blob(
    client: KubeClient,
    namespace: str,
    name: str,
    data: bytes,
    *,
    labels: Mapping[str, str],
    resource_version: str,
) -> str:
    """Write a ConfigMap's blob and return its new resource version.

    Args:
        client: Connection.
        namespace: Of the ConfigMap.
        name: Of the ConfigMap.
        data: At most 1 MiB.
        labels: Given to a new ConfigMap.
        resource_version: From the last read or write; empty = it does not exist, create it.

    Raises:
        Conflict: Somebody else wrote (or created) it meanwhile: read it again.
        NotFound: It was deleted meanwhile.
        KubeError: Anything else.
    """
    path = CONFIG_MAPS.path(namespace, name if resource_version else None)
    values = {"binaryData": {KEY: data}}
    if resource_version:
        answer = await client.request(
            "PATCH",
            path,
            params={"fieldManager": FIELD_MANAGER},
            body=msgspec.json.encode({"metadata": {"resourceVersion": resource_version}, **values}),
            content_type=MERGE_PATCH,
        )
        return _decoded(f"PATCH {path}", answer).metadata.resource_version
    body = {
        "apiVersion": CONFIG_MAPS.api_version,
        "kind": CONFIG_MAPS.kind,
        "metadata": {"name": name, "labels": dict(labels)},
        **values,
    }
    answer = await client.request(
        "POST", path, params={"fieldManager": FIELD_MANAGER}, body=msgspec.json.encode(body)
    )
    return _decoded(f"POST {path} {name}", answer).metadata.resource_version


def _decoded(what: str, answer: bytes) -> ConfigMap:
    try:
        return decode_config_map(answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise KubeError(f"{what}: not a ConfigMap: {shorten(str(exc))}") from exc
