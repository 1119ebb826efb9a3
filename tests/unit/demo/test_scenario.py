"""The founding scenario's manifests."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from autoscaler.demo.scenario import cron_at, manifests, scale_shop
from autoscaler.demo.traffic import Day
from tests.unit.demo.conftest import StillCluster

AT = datetime(2026, 3, 2, 6, 16, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("day_hours", "expected"),
    [(2, "16 0-23/2 * * *"), (1, "16 0-23/1 * * *"), (24, "16 6-23/24 * * *"), (5, "16 6 * * *")],
)
def test_shift_follows_the_demo_day(day_hours: int, expected: str) -> None:
    """A day of whole hours repeats in cron; any other is said once a calendar day."""
    assert cron_at(AT, day_hours * 3_600.0) == expected


def test_shop_has_the_founding_parts() -> None:
    """Frontend, API, workers and database, on two pools; the workers begin at zero."""
    found = {body["metadata"]["name"]: body for body in manifests("workloads") if "spec" in body}
    assert {name: body["kind"] for name, body in found.items()} == {
        "web": "Deployment",
        "api": "Deployment",
        "worker": "Deployment",
        "documents": "StatefulSet",
    }
    assert found["worker"]["spec"]["replicas"] == 0
    pools = {body["spec"]["template"]["spec"]["nodeSelector"]["pool"] for body in found.values()}
    assert pools == {"general", "compute"}


def test_shop_scales_by_four_kinds_of_trigger(cluster: StillCluster) -> None:
    """The ScaledObjects name what the shop provides, addresses filled in."""
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    scale_shop(cluster, Day(), shop_url="http://shop.test", redis_host="redis.test", redis_port=1)
    items = cluster.store.items("scaledobjects.flyball.dev")
    found = {item.value["metadata"]["name"]: item.value["spec"]["triggers"] for item in items}
    kinds = {name: [one["type"] for one in triggers] for name, triggers in found.items()}
    assert kinds == {"web": ["prometheus"], "api": ["metrics-api", "cron"], "worker": ["redis"]}
    assert found["worker"][0]["metadata"]["address"] == "redis.test:1"
    assert found["web"][0]["metadata"]["serverAddress"] == "http://shop.test"
