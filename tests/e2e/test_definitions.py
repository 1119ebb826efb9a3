"""What a real API server thinks of ``deploy/``: definitions, examples, and what is no example."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from autoscaler.errors import Invalid
from autoscaler.kube.config import find_endpoint
from tests.e2e.fixtures import Cluster
from tests.e2e.objects import FLYBALL, Objects

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
DEPLOY = Path(__file__).parents[2] / "deploy"
EXAMPLES = [
    pytest.param(body, id=f"{path.stem}-{body['kind']}")
    for path in sorted((DEPLOY / "examples").glob("*.yaml"))
    for body in yaml.safe_load_all(path.read_text())
]
DEFINITIONS = [
    pytest.param(yaml.safe_load(path.read_text()), id=path.stem.partition("_")[2])
    for path in sorted((DEPLOY / "crds").glob("*.yaml"))
]
GOOD: dict[str, Any] = {
    "apiVersion": FLYBALL,
    "kind": "ScaledObject",
    "metadata": {"name": "web"},
    "spec": {
        "scaleTargetRef": {"name": "web"},
        "triggers": [{"type": "redis", "metadata": {"address": "r:6379", "listName": "jobs"}}],
    },
}

Change = Callable[[dict[str, Any]], object]
BAD: dict[str, tuple[Change, str]] = {
    "no spec": (lambda body: body.pop("spec"), "spec"),
    "no target": (lambda body: body["spec"].pop("scaleTargetRef"), "spec.scaleTargetRef"),
    "target without a name": (
        lambda body: body["spec"]["scaleTargetRef"].pop("name"),
        "spec.scaleTargetRef.name",
    ),
    "empty target name": (
        lambda body: body["spec"]["scaleTargetRef"].update(name=""),
        "spec.scaleTargetRef.name",
    ),
    "no triggers": (lambda body: body["spec"].pop("triggers"), "spec.triggers"),
    "trigger without a type": (
        lambda body: body["spec"]["triggers"][0].pop("type"),
        "spec.triggers[0].type",
    ),
    "number among the parameters": (
        lambda body: body["spec"]["triggers"][0]["metadata"].update(listLength=5),
        "spec.triggers[0].metadata.listLength",
    ),
    "polling interval of zero": (
        lambda body: body["spec"].update(pollingInterval=0),
        "spec.pollingInterval",
    ),
    "negative cooldown": (
        lambda body: body["spec"].update(cooldownPeriod=-1),
        "spec.cooldownPeriod",
    ),
    "interval as text": (
        lambda body: body["spec"].update(pollingInterval="30"),
        "spec.pollingInterval",
    ),
    "min above max": (
        lambda body: body["spec"].update(minReplicaCount=5, maxReplicaCount=4),
        "minReplicaCount must be at most maxReplicaCount",
    ),
    "min above the default max": (
        lambda body: body["spec"].update(minReplicaCount=101),
        "minReplicaCount must be at most maxReplicaCount",
    ),
    "fallback without replicas": (
        lambda body: body["spec"].update(fallback={"failureThreshold": 3}),
        "spec.fallback.replicas",
    ),
    "unknown fallback behavior": (
        lambda body: body["spec"].update(
            fallback={"failureThreshold": 3, "replicas": 1, "behavior": "guess"}
        ),
        "spec.fallback.behavior",
    ),
    "unknown mode": (lambda body: body["spec"].update(mode="dry"), "spec.mode"),
    "unknown smoothing": (
        lambda body: body["spec"]["triggers"][0].update(smoothing={"type": "mean"}),
        "spec.triggers[0].smoothing.type",
    ),
    "policy without a period": (
        lambda body: body["spec"].update(
            advanced={
                "horizontalPodAutoscalerConfig": {
                    "behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1}]}}
                }
            }
        ),
        "spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.policies[0].periodSeconds",
    ),
    "misspelt field": (lambda body: body["spec"].update(minReplicas=1), "minReplicas"),
}


@pytest.mark.parametrize("body", DEFINITIONS)
async def test_definition_is_accepted(objects: Objects, body: dict[str, Any]) -> None:
    """Every definition is established, structural, and complains of nothing."""
    name = body["metadata"]["name"]
    stored = await objects.get(body["apiVersion"], body["kind"], name)
    conditions = {one["type"]: one["status"] for one in stored["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"


@pytest.mark.parametrize("body", DEFINITIONS)
async def test_stored_definition_says_what_was_sent(objects: Objects, body: dict[str, Any]) -> None:
    """The API server dropped nothing of a definition: it knows every field used in it."""
    stored = await objects.get(body["apiVersion"], body["kind"], body["metadata"]["name"])
    assert lacks(stored["spec"], body["spec"]) == []


@pytest.mark.parametrize("example", EXAMPLES)
async def test_example_is_accepted(objects: Objects, example: dict[str, Any]) -> None:
    """A dry run takes every example and loses no field of it."""
    body = copy.deepcopy(example)
    body["metadata"].pop("namespace", None)
    answered = await objects.apply(body, dry_run=True)
    assert lacks(answered["spec"], body["spec"]) == []


async def test_good_object_is_accepted(objects: Objects) -> None:
    """What the bad manifests are made from is itself fine."""
    assert (await objects.create(GOOD, dry_run=True))["spec"] == GOOD["spec"]


@pytest.mark.parametrize(("change", "named"), BAD.values(), ids=BAD.keys())
async def test_bad_object_is_refused_by_the_schema(
    objects: Objects, change: Change, named: str
) -> None:
    """Without any webhook the API server refuses it and names the field."""
    body = copy.deepcopy(GOOD)
    change(body)
    with pytest.raises(Invalid, match=re.escape(named)):
        await objects.create(body, dry_run=True)


async def test_table_shows_the_columns_of_the_definition(
    objects: Objects, cluster: Cluster
) -> None:
    """``kubectl get so`` shows target, bounds, desired replicas and conditions."""
    await objects.create(GOOD)
    await objects.patch_status(
        "web",
        {
            "desiredReplicas": 4,
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "ScaledObjectReady",
                    "message": "it is",
                    "lastTransitionTime": "2026-01-02T03:04:05Z",
                }
            ],
        },
    )
    shown = await table(cluster, await objects.path(GOOD, "web"))
    assert shown["ScaleTargetName"] == "web"
    assert shown["Desired"] == 4
    assert shown["Ready"] == "True"
    assert list(shown)[1:8] == [
        *("ScaleTargetKind", "ScaleTargetName", "Min", "Max", "Desired", "Ready", "Active")
    ]


async def table(cluster: Cluster, path: str) -> dict[str, Any]:
    """Return what ``kubectl get`` shows of an object, by column."""
    endpoint = await find_endpoint(str(cluster.kubeconfig()), None, in_cluster=False)
    headers = {"Accept": TABLE, **await endpoint.authorization()}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(endpoint.server + path, ssl=endpoint.tls or True) as answer,
    ):
        found = await answer.json()
    columns = [column["name"] for column in found["columnDefinitions"]]
    return dict(zip(columns, found["rows"][0]["cells"], strict=True))


def lacks(stored: Any, sent: Any, path: str = "spec") -> list[str]:
    """Return the paths of what was sent and is not stored; more may be stored."""
    if isinstance(sent, dict):
        if not isinstance(stored, dict):
            return [path]
        return [
            found
            for name, value in sent.items()
            for found in (
                lacks(stored[name], value, f"{path}.{name}")
                if name in stored
                else [f"{path}.{name}"]
            )
        ]
    if isinstance(sent, list):
        if not isinstance(stored, list) or len(stored) != len(sent):
            return [path]
        return [
            found
            for index, (one, other) in enumerate(zip(stored, sent, strict=True))
            for found in lacks(one, other, f"{path}[{index}]")
        ]
    return [] if stored == sent else [f"{path}: {sent!r} became {stored!r}"]
