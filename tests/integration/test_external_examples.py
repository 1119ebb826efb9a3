"""The examples for KEDA's objects: each policy in them is one the server takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoscaler.api.manifest import read_documents
from autoscaler.demo.cluster import EmbeddedCluster
from tests.integration.external_world import client_credentials, folder_with, ref, serving
from tests.integration.test_references import coded

EXAMPLES = sorted((Path(__file__).parents[2] / "deploy" / "examples" / "keda").glob("*.yaml"))


def test_there_are_examples():
    """An empty folder would make the next test pass by itself."""
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_examples_are_served(path: Path, tmp_path: Path):
    """GetMetricSpec, which checks the policy, answers for every external trigger."""
    documents = _documents(path)
    authority, folder = folder_with(tmp_path)
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url, certificate_folder=str(folder)) as world,
        world.client(client_credentials(authority)) as keda,
    ):
        asked = 0
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        cluster.create(_secret("redis-login"))
        scaled = [one for one in documents if one["kind"] == "ScaledObject"]
        for target in {one["spec"]["scaleTargetRef"]["name"] for one in scaled}:
            cluster.create(_target(target))
        for document in documents:
            cluster.create(document)
        for document in documents:
            for trigger in document["spec"].get("triggers", ()):
                if trigger["type"] in {"external", "external-push"}:
                    meta = document["metadata"]
                    found = await keda.specs(
                        ref(trigger["metadata"], name=meta["name"], namespace=meta["namespace"])
                    )
                    assert [spec.metricName for spec in found.metricSpecs] == ["flyball"]
                    asked += 1
        assert asked == 1


def _secret(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "shop"},
        "data": coded(password="secret"),
    }


def _documents(path: Path) -> list[Any]:
    return [document.value for document in read_documents(path.read_text())]


def _target(name: str) -> dict[str, Any]:
    labels = {"app": name}
    pod = {"containers": [{"name": "main", "image": "demo"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
