"""``flyball explain``: ask the running service why an object has the replicas it has."""

from __future__ import annotations

import json as jsonlib
from http import HTTPStatus
from typing import Annotated, Any, NoReturn
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import typer

DEFAULT_SERVER = "http://127.0.0.1:8080"
TIMEOUT_SECONDS = 5.0


def explain(
    name: Annotated[str, typer.Argument(help="Scaling object: NAME or NAMESPACE/NAME.")],
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace, when NAME has none.")
    ] = "default",
    server: Annotated[
        str,
        typer.Option(envvar="FLYBALL_SERVER", help="Address of the running service."),
    ] = DEFAULT_SERVER,
    json: Annotated[
        bool, typer.Option("--json", help="Print the whole derivation as JSON.")
    ] = False,
) -> None:
    """Show the last decision about an object: inputs, each stage, and what held it back."""
    space, _, plain = name.rpartition("/")
    space = space or namespace
    path = f"/api/v1/objects/{quote(space, safe='')}/{quote(plain, safe='')}/explain"
    answer = _get(server.rstrip("/") + path, f"{space}/{plain}")
    if json:
        typer.echo(jsonlib.dumps(answer, indent=2))
        return
    _print(answer)


def _get(url: str, wanted: str) -> dict[str, Any]:
    """Return the JSON body, or end with a message saying what to do."""
    if not url.startswith(("http://", "https://")):
        _fail(f"--server must be an http:// or https:// address, got {url!r}")
    request = Request(url, headers={"Accept": "application/json"})  # noqa: S310 - scheme checked above
    try:
        with urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - scheme checked above
            body: dict[str, Any] = jsonlib.load(response)
            return body
    except HTTPError as error:
        if error.code == HTTPStatus.NOT_FOUND:
            _fail(f"{wanted}: the service knows no such object (flyball explain NAMESPACE/NAME)")
        _fail(f"{wanted}: the service answered {error.code} {error.reason}")
    except (URLError, OSError, ValueError) as error:
        _fail(
            f"no service at {url.split('/api/')[0]} ({error}). In a cluster: "
            "kubectl -n flyball-system port-forward deployment/flyball 8080"
        )


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)


def _print(answer: dict[str, Any]) -> None:
    from rich.console import Console

    Console().print(answer)
