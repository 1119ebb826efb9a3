"""ValidatingWebhookConfigurations: whose certificates the API server trusts when it calls us."""

from __future__ import annotations

import base64
from typing import Any, Final

import msgspec

from autoscaler.errors import KubeError, shorten
from autoscaler.kube.codec import SlimMeta
from autoscaler.kube.resources import Resource
from autoscaler.kube.scale import FIELD_MANAGER
from autoscaler.kube.transport import KubeClient

VALIDATING_WEBHOOK_CONFIGURATIONS: Final = Resource(
    group="admissionregistration.k8s.io",
    version="v1",
    plural="validatingwebhookconfigurations",
    kind="ValidatingWebhookConfiguration",
    namespaced=False,
)
JSON_PATCH: Final = "application/json-patch+json"


class _Wire(msgspec.Struct, frozen=True, rename="camel"):
    pass


class _ClientConfig(_Wire, frozen=True):
    ca_bundle: str = ""


class _Webhook(_Wire, frozen=True):
    client_config: _ClientConfig = _ClientConfig()


class _Configuration(_Wire, frozen=True):
    metadata: SlimMeta
    webhooks: list[_Webhook] = []


_decode = msgspec.json.Decoder(_Configuration).decode


async def trust(client: KubeClient, name: str, authorities_pem: bytes) -> bool:
    """Make the API server accept certificates of these authorities from all webhooks of an object.

    Args:
        client: Connection.
        name: Of the ValidatingWebhookConfiguration.
        authorities_pem: One or more certificates, PEM.

    Returns:
        Whether anything had to be changed.

    Raises:
        NotFound: There is no such configuration.
        KubeError: It could not be read or changed.
    """
    path = VALIDATING_WEBHOOK_CONFIGURATIONS.path(name=name)
    answer = await client.request("GET", path)
    try:
        found = _decode(answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KubeError(f"GET {path}: {shorten(str(error))}") from error
    bundle = base64.b64encode(authorities_pem).decode()
    changes: list[dict[str, Any]] = [
        # Webhooks have no address but their place, which must not have moved meanwhile.
        {
            "op": "test",
            "path": "/metadata/resourceVersion",
            "value": found.metadata.resource_version,
        }
    ]
    changes += [
        {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": bundle}
        for index, webhook in enumerate(found.webhooks)
        if webhook.client_config.ca_bundle != bundle
    ]
    if len(changes) == 1:
        return False
    await client.request(
        "PATCH",
        path,
        params={"fieldManager": FIELD_MANAGER},
        body=msgspec.json.encode(changes),
        content_type=JSON_PATCH,
    )
    return True
