"""The custom resource definitions made from the models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.api.crds import custom_resource_definitions, render_crds

DEPLOY = Path(__file__).parents[3] / "deploy" / "crds"

FORBIDDEN_KEYS = {"$ref", "$defs", "title", "default", "const", "oneOf", "allOf", "nullable"}


def _schemas() -> dict[str, dict[str, Any]]:
    return {
        crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for crd in custom_resource_definitions()
    }


def _nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from _nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from _nodes(schema["additionalProperties"], f"{path}{{}}")


def test_the_files_in_deploy_are_up_to_date() -> None:
    """What is committed is what the models give now (``make crds`` writes it)."""
    assert {path.name: path.read_text() for path in DEPLOY.glob("*.yaml")} == render_crds()


@pytest.mark.parametrize(("kind", "schema"), _schemas().items())
def test_schemas_are_structural(kind: str, schema: dict[str, Any]) -> None:
    """Every node has a type and only the keywords an API server accepts."""
    for path, node in _nodes(schema):
        assert not FORBIDDEN_KEYS & node.keys(), f"{kind}{path}: {sorted(node)}"
        if node.get("x-kubernetes-int-or-string"):
            assert "type" not in node
            assert node["anyOf"] == [{"type": "integer"}, {"type": "string"}]
        else:
            assert node.get("type"), f"{kind}{path} has no type"
            assert "anyOf" not in node, f"{kind}{path}"
        assert not ({"properties", "additionalProperties"} <= node.keys()), f"{kind}{path}"
        assert set(node.get("required", ())) <= node.get("properties", {}).keys()


def test_names_and_scopes_are_kedas() -> None:
    """Plurals and short names are the ones people type already."""
    names = {
        crd["spec"]["names"]["kind"]: (
            crd["metadata"]["name"],
            crd["spec"]["scope"],
            crd["spec"]["names"]["shortNames"][0],
        )
        for crd in custom_resource_definitions()
    }
    assert names == {
        "ScaledObject": ("scaledobjects.flyball.dev", "Namespaced", "so"),
        "ScaledJob": ("scaledjobs.flyball.dev", "Namespaced", "sj"),
        "TriggerAuthentication": ("triggerauthentications.flyball.dev", "Namespaced", "ta"),
        "ClusterTriggerAuthentication": (
            "clustertriggerauthentications.flyball.dev",
            "Cluster",
            "cta",
        ),
    }


def test_columns_point_at_fields_of_the_schema() -> None:
    """Every printed column shows something that can be there."""
    for crd in custom_resource_definitions():
        version = crd["spec"]["versions"][0]
        known = {path for path, _ in _nodes(version["schema"]["openAPIV3Schema"])}
        for column in version["additionalPrinterColumns"]:
            path = column["jsonPath"].replace("[*]", "[]")
            path = path.split("[?")[0] if "[?" in path else path
            assert path in known or path == ".metadata.creationTimestamp", column
        assert version["subresources"] == {"status": {}}


def test_bounds_are_checked_by_the_api_server_too() -> None:
    """ScaledObjects carry the rule that the minimum is at most the maximum."""
    (rule,) = _schemas()["ScaledObject"]["properties"]["spec"]["x-kubernetes-validations"]
    assert "self.minReplicaCount" in rule["rule"]
    assert "<=" in rule["rule"]


def test_jobs_are_handed_on_whole() -> None:
    """The API server keeps whatever a job template contains."""
    spec = _schemas()["ScaledJob"]["properties"]["spec"]
    assert spec["properties"]["jobTargetRef"]["x-kubernetes-preserve-unknown-fields"] is True
    assert spec["required"] == ["jobTargetRef", "triggers"]


def test_each_file_is_one_document() -> None:
    """The text reads back as the definition it was made of."""
    read = [yaml.safe_load(text) for text in render_crds().values()]
    assert read == custom_resource_definitions()
