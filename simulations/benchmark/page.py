"""The benchmark as one HTML file, and its charts as images."""

from __future__ import annotations

from pathlib import Path

from simulations.benchmark import protocol, tables
from simulations.benchmark.cells import Cells, cells_of_sets, mean
from simulations.benchmark.findings import Findings
from simulations.benchmark.run import ORACLE
from simulations.benchmark.tuned import at_budgets
from simulations.benchmark.worlds import world_tables
from simulations.report.charts import frontier_chart
from simulations.report.html import Chart, Page, render
from simulations.report.tables import Table
from simulations.score.frontier import Point
from simulations.score.statistics import geometric_mean

MOST_COST = 3.0
"""Dearer autoscalers would squeeze the others into a corner of the chart."""


def write_page(findings: Findings, folder: Path) -> None:
    """Write ``report.html`` and a chart per start-up.

    Args:
        findings: Of all tracks.
        folder: Exists.
    """
    cells = Cells(findings.default.runs)
    parts: list[Table | Chart] = []
    for profile in cells.profiles:
        parts.append(tables.overview(cells, profile))
        parts.append(
            Chart(
                title=f"Cost and lateness, {profile} start-up",
                svg=_chart(cells, profile, "svg"),
                note=f"Left out, at more than {MOST_COST:g} times the cost of perfect foresight: "
                + (", ".join(_dear(cells, profile)) or "none"),
            )
        )
        (folder / tables.chart_name(profile)).write_bytes(_chart(cells, profile, "png"))
    parts += [tables.duels(cells, ours) for ours in tables.OURS]
    parts += [at_budgets(findings.tuned, cells), tables.gate(cells)]
    for profile in cells.profiles:
        parts += [tables.sensitivity(cells, profile), tables.by_trace(cells, profile)]
    parts.append(tables.unstable(cells))
    parts += [tables.of_set(found, name) for name, found in cells_of_sets(findings.sets).items()]
    parts += world_tables(findings.worlds)
    page = Page(
        title="The standard benchmark",
        lead=(
            f"{len(cells.policies)} autoscalers on {len(cells.traces)} traces, the same arrivals.",
            "Cost is a multiple of perfect foresight's; late is the share of late requests.",
        ),
        parts=tuple(parts),
        facts=(
            ("step", f"{protocol.STEP_SECONDS:g} s"),
            (
                "service",
                f"{protocol.SERVICE.mean_seconds:g} s, {protocol.SERVICE.concurrency} each",
            ),
            ("peak", f"{protocol.PEAK_REPLICAS} replicas"),
            ("budget", f"{protocol.BUDGET:.1%} late"),
        ),
    )
    (folder / "report.html").write_text(render(page))


def _chart(cells: Cells, profile: str, kind: str) -> bytes:
    series = [
        (tables.TITLES[policy], [_point(cells, profile, policy)])
        for policy in cells.policies
        if policy != ORACLE
    ]
    return frontier_chart(
        [(title, points) for title, points in series if points[0].cost <= MOST_COST],
        kind=kind,
        cost_label="cost, multiple of perfect foresight's",
        budget=protocol.BUDGET,
    )


def _dear(cells: Cells, profile: str) -> list[str]:
    return [
        tables.TITLES[policy]
        for policy in cells.policies
        if _point(cells, profile, policy).cost > MOST_COST
    ]


def _point(cells: Cells, profile: str, policy: str) -> Point:
    row = cells.row(profile, policy)
    return Point(
        cost=geometric_mean([cell.cost for cell in row]),
        violation_ratio=mean([cell.violation_ratio for cell in row]),
        policy=cells.policies.index(policy),
    )
