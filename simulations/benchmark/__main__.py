"""``python -m simulations.benchmark``: run the standard benchmark and write its report."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from simulations.benchmark.page import write_page
from simulations.benchmark.readme import write_readme
from simulations.benchmark.result import Results, read_results, write_results
from simulations.benchmark.run import Part, parts_of, run_parts
from simulations.sweep.executors import executor_of
from simulations.workload.catalogue import TRACES

RESULTS = "results.json"


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m simulations.benchmark", description=__doc__)
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--scheduler", default="", help="address of a Dask scheduler instead")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmark"), help="folder")
    parser.add_argument("--trace", action="append", choices=list(TRACES), help="only these traces")
    parser.add_argument("--report-only", action="store_true", help="of the results in the folder")
    chosen = parser.parse_args()
    chosen.output.mkdir(parents=True, exist_ok=True)
    path = chosen.output / RESULTS
    if not chosen.report_only:
        parts = parts_of(chosen.trace or list(TRACES))
        write_results(_run(parts, workers=chosen.workers, scheduler=chosen.scheduler), path)
    results = read_results(path)
    write_readme(results, chosen.output)
    write_page(results, chosen.output)
    Console(stderr=True).print(f"wrote README.md, report.html and {RESULTS} in {chosen.output}")


def _run(parts: list[Part], *, workers: int, scheduler: str) -> Results:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("benchmark", total=sum(part.weight for part in parts))

        def done(part: Part) -> None:
            progress.update(task, advance=part.weight, description=part.trace)

        executor = executor_of(workers=workers, scheduler=scheduler)
        return Results(runs=tuple(run_parts(parts, executor, done)))


if __name__ == "__main__":
    main()
