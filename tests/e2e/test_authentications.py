"""Authentications on a real control plane: who uses them, as ``kubectl get`` shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from autoscaler.controller.objects import WatchKeda
from tests.e2e.fixtures import Cluster
from tests.e2e.live import QUICK, running
from tests.e2e.objects import FLYBALL, PAUSE_IMAGE, Objects, until
from tests.e2e.test_definitions import table
from tests.e2e.test_lifecycle import KEDA

KINDS = ("TriggerAuthentication", "ClusterTriggerAuthentication")


@pytest.fixture
async def authentications(
    objects: Objects, keda_definitions: None
) -> AsyncIterator[list[dict[str, Any]]]:
    """One of each kind in each group, all named after the namespace; deleted afterwards."""
    entry = {"parameter": "password", "name": "keys", "key": "p"}
    made = [
        {
            "apiVersion": api,
            "kind": kind,
            "metadata": {"name": objects.namespace},
            "spec": {"secretTargetRef": [entry]},
        }
        for api in (FLYBALL, KEDA)
        for kind in KINDS
    ]
    for one in made:
        await objects.create(one)
    yield made
    for one in made:
        await objects.delete(one["apiVersion"], one["kind"], objects.namespace)


def trigger(name: str, kind: str) -> dict[str, Any]:
    """Return a trigger that nobody answers, with an authentication."""
    metadata = {"url": "http://127.0.0.1:1/", "valueLocation": "v", "targetValue": "1"}
    reference = {"name": name, "kind": kind}
    return {"type": "metrics-api", "metadata": metadata, "authenticationRef": reference}


def user(api: str, kind: str, name: str, *triggers: dict[str, Any]) -> dict[str, Any]:
    """Return a ScaledObject or ScaledJob."""
    container = {"name": "main", "image": PAUSE_IMAGE}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    what: dict[str, Any] = {"jobTargetRef": {"template": template}}
    if kind == "ScaledObject":
        what = {"scaleTargetRef": {"name": name}}
    body = {"apiVersion": api, "kind": kind, "metadata": {"name": name}}
    return {**body, "spec": {**what, "pollingInterval": 1, "triggers": list(triggers)}}


@pytest.mark.parametrize("service_kubeconfig", [["watch-keda"]], indirect=True, ids=[""])
async def test_users_are_in_the_columns_of_the_definition(
    service_kubeconfig: Path,
    cluster: Cluster,
    objects: Objects,
    authentications: list[dict[str, Any]],
) -> None:
    """Of both kinds and, where KEDA is gone, of both groups; with the rights of the base."""
    settings = msgspec.structs.replace(QUICK, watch_keda=WatchKeda.ALL)

    async def shows(one: dict[str, Any], scaled_objects: str, scaled_jobs: str | None) -> bool:
        shown = await table(cluster, await objects.path(one, objects.namespace))
        return (shown["ScaledObjects"], shown["ScaledJobs"]) == (scaled_objects, scaled_jobs)

    async with running(service_kubeconfig, settings):
        for api in (FLYBALL, KEDA):
            both = [trigger(objects.namespace, kind) for kind in KINDS]
            for name in ("web", "api"):
                await objects.create(user(api, "ScaledObject", name, *both))
            await objects.create(user(api, "ScaledJob", "video", *both))
        for one in authentications:
            what = f"{one['apiVersion']} {one['kind']} names its users"
            await until(what, partial(shows, one, "api,web", "video"))
        for api in (FLYBALL, KEDA):
            await objects.delete(api, "ScaledObject", "api")
            await objects.delete(api, "ScaledJob", "video")
        for one in authentications:
            what = f"{one['apiVersion']} {one['kind']} names the one that is left"
            await until(what, partial(shows, one, "web", None))
