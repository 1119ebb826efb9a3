"""``flyball run``: the composition root of the controller."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

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

if TYPE_CHECKING:
    from autoscaler.kube.transport import KubeClient, TransportLimits
    from autoscaler.settings import Settings
    from autoscaler.telemetry.metrics import Metrics


def run(
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    server: Server = None,
    namespace: Namespace = None,
    watch_keda: Annotated[
        bool,
        typer.Option(
            "--watch-keda", help='Also act on keda.sh objects with flyball.dev/adopt: "true".'
        ),
    ] = False,
    watch_keda_all: Annotated[
        bool, typer.Option("--watch-keda-all", help="Act on all keda.sh objects; KEDA is gone.")
    ] = False,
    listen: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of probes, metrics and explanations (default: 0.0.0.0:8080)."),
    ] = None,
    webhook_listen: Annotated[
        str | None,
        typer.Option(help="Serve the admission webhook, too, on this HOST:PORT (default: off)."),
    ] = None,
    external_listen: Annotated[
        str | None,
        typer.Option(help="Serve KEDA's external scaler, too, on this HOST:PORT (default: off)."),
    ] = None,
    config: Config = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Run the controller until SIGTERM; every option is also a setting and a variable.

    A stop takes no more work, finishes running reconciles within the grace period and closes.
    """
    flags = {
        "kubernetes": {
            "kubeconfig": kubeconfig,
            "context": context,
            "server": server,
            "namespace": namespace,
            "watch_keda": _scope(annotated=watch_keda, everything=watch_keda_all),
        },
        "server": address_of(listen),
        "webhook": {"is_enabled": webhook_listen is not None or None} | address_of(webhook_listen),
        "external": {"is_enabled": external_listen is not None or None}
        | address_of(external_listen),
        "telemetry": {"log_level": log_level, "log_format": log_format},
    }
    start(flags, config, serve)


async def serve(settings: Settings) -> None:
    """Connect, wire the service and run it until a signal.

    Raises:
        ConfigError: No usable cluster configuration, or the address is taken.
        RootTaskEnded: A part of the service ended unexpectedly.
    """
    from contextlib import AsyncExitStack

    import structlog

    from autoscaler import __version__
    from autoscaler.cli.external_scaler import add_external_scaler
    from autoscaler.cli.webhook import add_webhook
    from autoscaler.controller.service import Service
    from autoscaler.controller.settings import controller_settings
    from autoscaler.plugins import ScalerRegistry
    from autoscaler.runtime import garbage
    from autoscaler.runtime.clock import SystemClock
    from autoscaler.runtime.supervisor import DEFAULT_SIGNALS
    from autoscaler.telemetry.metrics import Metrics
    from autoscaler.web.app import listening

    kubernetes, clock = settings.kubernetes, SystemClock()
    metrics = Metrics(keda_names=settings.telemetry.keda_metric_names)
    metrics.observe_process()
    metrics.observe_decision_age(clock.now)
    limits = transport_limits(settings)
    registry = ScalerRegistry()
    async with AsyncExitStack() as stack:
        client = await connect(settings, metrics, limits)
        stack.push_async_callback(client.close)
        service = Service(
            client,
            registry,
            settings=controller_settings(settings),
            clock=clock,
            metrics=metrics,
        )
        structlog.get_logger(__name__).info(
            "starting",
            version=__version__,
            api_server=client.server,
            namespace=kubernetes.namespace or "all",
        )
        if settings.webhook.is_enabled:
            own_client = await connect(settings, metrics, limits)
            stack.push_async_callback(own_client.close)
            add_webhook(service, settings, client=own_client, registry=registry, clock=clock)
        if settings.external.is_enabled:
            own_client = await connect(settings, metrics, limits)
            stack.push_async_callback(own_client.close)
            add_external_scaler(service, settings, client=own_client, clock=clock)
        if settings.server.is_enabled:
            server = settings.server
            await stack.enter_async_context(listening(service, server.host, server.port))
        garbage.settle()
        await service.run(signals=DEFAULT_SIGNALS)


def transport_limits(settings: Settings) -> TransportLimits:
    """Return what one connection may ask of the API server."""
    from autoscaler.kube.transport import TransportLimits

    kubernetes = settings.kubernetes
    return TransportLimits(
        queries_per_second=kubernetes.queries_per_second,
        burst=kubernetes.burst,
        timeout_seconds=kubernetes.timeout_seconds,
    )


async def connect(settings: Settings, metrics: Metrics, limits: TransportLimits) -> KubeClient:
    """Return a connection to the API server of the settings; raises ConfigError."""
    from autoscaler.kube.transport import KubeClient

    kubernetes = settings.kubernetes
    if kubernetes.server:
        return KubeClient.for_url(
            kubernetes.server, limits=limits, on_request=metrics.kube_requested
        )
    return await KubeClient.connect(
        kubernetes.kubeconfig,
        kubernetes.context,
        in_cluster=kubernetes.in_cluster,
        limits=limits,
        on_request=metrics.kube_requested,
    )


def start(
    flags: dict[str, Any],
    config: Path | None,
    serve: Callable[[Settings], Coroutine[Any, Any, None]],
) -> None:
    """Load the settings and serve until the end; one that is an error is told, with status 1.

    Args:
        flags: Settings given on the command line; None = not given.
        config: Settings file.
        serve: Runs until a signal; may raise AutoscalerError.
    """
    import asyncio

    from autoscaler.errors import AutoscalerError
    from autoscaler.settings import load_settings
    from autoscaler.telemetry.logging import configure_logging

    try:
        settings = load_settings(flags, file=config)
        telemetry = settings.telemetry
        configure_logging(level=telemetry.log_level, format_=telemetry.log_format)
        asyncio.run(serve(settings))
    except AutoscalerError as error:
        _end(error)


def _scope(*, annotated: bool, everything: bool) -> str | None:
    """Return which ``keda.sh`` objects the flags ask for, None when they ask for none."""
    return "all" if everything else "annotated" if annotated else None


def address_of(listen: str | None) -> dict[str, Any]:
    """Return host and port of ``--listen``; checking the port is the settings' business."""
    if listen is None:
        return {}
    host, _, port = listen.rpartition(":")
    return {"host": host.strip("[]") or None, "port": port}


def _end(error: Exception) -> NoReturn:
    typer.echo(f"flyball: {error}", err=True)
    raise typer.Exit(1) from error
