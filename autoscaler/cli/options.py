"""Options that several commands share: how to reach the cluster, settings, logs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Kubeconfig: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Kubeconfig file. Unset: $KUBECONFIG, the pod's account, ~/.kube/config."),
]
Context: TypeAlias = Annotated[str | None, typer.Option(help="Context inside the kubeconfig.")]
Server: TypeAlias = Annotated[
    str | None,
    typer.Option(help="URL of an API server that wants no credentials (kubectl proxy)."),
]
Namespace: TypeAlias = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Look only at this one. Unset: all.")
]
Config: TypeAlias = Annotated[
    Path | None, typer.Option(help="Settings file (YAML).", envvar="FLYBALL_CONFIG")
]
LogLevel: TypeAlias = Annotated[
    str | None, typer.Option(help="debug, info, warning or error (default: info).")
]
LogFormat: TypeAlias = Annotated[str | None, typer.Option(help="auto, json or console.")]
