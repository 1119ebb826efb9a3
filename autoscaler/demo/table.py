"""The demo on a terminal: one table, refreshed in place."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from rich.console import Group
from rich.table import Table
from rich.text import Text

from autoscaler.demo.objects import JsonObject, at_path
from autoscaler.demo.run import Demo
from autoscaler.demo.shop import NAMESPACE
from autoscaler.errors import shorten

WORKLOADS: Final = (
    ("deployments.apps", "web"),
    ("deployments.apps", "api"),
    ("deployments.apps", "worker"),
    ("statefulsets.apps", "documents"),
)
FRESH_SECONDS: Final = 120.0
"""A scale event this recent, by the cluster's clock, is highlighted."""

METRIC_LETTERS_MAX: Final = 24


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One workload as shown.

    Attributes:
        change: ``out`` or ``in`` shortly after a scale event, else empty.
        metrics: ``name value`` of each metric.
        decision: The controller's last decision, in its words.
    """

    name: str
    pool: str
    desired: int
    ready: int
    change: str
    metrics: tuple[str, ...]
    decision: str


def rows_of(demo: Demo) -> list[Row]:
    """Return what the table shows now."""
    return [_row(demo, bucket, name) for bucket, name in WORKLOADS]


def _row(demo: Demo, bucket: str, name: str) -> Row:
    item = demo.cluster.store.get(bucket, NAMESPACE, name)
    value: JsonObject = {} if item is None else item.value
    shown = demo.service.explain(NAMESPACE, name)
    latest = demo.recorder.latest(name)
    change = ""
    if latest is not None and demo.recorder.elapsed_seconds - latest.at < FRESH_SECONDS:
        change = "out" if latest.after > latest.before else "in"
    return Row(
        name=name,
        pool=at_path(value, "spec", "template", "spec", "nodeSelector", "pool") or "",
        desired=at_path(value, "spec", "replicas") or 0,
        ready=at_path(value, "status", "readyReplicas") or 0,
        change=change,
        metrics=tuple(map(_reading, shown["readings"])) if shown else (),
        decision=shown["why"] if shown else "not scaled",
    )


def _reading(reading: dict[str, Any]) -> str:
    name = shorten(reading["metric"].partition("-")[2], METRIC_LETTERS_MAX)
    if reading["error"]:
        return f"{name}: {reading['errorReason']}"
    return f"{name} {reading['value']:.4g}"


def progress(demo: Demo) -> str:
    """Return the state of the shop in one line."""
    shop, counts = demo.shop, demo.shop.counts()
    at = datetime.fromtimestamp(demo.cluster.clock.now(), UTC)
    going_on = shop.day.phase(shop.elapsed_seconds)
    return (
        f"{at:%H:%M:%S} {going_on}: {shop.load.requests:.0f} requests/s; "
        f"orders: {counts.queued} queued, {counts.in_flight} in flight, "
        f"{counts.processed} of {counts.produced} processed, {counts.lost} lost"
    )


def render(demo: Demo) -> Group:
    """Return the whole picture."""
    table = Table(expand=True, title="Flyball demo: the shop", title_justify="left")
    table.add_column("workload", no_wrap=True)
    table.add_column("pool", no_wrap=True)
    table.add_column("ready/desired", justify="right", no_wrap=True)
    table.add_column("metrics", overflow="fold", max_width=34)
    table.add_column("last decision", overflow="fold", ratio=1)
    for row in rows_of(demo):
        style = {"out": "bold green", "in": "yellow"}.get(row.change, "")
        table.add_row(
            row.name,
            row.pool,
            Text(f"{row.ready}/{row.desired}", style=style),
            "\n".join(row.metrics),
            row.decision,
        )
    hints = (
        f"{demo.options.speed:g}x speed, seed {demo.options.seed}, Ctrl-C ends. "
        "From another terminal:\n"
        f"  flyball explain {NAMESPACE}/worker --server {demo.explain_url}\n"
        f"  kubectl --server {demo.cluster.url} -n {NAMESPACE} describe scaledobjects.flyball.dev"
    )
    return Group(table, Text(progress(demo)), Text(hints, style="dim"))
