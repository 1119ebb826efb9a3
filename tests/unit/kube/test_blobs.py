"""One value in a ConfigMap."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from autoscaler.errors import Conflict, KubeError, NotFound
from autoscaler.kube.blobs import read_blob, write_blob
from tests.doubles.scripted_api import refusal, reply

PATH = "/api/v1/namespaces/flyball-system/configmaps"
LABELS = {"app.kubernetes.io/name": "flyball"}


def config_map(version: str, **fields: Any) -> dict[str, Any]:
    """Return a ConfigMap."""
    return {"metadata": {"name": "memory-0", "resourceVersion": version}, **fields}


async def test_a_blob_is_read_with_its_version(connected) -> None:
    """Binary data comes decoded; a ConfigMap without the value has none."""
    data = base64.b64encode(b"\x00\xff").decode()
    answers = reply(config_map("7", binaryData={"snapshot": data})), reply(config_map("8"))
    async with connected(*answers) as (api, client):
        blob = await read_blob(client, "flyball-system", "memory-0")
        assert blob is not None
        assert (blob.data, blob.resource_version) == (b"\x00\xff", "7")
        blob = await read_blob(client, "flyball-system", "memory-0")
        assert blob is not None
        assert (blob.data, blob.resource_version) == (None, "8")
        assert set(api.asked) == {f"GET {PATH}/memory-0"}


async def test_a_missing_config_map_is_no_error(connected) -> None:
    """There is simply nothing yet; other refusals are errors."""
    async with connected(refusal(404, "NotFound"), refusal(503, "x")) as (_, client):
        assert await read_blob(client, "flyball-system", "memory-0") is None
        with pytest.raises(KubeError):
            await read_blob(client, "flyball-system", "memory-0")


async def test_a_new_blob_is_created_with_labels(connected) -> None:
    """An empty version means that there is no ConfigMap yet."""
    async with connected(reply(config_map("9"), 201)) as (api, client):
        version = await write_blob(
            client, "flyball-system", "memory-0", b"x", labels=LABELS, resource_version=""
        )
    (asked,) = api.requests
    assert version == "9"
    assert (asked.method, asked.path) == ("POST", PATH)
    assert asked.query == {"fieldManager": "flyball"}
    assert asked.json == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "memory-0", "labels": LABELS},
        "binaryData": {"snapshot": "eA=="},
    }


async def test_a_known_blob_is_replaced_if_nobody_else_wrote(connected) -> None:
    """The patch carries the version it was read with, and leaves labels to whoever set them."""
    async with connected(
        reply(config_map("10")), refusal(409, "Conflict"), refusal(404, "NotFound")
    ) as (api, client):

        async def write() -> str:
            return await write_blob(
                client, "flyball-system", "memory-0", b"x", labels=LABELS, resource_version="9"
            )

        assert await write() == "10"
        with pytest.raises(Conflict):
            await write()
        with pytest.raises(NotFound):
            await write()
    asked = api.requests[0]
    assert (asked.method, asked.path) == ("PATCH", f"{PATH}/memory-0")
    assert asked.headers["Content-Type"] == "application/merge-patch+json"
    assert asked.json == {
        "metadata": {"resourceVersion": "9"},
        "binaryData": {"snapshot": "eA=="},
    }


async def test_nonsense_is_an_error(connected) -> None:
    """An answer that is no ConfigMap names the request."""
    async with connected(reply([1])) as (_, client):
        with pytest.raises(KubeError, match="not a ConfigMap"):
            await read_blob(client, "flyball-system", "memory-0")
