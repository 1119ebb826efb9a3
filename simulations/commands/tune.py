"""``flyball tune``: search for a cheaper object with no more late requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulations.commands.running import (
    criteria_of,
    deliver,
    now,
    object_of,
    report_folder,
    with_errors,
)
from simulations.commands.simulate import FailOn, Json, Junit, Output, Scheduler, Workers

if TYPE_CHECKING:
    from simulations.report.html import Page
    from simulations.report.tables import Table
    from simulations.tune.plan import Tuned


@with_errors
def tune(
    manifest: Annotated[
        Path, typer.Option("--filename", "-f", help="Manifest with the ScaledObject.")
    ],
    scenario: Annotated[
        Path, typer.Option("--scenario", "-s", help="World: workload, service, signals, triggers.")
    ],
    against: Annotated[
        Path | None, typer.Option(help="Object to beat (default: the one that is tuned).")
    ] = None,
    budget: Annotated[
        str, typer.Option(help="Allowed late requests, such as 0.5% (default: as many as before).")
    ] = "",
    candidates: Annotated[int, typer.Option(min=8, help="Objects to try.")] = 1000,
    search_ratio: Annotated[
        float,
        typer.Option(min=0.1, max=0.9, help="Share of the days to search on; the rest tests."),
    ] = 0.6,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of the best.")] = 2,
    keep_api_version: Annotated[
        bool, typer.Option(help="Change only what the object's own API group can do.")
    ] = False,
    output: Output = None,
    fail_on: FailOn = None,
    workers: Workers = 1,
    scheduler: Scheduler = "",
    junit: Junit = None,
    json: Json = False,
) -> None:
    """Search targets, windows, limits, spare capacity; prove the result on other days."""
    from rich.console import Console

    from simulations.report.console import progress
    from simulations.scenario.read import read_scenario
    from simulations.sweep.executors import executor_of
    from simulations.tune.plan import tuned

    criteria = criteria_of(fail_on or [])
    raw = object_of(manifest)
    name = raw["metadata"]["name"]
    folder = report_folder(f"tune-{name}", output, junit)
    world = read_scenario(scenario, now=now())
    with progress(Console(stderr=True), f"searching {candidates} candidates") as tell:
        result = tuned(
            raw,
            world,
            executor_of(workers=workers, scheduler=scheduler),
            against=None if against is None else object_of(against),
            budget=_budget(budget),
            candidates=candidates,
            search_ratio=search_ratio,
            seeds=seeds,
            keep_group=keep_api_version,
            progress=tell,
        )
    tables = _tables(result)
    deliver(
        f"tune-{name}",
        tables=tables,
        scores=[result.base, result.best],
        judged=[result.best],
        criteria=criteria,
        page=lambda failed: _page(result, name, tables, failed),
        files={"tuned.yaml": result.yaml.encode()},
        text=result.yaml,
        ready="tuned.yaml",
        folder=folder,
        junit=junit,
        json=json,
        object=name,
        saving=result.saving,
        manifest=result.yaml,
    )


def _budget(text: str) -> float | None:
    from simulations.errors import SimulationError

    if not text:
        return None
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise SimulationError(
            f'budget is "{text}", must be a share such as 0.5% or 0.005', field="budget"
        )
    return value


def _tables(result: Tuned) -> list[Table]:
    from simulations.report.tables import Table, percent, score_table

    found = result.found
    searched = [
        ("before", found.base),
        ("tuned", found.chosen),
        ("knee of the frontier", result.knee),
    ]
    return [
        score_table([result.base, result.best], title="On days not searched on (exact replay)"),
        Table(
            title="On the days searched",
            header=("object", "cost", "late"),
            rows=tuple(
                (name, f"{point.cost:,.1f}", percent(point.violation_ratio))
                for name, point in searched
            ),
            note=f"late requests had to stay at or below {percent(found.budget)}",
        ),
        Table(
            title="What each change does",
            header=("field", "value", "cost without it", "late without it", "why"),
            rows=tuple(
                (
                    effect.path.rpartition("behavior.")[2].removeprefix("spec."),
                    effect.value,
                    f"{effect.cost_without:.3f} x",
                    percent(effect.violations_without),
                    effect.meaning,
                )
                for effect in result.effects
            ),
            note=f"late with all of them: {percent(found.chosen.violation_ratio)}",
        ),
    ]


def _page(result: Tuned, name: str, tables: list[Table], failed: list[str]) -> Page:
    from autoscaler import __version__
    from simulations.report.charts import comparison_chart, frontier_chart
    from simulations.report.html import Chart, Page
    from simulations.report.tables import percent

    found = result.found
    points: list[tuple[str, list[Any]]] = [
        ("candidates", list(found.tried)),
        ("before", [found.base]),
        ("tuned", [found.chosen]),
    ]
    return Page(
        title=f"Tuning of {name}",
        lead=(
            (
                f"On days it was not searched on, the tuned object costs {result.saving:.1%} less "
                f"than the one before, with {percent(result.best.violation_ratio)} of the "
                f"requests late instead of {percent(result.base.violation_ratio)}."
            ),
        ),
        failures=tuple(failed),
        parts=(
            tables[0],
            Chart(
                title="Every candidate on the days searched",
                svg=frontier_chart(points, budget=found.budget, marks_knee=True),
            ),
            *tables[1:],
            Chart(
                title="Serving replicas on days not searched on",
                svg=comparison_chart([("before", result.base_run), ("tuned", result.best_run)]),
            ),
        ),
        code=result.yaml,
        facts=(
            ("load", result.source),
            ("days searched", f"{result.searched_days:.1f}"),
            ("days tested", f"{result.tested_days:.1f}"),
            ("candidates", str(len(found.tried))),
            ("version", __version__),
        ),
    )
