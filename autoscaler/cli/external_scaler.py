"""``flyball external-scaler``: our decisions for KEDA, without a controller beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autoscaler.cli.options import (
    Config,
    Context,
    Kubeconfig,
    LogFormat,
    LogLevel,
    Namespace,
    Server,
)
from autoscaler.errors import ConfigError

if TYPE_CHECKING:
    from autoscaler.controller.service import Service
    from autoscaler.external.scaler import ExternalScaler
    from autoscaler.kube.transport import KubeClient
    from autoscaler.runtime.clock import Clock
    from autoscaler.settings import Settings
    from autoscaler.telemetry.metrics import Metrics


def external_scaler(
    listen: Annotated[
        str | None, typer.Option(help="HOST:PORT for KEDA to call (default: 0.0.0.0:6000).")
    ] = None,
    certificate_folder: Annotated[
        Path | None,
        typer.Option(help="Folder with tls.crt and tls.key; with ca.crt clients need one, too."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Let policies in KEDA's metadata connect only there (name, *.suffix, address or "
            "network); may be given several times."
        ),
    ] = None,
    no_cluster: Annotated[
        bool, typer.Option("--no-cluster", help="Look nothing up in a cluster.")
    ] = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    server: Server = None,
    namespace: Namespace = None,
    http_listen: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of probes, metrics and explanations (default: 0.0.0.0:8080)."),
    ] = None,
    config: Config = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Serve KEDA's external scaler contract until SIGTERM.

    Needs the extra grpc. The guide keda-external-scaler says what goes into KEDA's ScaledObject.
    """
    from autoscaler.cli.run import address_of, start

    flags: dict[str, dict[str, Any]] = {
        "kubernetes": {
            "kubeconfig": kubeconfig,
            "context": context,
            "server": server,
            "namespace": namespace,
        },
        "external": {
            "is_enabled": True,
            "certificate_folder": str(certificate_folder) if certificate_folder else None,
            "allowed_hosts": tuple(allow_host) if allow_host else None,
        }
        | address_of(listen),
        "server": address_of(http_listen),
        "telemetry": {"log_level": log_level, "log_format": log_format},
    }

    async def serve(settings: Settings) -> None:
        await _serve(settings, has_cluster=not no_cluster)

    start(flags, config, serve)


async def _serve(settings: Settings, *, has_cluster: bool) -> None:
    """Wire the external scaler and run it until a signal.

    Raises:
        ConfigError: No usable cluster configuration, or an address is taken.
        RootTaskEnded: It ended unexpectedly.
    """
    from contextlib import AsyncExitStack

    import structlog

    from autoscaler import __version__
    from autoscaler.cli.run import connect, transport_limits
    from autoscaler.runtime import garbage
    from autoscaler.runtime.clock import SystemClock
    from autoscaler.runtime.supervisor import Supervisor
    from autoscaler.telemetry.metrics import Metrics
    from autoscaler.web.app import listening

    clock = SystemClock()
    metrics = Metrics(keda_names=False)
    metrics.observe_process()
    async with AsyncExitStack() as stack:
        client = None
        if has_cluster:
            client = await connect(settings, metrics, transport_limits(settings))
            stack.push_async_callback(client.close)
        scaler = build(settings, client=client, clock=clock, metrics=metrics)
        structlog.get_logger(__name__).info(
            "starting",
            version=__version__,
            api_server=client.server if client else None,
            allowed_hosts=settings.external.allowed_hosts or "all",
        )
        if client is None:
            structlog.get_logger(__name__).warning(
                "no_cluster",
                why="after a restart every policy begins at zero replicas: cooldowns, windows and "
                "rates are lost; give access to the cluster to go on from what targets have",
            )
        if settings.server.is_enabled:
            http = settings.server
            await stack.enter_async_context(listening(scaler.view, http.host, http.port))
        supervisor = Supervisor()
        supervisor.add("external-scaler", scaler.run)
        garbage.settle()
        await supervisor.run()


def build(
    settings: Settings, *, client: KubeClient | None, clock: Clock, metrics: Metrics
) -> ExternalScaler:
    """Return the external scaler of a process; raises ConfigError."""
    from random import Random

    from autoscaler.controller.settings import controller_settings

    try:
        from autoscaler.external.scaler import ExternalScaler
    except ModuleNotFoundError as error:
        raise ConfigError(
            f'the external scaler needs the module {error.name}; install "flyball[grpc]"',
            field="external",
        ) from error
    return ExternalScaler(
        client,
        settings=settings.external,
        controller=controller_settings(settings),
        clock=clock,
        rng=Random(),  # noqa: S311 -- jitter
        metrics=metrics,
    )


def add_external_scaler(
    service: Service, settings: Settings, *, client: KubeClient, clock: Clock
) -> None:
    """Run the external scaler with the controller.

    Args:
        service: Not running yet.
        settings: Of the process.
        client: A connection of its own: calls must not use up what scaling may ask for.
        clock: Wall time.

    Raises:
        ConfigError: It cannot be set up.
    """
    scaler = build(settings, client=client, clock=clock, metrics=service.metrics)
    service.add_task("external-scaler", scaler.run)
