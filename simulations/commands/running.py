"""What the commands share: errors as sentences, criteria as exit status, files of a report."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import typer

if TYPE_CHECKING:
    from simulations.report.html import Page
    from simulations.report.tables import Table
    from simulations.score.criteria import Criterion
    from simulations.score.score import Score

FAILED: Final = 1
"""Exit status when a criterion is not kept, as for any other failure."""

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

P = ParamSpec("P")
R = TypeVar("R")


def with_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turn what the user can mend into a sentence on standard error and exit status 2."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing not in {"numpy", "matplotlib", "jinja2"}:
                raise
            typer.echo(
                f"{missing} is not installed; simulations need the extra simulate: "
                "pip install 'flyball[simulate]'",
                err=True,
            )
            raise typer.Exit(2) from error
        except Exception as error:
            from autoscaler.errors import AutoscalerError

            if not isinstance(error, AutoscalerError):
                raise
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from error

    return wrapped


def report_folder(name: str, output: Path | None, junit: Path | None) -> Path:
    """Return the folder of a report, made before the work whose result it is for.

    Args:
        name: Of the report.
        output: As wanted; ``flyball-reports/NAME`` when None.
        junit: Where JUnit XML is wanted.

    Raises:
        SimulationError: Something cannot be written there.
    """
    from simulations.errors import SimulationError

    folder = output or Path("flyball-reports") / name
    for option, place in (("--output", folder), ("--junit", junit and junit.parent)):
        if place is not None:
            try:
                place.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=place):
                    pass
            except OSError as error:
                raise SimulationError(f"{option}: cannot write to {place}: {error}") from error
    return folder


def now() -> float:
    """Return the time, epoch seconds."""
    from autoscaler.runtime.clock import SystemClock

    return SystemClock().now()


def criteria_of(texts: Sequence[str]) -> list[Criterion]:
    """Return criteria as given on the command line or in a scenario."""
    from simulations.score.criteria import parse_criterion

    return [parse_criterion(text) for text in texts]


def deliver(
    name: str,
    *,
    tables: Sequence[Table],
    scores: Sequence[Score],
    criteria: Sequence[Criterion],
    page: Callable[[list[str]], Page],
    folder: Path,
    junit: Path | None,
    json: bool,
    judged: Sequence[Score] | None = None,
    files: Mapping[str, bytes] | None = None,
    text: str = "",
    remark: str = "",
    ready: str = "",
    **facts: Any,
) -> None:
    """Show a result, write its report, and exit as its criteria say.

    Args:
        name: Of the JUnit suite.
        tables: For the console.
        scores: For JSON.
        criteria: No judged score may meet one.
        page: Makes the page, given the sentences of failed criteria.
        folder: See :func:`report_folder`.
        junit: Where to write JUnit XML, if wanted.
        json: Print JSON instead of tables.
        judged: Scores that criteria are about; all when None.
        files: Beside the page.
        text: Printed under the tables.
        remark: Said on standard error under the tables.
        ready: Which of the files is ready to apply.
        facts: Further fields of the JSON.
    """
    from rich.console import Console

    from simulations.report.console import show
    from simulations.report.exports import to_json, to_junit
    from simulations.report.html import render
    from simulations.score.criteria import failures

    about = scores if judged is None else judged
    failed = [sentence for score in about for sentence in failures(criteria, score)]
    document = to_json(scores, failed, **facts)
    if json:
        typer.echo(document.decode(), nl=False)
    else:
        console = Console()
        for table in tables:
            show(console, table)
        if text:
            typer.echo(text)
        if remark:
            typer.echo(remark, err=True)
    path = folder / "report.html"
    path.write_text(render(page(failed)), encoding="utf-8")
    for file, content in {"result.json": document, **(files or {})}.items():
        (folder / file).write_bytes(content)
    typer.echo(f"report: {path}" + (f", object: {folder / ready}" if ready else ""), err=True)
    if junit is not None:
        junit.write_bytes(to_junit(name, about, criteria))
    for sentence in failed:
        typer.echo(sentence, err=True)
    if failed:
        raise typer.Exit(FAILED)


def seconds_of(text: str, option: str) -> float:
    """Return a duration such as ``14d``, ``12h``, ``90m`` or ``15s``, seconds.

    Raises:
        SimulationError: It is none.
    """
    from simulations.errors import SimulationError

    number, unit = text[:-1], text[-1:]
    try:
        value = float(number) * _UNITS[unit]
    except (KeyError, ValueError):
        value = -1.0
    if value <= 0:
        raise SimulationError(f'{option} is "{text}", must be such as 14d, 12h, 90m or 15s')
    return value


def object_of(path: Path) -> Mapping[str, Any]:
    """Return the only ScaledObject of a manifest, which may hold other objects.

    Raises:
        SimulationError: There is none, or there are several.
        InvalidObject: It is wrong.
    """
    import yaml

    from autoscaler.api.parse import parse_object
    from simulations.errors import SimulationError

    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SimulationError(f"{path} cannot be read: {error}") from error
    found = [
        document
        for document in documents
        if isinstance(document, dict) and document.get("kind") == "ScaledObject"
    ]
    if len(found) != 1:
        raise SimulationError(f"{path} holds {len(found)} ScaledObjects, must hold one")
    parse_object(found[0])
    return found[0]
