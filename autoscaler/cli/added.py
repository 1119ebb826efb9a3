"""Commands that other packages add to ``flyball``, found through the entry points.

An entry of the group ``autoscaler.commands`` names a ``typer.Typer`` or a function with Typer's
annotations. It is imported when its command runs or is listed; one that cannot be imported says so
instead of breaking the others.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typing_extensions import override

GROUP: Final = "autoscaler.commands"


class WithAddedCommands(TyperGroup):
    """The commands of the service, and those that other packages add."""

    @override
    def list_commands(self, ctx: Any) -> list[str]:
        """Return all names, added ones last."""
        own = super().list_commands(ctx)
        return [*own, *sorted(set(_entries()) - set(own))]

    @override
    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, importing it if it is an added one."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        entry = _entries().get(cmd_name)
        return None if entry is None else _command(entry)


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _command(entry: EntryPoint) -> Any:
    try:
        loaded = entry.load()
    except ImportError as error:
        loaded = _broken(entry, str(error))
    app = loaded
    if not isinstance(loaded, typer.Typer):
        app = typer.Typer(
            add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
        )
        app.command(entry.name)(loaded)
    command = typer.main.get_command(app)
    command.name = entry.name
    return command


def _broken(entry: EntryPoint, why: str) -> typer.Typer:
    """Return a command that only says why it cannot run."""
    app = typer.Typer(add_completion=False)

    @app.command(
        entry.name,
        help=f"Cannot be imported: {why}",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def refuse() -> None:
        typer.echo(f"{entry.name} ({entry.value}) cannot be imported: {why}", err=True)
        raise typer.Exit(2)

    return app
