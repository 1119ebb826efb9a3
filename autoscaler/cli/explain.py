"""``flyball explain``: ask the running service why an object has the replicas it has."""

from __future__ import annotations

import json as jsonlib
from http import HTTPStatus
from typing import Annotated, NoReturn
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import urlopen

import typer

DEFAULT_SERVER = "http://127.0.0.1:8080"
SERVER_VARIABLE = "FLYBALL_EXPLAIN_SERVER"
"""Not ``FLYBALL_SERVER``, which would be the service's group of settings ``server``."""
TIMEOUT_SECONDS = 5.0


def explain(
    name: Annotated[str, typer.Argument(help="Scaling object: NAME or NAMESPACE/NAME.")],
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace, when NAME has none.")
    ] = "default",
    kind: Annotated[
        str | None,
        typer.Option(help="ScaledObject or ScaledJob, where both have this name."),
    ] = None,
    server: Annotated[
        str,
        typer.Option(envvar=SERVER_VARIABLE, help="Address of the running service."),
    ] = DEFAULT_SERVER,
    json: Annotated[
        bool, typer.Option("--json", help="Print the whole derivation as JSON.")
    ] = False,
) -> None:
    """Show the last decision about an object: inputs, each stage, and what held it back."""
    space, _, plain = name.rpartition("/")
    space = space or namespace
    form = "json" if json else "text"
    path = f"/api/v1/objects/{quote(space, safe='')}/{quote(plain, safe='')}/explain?format={form}"
    path += f"&kind={quote(kind, safe='')}" if kind else ""
    answer = _get(server.rstrip("/") + path, f"{space}/{plain}")
    typer.echo(jsonlib.dumps(jsonlib.loads(answer), indent=2) if json else answer.rstrip())


def _get(url: str, wanted: str) -> str:
    """Return the body, or end with a message saying what to do."""
    if not url.startswith(("http://", "https://")):
        _fail(f"--server must be an http:// or https:// address, got {url!r}")
    try:
        with urlopen(url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - scheme checked above
            body: bytes = response.read()
            return body.decode()
    except HTTPError as error:
        if error.code == HTTPStatus.NOT_FOUND:
            _fail(f"{wanted}: the service knows no such object (flyball explain NAMESPACE/NAME)")
        _fail(f"{wanted}: the service answered {error.code} {error.reason}")
    except (URLError, OSError, ValueError) as error:
        _fail(
            f"no service at {url.partition('/api/')[0]} ({error}). In a cluster: "
            "kubectl -n flyball-system port-forward deployment/flyball 8080"
        )


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
