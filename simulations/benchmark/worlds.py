"""What only exact replay can do: workloads that go to zero, and pods that wait for nodes.

Two shipped scenarios, each with several objects that could scale it. Small on purpose: they show
what the main part cannot, not how autoscalers rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from simulations.report.tables import Table
from simulations.scenario.candidates import with_object
from simulations.scenario.read import read_model, scenario_of
from simulations.sweep.executors import Executor
from simulations.sweep.scenarios import run_scenario
from simulations.workload.model import build_trace, workload_of

FOLDER: Final = Path(__file__).parents[1] / "scenarios"
NOW: Final = 1_700_000_000.0
"""Loads that are made up begin here."""

KEDA: Final = "keda.sh/v1alpha1"
OURS: Final = "Flyball"
FLYBALL: Final = "flyball.dev/v1alpha1"
ADDRESS: Final = "http://prometheus.monitoring:9090"


class World(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario and who may scale it.

    Attributes:
        name: Of the scenario's file.
        title: For tables.
        note: What is asked.
        candidates: By title: group of the object, and what differs in its ``spec``.
    """

    name: str
    title: str
    note: str
    candidates: Mapping[str, tuple[str, Mapping[str, Any]]]


class Row(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What an autoscaler did in a world; means over the seeds.

    Attributes:
        violation_ratio: Share of requests that were late or gave up.
        wait_p95_seconds: 95th percentile of the wait behind the backlog.
        wait_p99_seconds: 99th percentile.
    """

    world: str
    title: str
    violation_ratio: float
    wait_p95_seconds: float
    wait_p99_seconds: float
    replica_hours: float
    node_hours: float
    changes: float
    created: float


def _trigger(name: str, threshold: str) -> dict[str, Any]:
    """Return a trigger on the signal that the scenario knows by its name."""
    metadata = {"serverAddress": ADDRESS, "query": name, "threshold": threshold}
    return {"type": "prometheus", "name": name, "metadata": metadata}


WORLDS: Final = (
    World(
        name="queue-to-zero",
        title="To zero and back",
        note="Batches of 120 jobs of 10 s, one an hour on average, for two days; the "
        "same trigger (5 jobs per replica) throughout. The model of late requests goes by the "
        "replicas there are when one arrives, so it says nothing about work that arrives at zero.",
        candidates={
            "KEDA, defaults": (KEDA, {"pollingInterval": None, "cooldownPeriod": None}),
            "KEDA, one replica always": (
                KEDA,
                {"pollingInterval": None, "cooldownPeriod": None, "minReplicaCount": 1},
            ),
            "Flyball, defaults": (
                FLYBALL,
                {"pollingInterval": None, "cooldownPeriod": None},
            ),
            "Flyball, 5 s polls and 60 s cooldown": (FLYBALL, {}),
        },
    ),
    World(
        name="node-bound",
        title="Waiting for nodes",
        note="Two days of the trace elb, eight pods to a node, 90 s (95 %: 180 s) until a new node "
        "is there, at most twelve. Nodes are what is paid for.",
        candidates={
            "KEDA, defaults": (KEDA, {"pollingInterval": None}),
            "Flyball, defaults": (FLYBALL, {}),
            "Flyball, rate and queue": (
                FLYBALL,
                {
                    "advanced": {
                        "horizontalPodAutoscalerConfig": {
                            "behavior": {
                                "scaleUp": {"tolerance": "0"},
                                "scaleDown": {"stabilizationWindowSeconds": 60},
                            }
                        }
                    },
                    "triggers": [
                        _trigger(name, threshold)
                        for name, threshold in (("recent", "15"), ("queue", "200"))
                    ],
                },
            ),
            "Flyball, half a node to spare": (
                FLYBALL,
                {"triggers": [_trigger("requests", "12")]},
            ),
        },
    ),
)


def run_worlds(executor: Executor, *, seeds: int | None = None) -> list[Row]:
    """Run every candidate in its world.

    Args:
        executor: Where.
        seeds: How many; the scenarios' own when None.
    """
    rows = []
    for world in WORLDS:
        model = read_model(FOLDER / f"{world.name}.yaml")
        trace = build_trace(workload_of(model.workload), FOLDER, now=NOW)
        base = model.tiers[0].autoscaler.scaled_object
        assert isinstance(base, dict), "the scenario holds its object"
        for title, (group, changes) in world.candidates.items():
            spec = {**base["spec"], **changes}
            kept = {key: value for key, value in spec.items() if value is not None}
            raw = {**base, "apiVersion": group, "spec": kept}
            scenario = scenario_of(with_object(model, raw), trace, FOLDER)
            total = run_scenario(scenario, executor, seeds=seeds).total
            rows.append(
                Row(
                    world=world.name,
                    title=title,
                    violation_ratio=total.violation_ratio,
                    wait_p95_seconds=round(total.wait_p95_seconds, 3),
                    wait_p99_seconds=round(total.wait_p99_seconds, 3),
                    replica_hours=total.replica_hours,
                    node_hours=total.node_hours,
                    changes=total.changes,
                    created=total.created,
                )
            )
    return rows


def write_worlds(rows: list[Row], path: Path) -> None:
    """Write the rows as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1) + b"\n")


def read_worlds(path: Path) -> list[Row]:
    """Return what was written."""
    return msgspec.json.decode(path.read_bytes(), type=list[Row])


def world_tables(rows: list[Row]) -> list[Table]:
    """Return a table for each world."""
    return [
        Table(
            title=world.title,
            header=(
                "autoscaler",
                "p95 wait",
                "p99 wait",
                "late",
                "replica-hours",
                "node-hours",
                "changes",
                "pods created",
            ),
            rows=tuple(
                (
                    row.title,
                    f"{row.wait_p95_seconds:.0f} s",
                    f"{row.wait_p99_seconds:.0f} s",
                    f"{100 * row.violation_ratio:.2f} %" if row.node_hours else "-",
                    f"{row.replica_hours:.1f}",
                    f"{row.node_hours:.1f}" if row.node_hours else "-",
                    f"{row.changes:.0f}",
                    f"{row.created:.0f}",
                )
                for row in rows
                if row.world == world.name
            ),
            note=world.note,
            marked=tuple(at for at, title in enumerate(world.candidates) if title.startswith(OURS)),
        )
        for world in WORLDS
    ]
