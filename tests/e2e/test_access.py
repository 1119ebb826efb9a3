"""Getting at a real API server: tokens that end, definitions that are not there."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from pathlib import Path

import msgspec
import pytest
import structlog
import yaml

from autoscaler.controller.objects import WatchKeda
from autoscaler.controller.service import Service
from autoscaler.errors import KubeError
from autoscaler.kube.transport import KubeClient
from autoscaler.plugins import ScalerRegistry
from tests.e2e.controlplane import ControlPlane
from tests.e2e.live import QUICK, account_of_the_service, running
from tests.e2e.objects import FLYBALL, Objects, until
from tests.e2e.test_lifecycle import asked, cron

SECONDS_AN_HOUR = 3600


def token_bound_to(plane: ControlPlane, namespace: str, secret: str) -> str:
    """Return a token of the service's account that ends when a Secret is deleted."""
    bound = {"apiVersion": "v1", "kind": "Secret", "name": secret}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/flyball/token"
    spec = {"expirationSeconds": SECONDS_AN_HOUR, "boundObjectRef": bound}
    token: str = plane.administrator.create(path, {"spec": spec})["status"]["token"]
    return token


async def test_rotated_token_file_is_read_again(
    control_plane: ControlPlane, objects: Objects, tmp_path: Path
) -> None:
    """A token that ends while the service runs is replaced by what its file says by then."""
    _, kubeconfig = await account_of_the_service(control_plane, objects)
    for name in ("first", "second"):
        await objects.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}})
    bound = partial(asyncio.to_thread, token_bound_to, control_plane, objects.namespace)
    first, second = await bound("first"), await bound("second")
    content = yaml.safe_load(kubeconfig.read_text())
    login = content["users"][0]["user"]
    login["token"] = first
    literal = tmp_path / "first.kubeconfig"
    literal.write_text(yaml.safe_dump(content))
    del login["token"]
    token = tmp_path / "token"
    token.write_text(first)
    login["tokenFile"] = str(token)
    rotating = tmp_path / "rotating.kubeconfig"
    rotating.write_text(yaml.safe_dump(content))
    old = await KubeClient.connect(str(literal), in_cluster=False)
    path = f"/apis/{FLYBALL}/scaledobjects"

    async def has_ended() -> bool:
        try:
            await old.request("GET", path)
        except KubeError as error:
            return error.status == 401
        return False

    try:
        async with running(rotating):
            await objects.deploy("web", 0)
            await objects.scale_on("web", cron(3))
            await until("three are asked for", partial(asked, objects, 3))
            token.write_text(second)
            await objects.delete("v1", "Secret", "first")
            await until("the first token has ended", has_ended)
            more = {"spec": {"triggers": [cron(5)]}}
            await objects.patch(FLYBALL, "ScaledObject", "web", more)
            await until("five are asked for", partial(asked, objects, 5))
    finally:
        await old.close()


@pytest.mark.parametrize("service_kubeconfig", [["watch-keda"]], indirect=True, ids=[""])
async def test_definition_that_is_missing_is_named_and_the_rest_works(
    service_kubeconfig: Path, objects: Objects
) -> None:
    """Asked to watch KEDA's objects where KEDA was never installed, ours are scaled all the same."""
    settings = msgspec.structs.replace(QUICK, watch_keda=WatchKeda.ALL)
    client = await KubeClient.connect(str(service_kubeconfig), in_cluster=False)
    missing = "scaledobjects.keda.sh"
    with structlog.testing.capture_logs() as logs:
        service = Service(client, ScalerRegistry(), settings=settings, rng=random.Random(1))
        task = asyncio.ensure_future(service.run())
        try:
            await objects.deploy("web", 0)
            await objects.scale_on("web", cron())
            await until("three are asked for", partial(asked, objects, 3))

            async def is_named() -> bool:
                said = f"{missing}: its CustomResourceDefinition is not installed"
                return any(reason.startswith(said) for reason in service.unready_reasons())

            await until("the definition is named", is_named)
        finally:
            service.stop()
            await task
            await client.close()
    told = [one["resource"] for one in logs if one["event"] == "crd_missing"]
    assert told.count(missing) == 1
