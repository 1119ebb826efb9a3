"""The scale subresource."""

from __future__ import annotations

import pytest

from autoscaler.errors import Conflict, KubeError
from autoscaler.kube.resources import DEPLOYMENTS
from autoscaler.kube.scale import ScaleView, read_scale, write_scale
from tests.doubles.scripted_api import Answer, refusal, reply
from tests.unit.kube.conftest import Connected

pytestmark = pytest.mark.looptime

PATH = "/apis/apps/v1/namespaces/shop/deployments/web/scale"


async def test_reading_a_scale(connected: Connected) -> None:
    """Wanted and present replicas, selector and version are returned."""
    scale = {
        "kind": "Scale",
        "metadata": {"name": "web", "resourceVersion": "42"},
        "spec": {"replicas": 3},
        "status": {"replicas": 2, "selector": "app=web"},
    }
    async with connected(reply(scale)) as (api, client):
        view = await read_scale(client, DEPLOYMENTS, "shop", "web")
    assert view == ScaleView(
        spec_replicas=3, status_replicas=2, selector="app=web", resource_version="42"
    )
    assert api.asked == [f"GET {PATH}"]


async def test_a_missing_count_is_zero(connected: Connected) -> None:
    """The API leaves out zeros: a target at zero has neither spec nor status count."""
    async with connected(reply({"metadata": {"resourceVersion": "1"}, "spec": {}})) as (_, client):
        view = await read_scale(client, DEPLOYMENTS, "shop", "web")
    assert (view.spec_replicas, view.status_replicas, view.selector) == (0, 0, "")


async def test_a_write_is_guarded_by_the_version_read(connected: Connected) -> None:
    """The patch carries count and version, so that the API server can refuse it."""
    answer = {"metadata": {"resourceVersion": "43"}, "spec": {"replicas": 7}}
    async with connected(reply(answer)) as (api, client):
        view = await write_scale(
            client, DEPLOYMENTS, "shop", "web", replicas=7, resource_version="42"
        )
    asked = api.requests[0]
    assert api.asked == [f"PATCH {PATH}"]
    assert asked.json == {"metadata": {"resourceVersion": "42"}, "spec": {"replicas": 7}}
    assert asked.query == {"fieldManager": "flyball"}
    assert asked.headers["Content-Type"] == "application/merge-patch+json"
    assert (view.spec_replicas, view.resource_version) == (7, "43")


async def test_somebody_elses_write_is_a_conflict(connected: Connected) -> None:
    """A 409 is told as such and not tried again."""
    async with connected(refusal(409, "Conflict", "the object has been modified")) as (api, client):
        with pytest.raises(Conflict):
            await write_scale(client, DEPLOYMENTS, "shop", "web", replicas=7, resource_version="42")
    assert len(api.requests) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"spec": {"replicas": "three"}}'])
async def test_nonsense_is_an_error_and_never_a_count(connected: Connected, body: bytes) -> None:
    """An answer that is no Scale never passes for zero replicas."""
    async with connected(Answer([body])) as (_, client):
        with pytest.raises(KubeError, match="not a Scale"):
            await read_scale(client, DEPLOYMENTS, "shop", "web")
