"""``python -m simulations.benchmark``: run the standard benchmark and write its report."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from simulations.benchmark.findings import FILES, read_findings
from simulations.benchmark.page import write_page
from simulations.benchmark.readme import write_readme
from simulations.benchmark.result import Result, Results, write_results
from simulations.benchmark.run import Part, parts_of, run_part, run_parts, set_parts
from simulations.benchmark.tuned import run_tuned, tuned_parts
from simulations.benchmark.worlds import run_worlds, write_worlds
from simulations.errors import SimulationError
from simulations.sweep.executors import Executor, executor_of
from simulations.workload.catalogue import TRACES

TRACKS: Final = tuple(FILES)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m simulations.benchmark", description=__doc__)
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--scheduler", default="", help="address of a Dask scheduler instead")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmark"), help="folder")
    parser.add_argument("--trace", action="append", choices=list(TRACES), help="only these traces")
    parser.add_argument(
        "--track",
        choices=(*TRACKS, "all", "none"),
        default="all",
        help="what to run; the report is of what is in the folder (default all)",
    )
    chosen = parser.parse_args()
    for track, name in FILES.items():
        if chosen.track not in {track, "all"} and not (chosen.output / name).exists():
            parser.error(f"{chosen.output / name} is not there; the report needs all tracks")
    try:
        _write(chosen)
    except SimulationError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def _write(chosen: argparse.Namespace) -> None:
    chosen.output.mkdir(parents=True, exist_ok=True)
    traces = chosen.trace or list(TRACES)
    executor = executor_of(workers=chosen.workers, scheduler=chosen.scheduler)
    plans: dict[str, tuple[str, list[Part], Callable[[Part], list[Result]]]] = {
        "default": ("default track", parts_of(traces), run_part),
        "tuned": ("tuned track", tuned_parts(traces), run_tuned),
        "sets": ("other sizes and services", set_parts(traces), run_part),
    }
    for track, (title, parts, function) in plans.items():
        if chosen.track in {track, "all"}:
            results = _run(title, parts, executor, function)
            write_results(results, chosen.output / FILES[track])
    if chosen.track in {"worlds", "all"}:
        write_worlds(run_worlds(executor), chosen.output / FILES["worlds"])
    findings = read_findings(chosen.output)
    write_readme(findings, chosen.output)
    write_page(findings, chosen.output)
    Console(stderr=True).print(f"wrote README.md and report.html in {chosen.output}")


def _run(
    title: str,
    parts: list[Part],
    executor: Executor,
    function: Callable[[Part], list[Result]],
) -> Results:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=sum(part.weight for part in parts))

        def done(part: Part) -> None:
            progress.update(task, advance=part.weight)

        return Results(runs=tuple(run_parts(parts, executor, done, function=function)))


if __name__ == "__main__":
    main()
