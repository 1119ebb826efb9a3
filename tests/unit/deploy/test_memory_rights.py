"""The rights to the ConfigMaps that hold memories."""

from __future__ import annotations

from autoscaler.controller.snapshot_format import SHARDS
from autoscaler.controller.snapshots import SnapshotSettings
from tests.deploy.kustomize import BASE, one, render


def test_the_role_names_every_shard_and_nothing_else() -> None:
    """The service may read and write exactly the ConfigMaps it keeps memories in."""
    role = one(render(BASE), "Role", "flyball-memory")
    named, unnamed = role["rules"]
    prefix = SnapshotSettings().name
    assert named["resourceNames"] == [f"{prefix}-{number}" for number in range(SHARDS)]
    assert named["verbs"] == ["get", "patch"]
    assert unnamed["verbs"] == ["create"]
    assert "resourceNames" not in unnamed
