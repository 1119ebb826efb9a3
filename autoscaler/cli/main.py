"""The ``flyball`` command: one module per sub-command, each importing its parts when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from autoscaler import __version__
from autoscaler.cli.added import WithAddedCommands
from autoscaler.cli.crds import crds
from autoscaler.cli.demo import demo
from autoscaler.cli.explain import explain
from autoscaler.cli.external_scaler import external_scaler
from autoscaler.cli.run import run
from autoscaler.cli.scalers import scalers
from autoscaler.cli.validate import validate

app = typer.Typer(
    cls=WithAddedCommands,
    name="flyball",
    help="Event-driven autoscaler for Kubernetes that explains every decision.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"flyball {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show version.")
    ] = False,
) -> None:
    """Read options that stand before the sub-command."""


app.command()(run)
app.command()(external_scaler)
app.command()(demo)
app.command()(validate)
app.command()(explain)
app.command()(scalers)
app.command()(crds)


def main() -> None:
    """Run the command line."""
    app()
