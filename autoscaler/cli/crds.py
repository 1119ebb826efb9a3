"""``flyball crds``: the custom resource definitions, made from the API models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def crds(
    output: Annotated[
        Path | None, typer.Option(help="Write one file per kind into this folder.")
    ] = None,
    check: Annotated[
        Path | None, typer.Option(help="Exit 1 if the files in this folder are not up to date.")
    ] = None,
) -> None:
    """Print the custom resource definitions, for ``kubectl apply --server-side -f -``."""
    from autoscaler.api.crds import render_crds

    files = render_crds()
    if check is not None:
        stale = [name for name, text in files.items() if _read(check / name) != text]
        stale += sorted(p.name for p in check.glob("*.yaml") if p.name not in files)
        if stale:
            typer.echo(
                f"not up to date in {check}: {', '.join(stale)} (flyball crds --output {check})",
                err=True,
            )
            raise typer.Exit(1)
        return
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (output / name).write_text(text)
            typer.echo(f"wrote {output / name}", err=True)
        return
    typer.echo("---\n".join(files.values()), nl=False)


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None
