"""``flyball simulate``: a scenario in virtual time, on the decision code of the live service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typing_extensions import override

from simulations.commands.running import criteria_of, deliver, now, report_folder, with_errors

if TYPE_CHECKING:
    from simulations.report.html import Page
    from simulations.sweep.scenarios import Result


class _WithDefault(TyperGroup):
    """``flyball simulate FILE`` means ``flyball simulate run FILE``."""

    @override
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command in front of anything that is no command."""
        if args and args[0] not in self.commands and args[0] not in {"-h", "--help"}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_WithDefault,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run a scenario in virtual time: flyball simulate SCENARIO.yaml",
)

Seeds = Annotated[int | None, typer.Option(min=1, help="Runs; those of the scenario if absent.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder of the report (default: flyball-reports/NAME)."),
]
FailOn = Annotated[
    list[str] | None,
    typer.Option(metavar="EXPR", help="Exit 1 if a result meets it: 'slo_violation>0.5%'."),
]
Workers = Annotated[int, typer.Option(min=1, help="Processes to run on.")]
Scheduler = Annotated[str, typer.Option(help="Run on the Dask cluster of this scheduler instead.")]
Junit = Annotated[Path | None, typer.Option(help="Write JUnit XML for CI here.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@app.command()
@with_errors
def run(
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO", help="YAML file.")],
    seeds: Seeds = None,
    output: Output = None,
    fail_on: FailOn = None,
    workers: Workers = 1,
    scheduler: Scheduler = "",
    junit: Junit = None,
    json: Json = False,
) -> None:
    """Run a scenario and report replicas, cost, violations and why each decision was made."""
    from rich.console import Console

    from simulations.report.console import progress
    from simulations.report.tables import elasticity_table, score_table
    from simulations.scenario.read import read_scenario
    from simulations.sweep.executors import executor_of
    from simulations.sweep.scenarios import run_scenario

    found = read_scenario(scenario, now=now())
    name = found.model.name
    criteria = criteria_of([*found.model.fail_on, *(fail_on or [])])
    folder = report_folder(name, output, junit)
    with progress(Console(stderr=True), f"simulating {name}") as tell:
        result = run_scenario(
            found, executor_of(workers=workers, scheduler=scheduler), seeds=seeds, progress=tell
        )
    scores = list(result.scores.values())
    deliver(
        name,
        tables=[score_table(scores, title=name), elasticity_table(scores)],
        scores=scores,
        criteria=criteria,
        page=lambda failed: _page(result, failed),
        files=_images(result),
        folder=folder,
        junit=junit,
        json=json,
        scenario=name,
    )


@app.command()
@with_errors
def traces() -> None:
    """List the shipped traces."""
    from rich.console import Console

    from simulations.report.console import show
    from simulations.report.tables import Table
    from simulations.workload.catalogue import TRACES

    rows = tuple((name, listed.about, listed.licence) for name, listed in TRACES.items())
    show(Console(), Table(title="Shipped traces", header=("name", "what", "licence"), rows=rows))


def _images(result: Result) -> dict[str, bytes]:
    from simulations.report.charts import run_chart
    from simulations.score.score import late_per_step

    return {
        f"{name}.{kind}": run_chart(run, late_per_step(run), kind=kind, title=name)
        for name, run in result.runs.items()
        for kind in ("png", "svg")
    }


def _page(result: Result, failed: list[str]) -> Page:
    from autoscaler import __version__
    from simulations.report.charts import run_chart
    from simulations.report.html import Chart, Page
    from simulations.report.tables import (
        changes_table,
        days_table,
        elasticity_table,
        percent,
        score_table,
    )
    from simulations.score.score import late_per_step

    model, total = result.scenario.model, result.total
    scores = list(result.scores.values())
    charts = [
        part
        for name, run in result.runs.items()
        for part in (
            Chart(
                title=f"{name}: load, replicas, waiting requests",
                svg=run_chart(run, late_per_step(run)),
                note="first seed; why a change was made shows when the pointer rests on its mark",
            ),
            days_table(run, from_step=result.scenario.score_from_step),
            changes_table(run),
        )
    ]
    lead = (
        (
            f"{total.cost:,.1f} at the prices given ({total.replica_hours:,.1f} replica hours), "
            f"{percent(total.violation_ratio)} of the requests late."
        ),
        *((model.description,) if model.description else ()),
    )
    facts = (
        ("load", result.scenario.trace.source or result.scenario.trace.name),
        ("step", f"{model.step_seconds:g} s"),
        ("seeds", str(len(next(iter(result.by_seed.values()))))),
        ("scored from", f"{model.score_from_seconds:g} s"),
        ("decided by", "the decision core of the live service, in virtual time"),
        ("version", __version__),
    )
    return Page(
        title=f"Simulation: {model.name}",
        lead=lead,
        failures=tuple(failed),
        parts=(score_table(scores), *charts, elasticity_table(scores)),
        facts=facts,
    )


@app.command()
@with_errors
def calibrate(
    service_times: Annotated[
        Path | None, typer.Option(help="CSV, column seconds: service time per request.")
    ] = None,
    service_histogram: Annotated[
        Path | None, typer.Option(help="CSV, columns le and count: cumulative histogram instead.")
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=0, help="Requests a replica serves at a time.")
    ] = 0,
    start_up: Annotated[
        Path | None, typer.Option(help="CSV, column seconds: from the decision to Ready, per pod.")
    ] = None,
    lag: Annotated[
        Path | None, typer.Option(help="CSV, column seconds: age of the metric when it was read.")
    ] = None,
) -> None:
    """Fit the parameters of a tier from telemetry and print them as YAML.

    What was not given is named in a comment: scenarios without it are refused, as results would
    depend on a guess.
    """
    import msgspec
    import numpy as np
    import yaml

    from simulations.errors import SimulationError
    from simulations.plant import calibration
    from simulations.workload.importers.tables import read_column

    fitted: dict[str, Any] = {}
    if service_times is not None or service_histogram is not None:
        if not concurrency:
            raise SimulationError(
                "--concurrency is needed with service times: durations do not show it",
                field="concurrency",
            )
        if service_histogram is not None:
            service = calibration.fit_histogram(
                read_column(service_histogram, "le").tolist(),
                read_column(service_histogram, "count").tolist(),
                concurrency=concurrency,
            )
        else:
            assert service_times is not None
            service = calibration.fit_service(
                read_column(service_times, "seconds"),
                concurrency=concurrency,
                what=str(service_times),
            )
        fitted["service"] = msgspec.to_builtins(service)
    if start_up is not None:
        delay = calibration.fit_delay(read_column(start_up, "seconds"), what=str(start_up))
        fitted["start_up"] = {"container": msgspec.to_builtins(delay)}
    if lag is not None:
        ages = read_column(lag, "seconds")
        calibration.fit_delay(ages, what=str(lag))
        fitted["lag_seconds"] = round(float(np.median(ages)), 3)
    if not fitted:
        raise SimulationError(
            "give at least one of --service-times, --service-histogram, --start-up, --lag"
        )
    typer.echo(yaml.safe_dump(fitted, sort_keys=False), nl=False)
    for name in ("service", "start_up", "lag_seconds"):
        if name not in fitted:
            typer.echo(f"# {name} is not known yet; a scenario without it is refused")
