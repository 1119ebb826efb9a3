"""``flyball scalers``: the trigger types on offer, and the parameters of one."""

from __future__ import annotations

import json as jsonlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from autoscaler.plugins import ScalerRegistry


def scalers(
    trigger_type: Annotated[
        str | None, typer.Argument(metavar="[TYPE]", help="Show the parameters of this type.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List trigger types with tier and description, or the parameters of one with defaults."""
    from autoscaler.errors import UnknownScalerError
    from autoscaler.plugins import ScalerRegistry

    registry = ScalerRegistry()
    if trigger_type is None:
        _list(registry, as_json=json)
        return
    try:
        _show(registry, trigger_type, as_json=json)
    except UnknownScalerError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _list(registry: ScalerRegistry, *, as_json: bool) -> None:
    """Print one line per type; a type that cannot be loaded says why instead."""
    from autoscaler.errors import UnknownScalerError

    rows: list[dict[str, str]] = []
    for name in registry.names():
        try:
            found = registry.get(name)
        except UnknownScalerError as error:
            rows.append({"type": name, "tier": "unavailable", "description": str(error)})
        else:
            rows.append({"type": name, "tier": found.tier, "description": found.description})
    if as_json:
        typer.echo(jsonlib.dumps(rows, indent=2))
        return
    _table(("type", "tier", "description"), rows)


def _show(registry: ScalerRegistry, trigger_type: str, *, as_json: bool) -> None:
    """Print the parameters of one type."""
    import msgspec

    found = registry.get(trigger_type)
    parameters: list[dict[str, Any]] = msgspec.to_builtins(found.config_type.describe())
    if as_json:
        described = {
            "type": trigger_type,
            "tier": found.tier,
            "description": found.description,
            "parameters": parameters,
        }
        typer.echo(jsonlib.dumps(described, indent=2))
        return
    typer.echo(f"{trigger_type} ({found.tier}): {found.description}\n")
    columns = ("parameter", "type", "required", "default", "sources", "description")
    _table(columns, [_as_text(row) for row in parameters])


def _as_text(row: dict[str, Any]) -> dict[str, str]:
    """Return a parameter description with every value as the table shows it."""
    names = [row["name"], *row.get("aliases", ())]
    notes = [row.get("doc", "")]
    notes += [
        f"{word}: {row[word]}" for word in ("accepted", "deprecated", "removed") if row.get(word)
    ]
    return {
        "parameter": ", ".join(names),
        "type": row["type"],
        "required": "yes" if row.get("required") else "",
        "default": str(row.get("default") or ""),
        "sources": ", ".join(row.get("sources", ())),
        "description": "; ".join(note for note in notes if note),
    }


def _table(columns: tuple[str, ...], rows: list[dict[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(row.get(column, "") for column in columns))
    Console().print(table)
