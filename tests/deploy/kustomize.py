"""What ``kubectl kustomize`` makes of a folder, as far as our base goes.

It follows ``resources`` into folders and files and builds the ConfigMaps of ``configMapGenerator``.
A test compares it with the real thing where that is installed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[2]
BASE = PROJECT / "deploy" / "kustomize" / "base"
NAMES = ("kustomization.yaml", "Kustomization")
FIELDS = {"apiVersion", "kind", "resources", "configMapGenerator"}
# Digests are written without vowels and what looks like them.
SPELLED = str.maketrans("013ae", "ghkmt")

Document = dict[str, Any]


def render(folder: Path) -> list[Document]:
    """Return every object of a Kustomize folder; those that others need come first."""
    return sorted(_documents(folder), key=_rank)


def one(documents: list[Document], kind: str, name: str = "flyball") -> Document:
    """Return the document of a kind and name."""
    (found,) = (d for d in documents if d["kind"] == kind and d["metadata"]["name"] == name)
    return found


def _documents(folder: Path) -> list[Document]:
    path = next(folder / name for name in NAMES if (folder / name).exists())
    asked = yaml.safe_load(path.read_text())
    assert set(asked) <= FIELDS, f"{path}: {sorted(set(asked) - FIELDS)} are not understood"
    found: list[Document] = []
    for resource in asked.get("resources", ()):
        where = (folder / resource).resolve()
        if where.is_dir():
            found += _documents(where)
        else:
            found += yaml.safe_load_all(where.read_text())
    for generator in asked.get("configMapGenerator", ()):
        made = _config_map(folder, generator)
        for document in found:
            _rename(document, generator["name"], made["metadata"]["name"])
        found.append(made)
    return found


def _config_map(folder: Path, generator: Document) -> Document:
    data = {name: (folder / name).read_text() for name in generator["files"]}
    # The name is not part of what Kustomize digests.
    content = {"data": data, "kind": "ConfigMap", "name": ""}
    digest = hashlib.sha256(_go_json(content).encode()).hexdigest()[:10].translate(SPELLED)
    metadata = {
        "name": f"{generator['name']}-{digest}",
        "namespace": generator["namespace"],
        **generator.get("options", {}),
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _go_json(value: Document) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _rename(node: Any, old: str, new: str) -> None:
    """Let every volume that names the ConfigMap name it with its digest."""
    if isinstance(node, dict):
        reference = node.get("configMap")
        if isinstance(reference, dict) and reference.get("name") == old:
            reference["name"] = new
        for child in node.values():
            _rename(child, old, new)
    elif isinstance(node, list):
        for child in node:
            _rename(child, old, new)


def _rank(document: Document) -> int:
    first = ("Namespace", "CustomResourceDefinition", "ServiceAccount")
    last = ("Deployment",)
    kind = document["kind"]
    if kind in first:
        return first.index(kind)
    return len(first) + (kind in last)
