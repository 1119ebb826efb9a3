"""The founding scenario: two node pools, the shop's workloads, and how they scale."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import resources
from string import Template
from typing import Final

import yaml

from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.objects import JsonObject
from autoscaler.demo.traffic import Day

MORNING_AT: Final = datetime(2026, 3, 2, 6, 0, tzinfo=UTC).timestamp()
"""When the demo begins by the cluster's clock: a Monday morning."""
SHIFT: Final = (0.14, 0.30)
"""The shift whose API floor is scheduled, as shares of the day."""
WHOLE_DAY_SECONDS: Final = 86_400
HOUR_SECONDS: Final = 3_600


def manifests(name: str, **values: str) -> Iterator[JsonObject]:
    """Yield the objects of ``manifests/<name>.yaml`` with ``${VALUE}`` filled in."""
    file = resources.files("autoscaler.demo") / "manifests" / f"{name}.yaml"
    text = file.read_text(encoding="utf-8")
    for document in yaml.safe_load_all(Template(text).substitute(values) if values else text):
        if document:
            yield document


def build_shop(cluster: EmbeddedCluster) -> None:
    """Add the node pools and the shop's workloads."""
    cluster.add_pool("general", 4, cpu="8", memory="32Gi")
    cluster.add_pool("compute", 3, cpu="16", memory="64Gi", taint="compute")
    for body in manifests("workloads"):
        cluster.create(body)


def scale_shop(
    cluster: EmbeddedCluster, day: Day, *, shop_url: str, redis_host: str, redis_port: int
) -> None:
    """Create the shop's ScaledObjects."""
    begins, ends = (cron_at(MORNING_AT + share * day.seconds, day.seconds) for share in SHIFT)
    values = {
        "SHOP_URL": shop_url,
        "REDIS_HOST": redis_host,
        "REDIS_PORT": str(redis_port),
        "SHIFT_START": begins,
        "SHIFT_END": ends,
    }
    for body in manifests("scaling", **values):
        cluster.create(body)


def cron_at(at: float, every_seconds: float) -> str:
    """Return a cron expression for an instant (UTC), repeated with the demo's day.

    Days that are no whole number of hours cannot be said in cron; then it is once a calendar day.
    """
    moment = datetime.fromtimestamp(at, UTC)
    hours = str(moment.hour)
    if every_seconds % HOUR_SECONDS == 0 and WHOLE_DAY_SECONDS % every_seconds == 0:
        step = int(every_seconds // HOUR_SECONDS)
        hours = f"{moment.hour % step}-23/{step}"
    return f"{moment.minute} {hours} * * *"
