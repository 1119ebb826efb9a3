"""``flyball demo``: the controller at work in an embedded cluster, no Kubernetes needed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from autoscaler.demo.run import Demo, DemoOptions
    from autoscaler.demo.summary import Summary


def demo(
    duration: Annotated[
        float | None,
        typer.Option(min=1.0, help="End after so many seconds. Unset: run until Ctrl-C."),
    ] = None,
    speed: Annotated[
        float,
        typer.Option(min=1.0, max=1000.0, help="Seconds of the shop's day per real second."),
    ] = 120.0,
    json: Annotated[
        bool, typer.Option("--json", help="Print nothing but a summary, as JSON, at the end.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 1,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where `flyball explain` can ask; 0: any free.")
    ] = 0,
) -> None:
    """Scale a shop through a day of traffic: growth, lunch peak, flash crowd, quiet night.

    Web frontend, REST API and queue workers run in an in-memory Kubernetes API server; the queue is
    in a real Redis where redis-server is installed. With --duration the day is stretched over it.
    """
    import asyncio

    from autoscaler.demo.run import DemoOptions, run_demo
    from autoscaler.errors import AutoscalerError
    from autoscaler.telemetry.logging import configure_logging

    is_live = not json and sys.stdout.isatty()
    # On the live table a log line would be torn apart; what matters there is in the table.
    configure_logging(level="error" if is_live else "warning")
    options = DemoOptions(speed=speed, duration_seconds=duration, seed=seed, port=port)
    try:
        if is_live:
            summary = _live(options)
        else:
            show = _silent if json else _Lines().show
            summary = asyncio.run(run_demo(options, show))
    except AutoscalerError as error:
        typer.echo(f"flyball: {error}", err=True)
        raise typer.Exit(1) from error
    _report(summary, json=json)
    if summary.items.lost:
        raise typer.Exit(1)


def _live(options: DemoOptions) -> Summary:
    import asyncio

    from rich.live import Live

    from autoscaler.demo.run import run_demo
    from autoscaler.demo.table import render

    with Live(auto_refresh=False, vertical_overflow="visible") as live:

        def show(running: Demo) -> None:
            live.update(render(running), refresh=True)

        return asyncio.run(run_demo(options, show))


def _silent(running: Demo) -> None:
    """Show nothing."""


class _Lines:
    """Prints scale events as they happen, and the state of the shop now and then."""

    EVERY_SECONDS = 600.0

    def __init__(self) -> None:
        self._printed = 0
        self._said_at = -self.EVERY_SECONDS

    def show(self, running: Demo) -> None:
        from autoscaler.demo.table import progress

        elapsed_seconds = running.shop.elapsed_seconds
        if elapsed_seconds - self._said_at >= self.EVERY_SECONDS:
            self._said_at = elapsed_seconds
            typer.echo(progress(running))
        for event in running.recorder.events[self._printed :]:
            if not event.reason:
                break
            typer.echo(f"  {event.object} {event.before} -> {event.after}: {event.reason}")
            self._printed += 1


def _report(summary: Summary, *, json: bool) -> None:
    import msgspec

    if json:
        typer.echo(msgspec.json.encode(summary).decode())
        return
    items = summary.items
    typer.echo(
        f"{len(summary.events)} scale events in {summary.cluster_seconds / 60:.0f} minutes of the "
        f"shop's time: {summary.scales_from_zero} from zero, at most {summary.largest_scale_out} "
        f"replicas added at once, {summary.scale_ins_after_window} scale-ins after their window, "
        f"{summary.scale_ins_too_early} before it."
    )
    typer.echo(
        f"{items.produced} orders: {items.processed} processed, {items.queued} queued, "
        f"{items.in_flight} in flight, {items.lost} lost."
    )
    for error in summary.errors:
        typer.echo(f"error: {error}")
