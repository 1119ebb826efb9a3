"""A Secret of our own: read whole, written under guard of its resource version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from autoscaler.errors import KubeError, NotFound, shorten
from autoscaler.kube.codec import Secret, decode_secret
from autoscaler.kube.resources import SECRETS
from autoscaler.kube.scale import FIELD_MANAGER, MERGE_PATCH
from autoscaler.kube.transport import KubeClient

LABELS: Final[Mapping[str, str]] = {"app.kubernetes.io/name": "flyball"}


async def read_secret(client: KubeClient, namespace: str, name: str) -> Secret | None:
    """Return a Secret, None when there is none; raises KubeError."""
    path = SECRETS.path(namespace, name)
    try:
        answer = await client.request("GET", path)
    except NotFound:
        return None
    try:
        return decode_secret(answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KubeError(f"GET {path}: not a Secret: {shorten(str(error))}") from error


async def write_secret(
    client: KubeClient,
    namespace: str,
    name: str,
    data: Mapping[str, bytes],
    *,
    resource_version: str,
) -> None:
    """Set entries of a Secret; others stay.

    Args:
        client: Connection.
        namespace: Of the Secret.
        name: Of the Secret.
        data: Values by key.
        resource_version: From the last read; empty = it does not exist, create it.

    Raises:
        Conflict: Somebody else wrote or created it meanwhile: read it again.
        KubeError: Anything else.
    """
    if resource_version:
        await client.request(
            "PATCH",
            SECRETS.path(namespace, name),
            params={"fieldManager": FIELD_MANAGER},
            body=msgspec.json.encode(
                {"metadata": {"resourceVersion": resource_version}, "data": data}
            ),
            content_type=MERGE_PATCH,
        )
        return
    body = {
        "apiVersion": SECRETS.api_version,
        "kind": SECRETS.kind,
        "metadata": {"name": name, "labels": dict(LABELS)},
        "type": "Opaque",
        "data": data,
    }
    await client.request(
        "POST",
        SECRETS.path(namespace),
        params={"fieldManager": FIELD_MANAGER},
        body=msgspec.json.encode(body),
    )
