"""Kinds that others publish, with their own definitions and schemas, are scaled like any other."""

from __future__ import annotations

import asyncio
import gzip
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.kube.transport import KubeClient
from tests.e2e.live import running
from tests.e2e.objects import PAUSE_IMAGE, Objects, until
from tests.e2e.test_deploy import authentication, secret
from tests.e2e.test_lifecycle import cron, is_served

DEFINITIONS = Path(__file__).parents[1] / "data" / "definitions"
POD = {"spec": {"containers": [{"name": "main", "image": PAUSE_IMAGE}]}}
LABELS = {"app": "web"}
ROLLOUT = {
    "selector": {"matchLabels": LABELS},
    "template": {"metadata": {"labels": LABELS}, **POD},
    "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}},
}
LEADER_WORKER_SET = {"leaderWorkerTemplate": {"size": 2, "workerTemplate": POD}}


@pytest.mark.parametrize(
    ("file", "api", "kind", "spec"),
    [
        ("argoproj.io_rollouts", "argoproj.io/v1alpha1", "Rollout", ROLLOUT),
        (
            "leaderworkerset.x-k8s.io_leaderworkersets",
            "leaderworkerset.x-k8s.io/v1",
            "LeaderWorkerSet",
            LEADER_WORKER_SET,
        ),
    ],
    ids=["Argo Rollout", "LeaderWorkerSet"],
)
async def test_published_kind_is_scaled(
    file: str,
    *,
    api: str,
    kind: str,
    spec: dict[str, Any],
    service_kubeconfig: Path,
    objects: Objects,
    client: KubeClient,
) -> None:
    """Replicas follow the trigger through the kind's own scale subresource, and nothing else does.

    The rights of the base are enough for that, also where a trigger takes something from a Secret.
    """
    body = yaml.safe_load(await asyncio.to_thread(_definition, file))
    await objects.apply(body)
    group, plural = body["spec"]["group"], body["spec"]["names"]["plural"]
    await until(
        "the kind is served", partial(is_served, client, group, plural, api.partition("/")[2])
    )
    target = {"apiVersion": api, "kind": kind, "metadata": {"name": "web"}}
    made = await objects.create({**target, "spec": {"replicas": 1, **spec}})

    async def is_three() -> bool:
        found = await objects.get(api, kind, "web")
        return bool(found["spec"] == {**made["spec"], "replicas": 3})

    async with running(service_kubeconfig):
        reference = {"name": "web", "kind": kind, "apiVersion": api}
        await objects.apply(secret("redis", address="redis:6379"))
        await objects.create(authentication("TriggerAuthentication", "secretTargetRef"))
        trigger = {**cron(), "authenticationRef": {"name": "redis"}}
        await objects.scale_on("web", trigger, scaleTargetRef=reference)
        await until("three are asked for", is_three)
        assert await objects.condition("web") == ("True", "ScaledObjectReady")


def _definition(file: str) -> bytes:
    return gzip.decompress((DEFINITIONS / f"{file}.yaml.gz").read_bytes())
