"""``python -m simulations.benchmark``: run the standard benchmark and write its report."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from simulations.benchmark.check import first_difference
from simulations.benchmark.findings import FILES, read_findings
from simulations.benchmark.page import write_page
from simulations.benchmark.readme import write_readme
from simulations.benchmark.result import Result, Results, read_results, write_results
from simulations.benchmark.run import Part, parts_of, run_part, run_parts, set_parts
from simulations.benchmark.tuned import run_tuned, tuned_parts
from simulations.benchmark.worlds import read_worlds, run_worlds, write_worlds
from simulations.errors import SimulationError
from simulations.sweep.executors import Executor, executor_of, local_cluster
from simulations.workload.catalogue import TRACES

TRACKS: Final = tuple(FILES)


def main() -> None:
    """Read the command line and run."""
    parser = _parser()
    chosen = parser.parse_args()
    for track, name in FILES.items():
        is_needed = chosen.check == (chosen.track in {track, "all"})
        if is_needed and not (chosen.output / name).exists():
            why = "nothing to compare with" if chosen.check else "the report needs all tracks"
            parser.error(f"{chosen.output / name} is not there; {why}")
    try:
        with ExitStack() as stack:
            executor = (
                stack.enter_context(local_cluster(chosen.cluster))
                if chosen.cluster
                else executor_of(workers=chosen.workers, scheduler=chosen.scheduler)
            )
            if not chosen.check:
                _write(chosen, executor)
            elif found := _check(chosen, executor):
                parser.exit(1, f"{parser.prog}: {found}\n")
    except SimulationError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulations.benchmark", description=__doc__)
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--scheduler", default="", help="address of a Dask scheduler instead")
    parser.add_argument(
        "--cluster", type=int, default=0, help="workers of a Dask cluster of this machine instead"
    )
    parser.add_argument("--output", type=Path, default=Path("docs/benchmark"), help="folder")
    parser.add_argument("--trace", action="append", choices=list(TRACES), help="only these traces")
    parser.add_argument(
        "--track",
        choices=(*TRACKS, "all", "none"),
        default="all",
        help="what to run; the report is of what is in the folder (default all)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail unless every run equals the folder's in every bit",
    )
    return parser


def _write(chosen: argparse.Namespace, executor: Executor) -> None:
    chosen.output.mkdir(parents=True, exist_ok=True)
    for track, run in _tracks(chosen, executor).items():
        write_results(Results(runs=tuple(run())), chosen.output / FILES[track])
    if chosen.track in {"worlds", "all"}:
        write_worlds(run_worlds(executor), chosen.output / FILES["worlds"])
    findings = read_findings(chosen.output)
    write_readme(findings, chosen.output)
    write_page(findings, chosen.output)
    Console(stderr=True).print(f"wrote README.md and report.html in {chosen.output}")


def _check(chosen: argparse.Namespace, executor: Executor) -> str:
    """Run and compare; say where the folder has other figures, empty = nowhere."""
    console = Console(stderr=True)
    for track, run in _tracks(chosen, executor).items():
        kept = read_results(chosen.output / FILES[track]).runs
        if chosen.trace:
            kept = tuple(one for one in kept if one.trace in chosen.trace)
        found = run()
        if difference := first_difference(found, kept):
            return f"{FILES[track]}: {difference}"
        console.print(f"{FILES[track]}: all {len(found)} runs are equal")
    if chosen.track in {"worlds", "all"}:
        rows = run_worlds(executor)
        if difference := first_difference(rows, read_worlds(chosen.output / FILES["worlds"])):
            return f"{FILES['worlds']}: {difference}"
        console.print(f"{FILES['worlds']}: all {len(rows)} rows are equal")
    return ""


def _tracks(
    chosen: argparse.Namespace, executor: Executor
) -> dict[str, Callable[[], list[Result]]]:
    """Return what runs each of the chosen tracks that are made of traces."""
    traces = chosen.trace or list(TRACES)
    plans: dict[str, tuple[str, list[Part], Callable[[Part], list[Result]]]] = {
        "default": ("default track", parts_of(traces), run_part),
        "tuned": ("tuned track", tuned_parts(traces), run_tuned),
        "sets": ("other sizes and services", set_parts(traces), run_part),
    }
    return {
        track: partial(_run, title, parts, executor, function)
        for track, (title, parts, function) in plans.items()
        if chosen.track in {track, "all"}
    }


def _run(
    title: str,
    parts: list[Part],
    executor: Executor,
    function: Callable[[Part], list[Result]],
) -> list[Result]:
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

        return list(run_parts(parts, executor, done, function=function))


if __name__ == "__main__":
    main()
