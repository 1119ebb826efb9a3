"""``flyball compare``: several policies in the same world."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from simulations.commands.running import criteria_of, deliver, now, report_folder, with_errors
from simulations.commands.simulate import FailOn, Json, Junit, Output, Scheduler, Seeds, Workers

if TYPE_CHECKING:
    from simulations.report.html import Page
    from simulations.report.tables import Table
    from simulations.score.score import Score
    from simulations.sweep.executors import Executor
    from simulations.sweep.scenarios import Result

COST_MATTERS: Final = 0.01
LATE_MATTERS: Final = 0.0005


@with_errors
def compare(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Scenarios, or ScaledObjects to put into that of --scenario."
        ),
    ],
    scenario: Annotated[
        Path | None, typer.Option("--scenario", "-s", help="World for ScaledObjects and baselines.")
    ] = None,
    baselines: Annotated[
        str, typer.Option(metavar="NAMES", help="Also compare with these, such as hpa,keda-rate.")
    ] = "",
    sensitivity: Annotated[
        bool, typer.Option(help="Check the ranking in slightly different worlds.")
    ] = True,
    seeds: Seeds = None,
    output: Output = None,
    fail_on: FailOn = None,
    workers: Workers = 1,
    scheduler: Scheduler = "",
    junit: Junit = None,
    json: Json = False,
) -> None:
    """Run policies under the same load and rank them; the first file is the reference."""
    from rich.console import Console

    from simulations.report.comparison import certainty_table
    from simulations.report.console import progress
    from simulations.report.tables import score_table
    from simulations.scenario.candidates import candidates
    from simulations.sweep.executors import executor_of
    from simulations.sweep.scenarios import run_scenarios

    errors = Console(stderr=True)
    criteria = criteria_of(fail_on or [])
    names = [name.strip() for name in baselines.split(",") if name.strip()]
    compared = candidates(files, scenario=scenario, baselines=names, now=now())
    folder = report_folder("compare", output, junit)
    executor = executor_of(workers=workers, scheduler=scheduler)
    with progress(errors, f"simulating {', '.join(name for name, _ in compared)}") as tell:
        found = [scenario for _, scenario in compared]
        ran = run_scenarios(found, executor, seeds=seeds, progress=tell)
    results = [(name, result) for (name, _), result in zip(compared, ran, strict=True)]
    scores = [_named(name, result) for name, result in results]
    certainty = certainty_table(scores)
    tables = [score_table(scores, title="Comparison"), *([certainty] if certainty else [])]
    if sensitivity and len(scores) > 1:
        with progress(errors, "checking the ranking in other worlds") as tell:
            tables.append(_sensitivity(results, executor, seeds, tell))
    deliver(
        "compare",
        tables=tables,
        scores=scores,
        criteria=criteria,
        judged=scores[: len(files)],
        page=lambda failed: _page(results, scores, tables, failed),
        folder=folder,
        junit=junit,
        json=json,
        command="compare",
    )


def _named(name: str, result: Result) -> Score:
    import msgspec

    return msgspec.structs.replace(result.total, name=name)


def _sensitivity(
    results: list[tuple[str, Result]],
    executor: Executor,
    seeds: int | None,
    tell: Callable[[int, int], None],
) -> Table:
    from simulations.report.comparison import sensitivity_table
    from simulations.scenario.read import scenario_of
    from simulations.sweep.scenarios import run_scenarios
    from simulations.sweep.sensitivity import VARIANTS, is_stable

    found = [result.scenario for _, result in results]
    others = [
        scenario_of(change(one.model), one.trace, one.folder)
        for change in VARIANTS.values()
        for one in found
    ]
    ran = run_scenarios(others, executor, seeds=seeds, keep_runs=False, progress=tell)
    totals = [result.total for result in ran]
    worlds = [
        [_named(name, result) for name, result in results],
        *(totals[begin : begin + len(found)] for begin in range(0, len(totals), len(found))),
    ]
    stable = [
        by_cost and by_late
        for by_cost, by_late in zip(
            is_stable(
                [[score.cost / (world[0].cost or 1.0) for score in world] for world in worlds],
                matters=COST_MATTERS,
            ),
            is_stable(
                [[score.violation_ratio for score in world] for world in worlds],
                matters=LATE_MATTERS,
            ),
            strict=True,
        )
    ]
    return sensitivity_table(
        list(zip(("as assumed", *VARIANTS), worlds, strict=True)),
        stable,
        note=(
            "a policy that is cheaper than another in one world and dearer in the next (by more "
            "than 1 % of the first one's cost), or better and worse (by 0.05 points of late "
            "requests), has no proven rank"
        ),
    )


def _page(
    results: list[tuple[str, Result]], scores: list[Score], tables: list[Table], failed: list[str]
) -> Page:
    from autoscaler import __version__
    from simulations.report.charts import comparison_chart, frontier_chart
    from simulations.report.html import Chart, Page
    from simulations.report.tables import elasticity_table, percent
    from simulations.score.frontier import Point

    points = [
        (score.name, [Point(score.cost, score.violation_ratio, number)])
        for number, score in enumerate(scores)
    ]
    runs = [
        (f"{name} {tier}" if len(result.runs) > 1 else name, run)
        for name, result in results
        for tier, run in result.runs.items()
    ]
    alike = [(name, run) for name, run in runs if run.steps == runs[0][1].steps]
    cheapest = min(scores, key=lambda score: score.cost)
    return Page(
        title="Comparison of " + ", ".join(name for name, _ in results),
        lead=(
            (
                f"The cheapest is {cheapest.name} at {cheapest.cost:,.1f} with "
                f"{percent(cheapest.violation_ratio)} of the requests late."
            ),
        ),
        failures=tuple(failed),
        parts=(
            tables[0],
            Chart(title="Cost and violations", svg=frontier_chart(points)),
            Chart(title="Serving replicas (first seed)", svg=comparison_chart(alike)),
            *tables[1:],
            elasticity_table(scores),
        ),
        facts=(
            ("load", results[0][1].scenario.trace.source or results[0][1].scenario.trace.name),
            ("seeds", str(len(next(iter(results[0][1].by_seed.values()))))),
            ("version", __version__),
        ),
    )
