"""The whole demo in one process: embedded cluster, shop, and the real controller over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from autoscaler.controller.service import Service
from autoscaler.controller.settings import ControllerSettings
from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.recorder import Recorder
from autoscaler.demo.redis_server import redis_address
from autoscaler.demo.scenario import MORNING_AT, build_shop, scale_shop
from autoscaler.demo.shop import Shop
from autoscaler.demo.shop_http import shop_pages
from autoscaler.demo.summary import Summary, Windows, summarise, windows_of
from autoscaler.demo.traffic import Day
from autoscaler.errors import AutoscalerError, ConfigError, shorten
from autoscaler.kube.transport import KubeClient, TransportLimits
from autoscaler.plugins import ScalerRegistry
from autoscaler.runtime.clock import ScaledClock, SystemClock
from autoscaler.web.app import listening

DEFAULT_SPEED: Final = 120.0
SHOW_SECONDS: Final = 0.25
STOP_SECONDS: Final = 15.0
LIMITS: Final = TransportLimits(queries_per_second=2_000.0, burst=2_000)
"""At a compressed clock the controller asks as often per real second as otherwise per minute."""


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to run.

    Attributes:
        speed: Seconds of the cluster's clock per second, > 0.
        duration_seconds: Real time until the end; None = until a signal.
        seed: Of everything random.
        port: Where the controller answers ``flyball explain``; 0 = any free port.
        redis_program: As of :func:`autoscaler.demo.redis_server.redis_address`.
    """

    speed: float = DEFAULT_SPEED
    duration_seconds: float | None = None
    seed: int = 1
    port: int = 0
    redis_program: str | None = None


class Demo:
    """A running demo, for whoever shows it.

    Attributes:
        cluster: The embedded cluster.
        shop: The world in it.
        service: The controller.
        recorder: What it did so far.
        explain_url: Where it answers.
    """

    def __init__(
        self,
        options: DemoOptions,
        *,
        cluster: EmbeddedCluster,
        shop: Shop,
        service: Service,
        recorder: Recorder,
        explain_url: str,
    ) -> None:
        self.options = options
        self.cluster = cluster
        self.shop = shop
        self.service = service
        self.recorder = recorder
        self.explain_url = explain_url


class DemoEnded(AutoscalerError):
    """A part of the demo ended although nobody asked it to; the cause is chained."""

    reason = "DemoEnded"


Show = Callable[[Demo], None]


def day_of(options: DemoOptions) -> Day:
    """Return the day: stretched over a run of known length, else two hours of cluster time."""
    if options.duration_seconds is None:
        return Day()
    return Day(seconds=options.duration_seconds * options.speed)


async def run_demo(options: DemoOptions, show: Show) -> Summary:
    """Run the demo and return what happened.

    Args:
        options: What to run.
        show: Called a few times a second while it runs, and once at the end.

    Raises:
        ConfigError: There is no Redis, or a port cannot be opened.
        DemoEnded: A part failed while it ran.
    """
    async with _assembled(options) as demo:
        began_at = demo.cluster.clock.monotonic()
        await _live(demo, show)
        counts = await demo.shop.recount()
        demo.recorder.look()
        show(demo)
        cluster_seconds = demo.cluster.clock.monotonic() - began_at
        return summarise(
            demo.recorder.events,
            _windows(demo.cluster),
            counts,
            list(demo.recorder.errors),
            seed=options.seed,
            speed=options.speed,
            seconds=cluster_seconds / options.speed,
            cluster_seconds=cluster_seconds,
        )


@contextlib.asynccontextmanager
async def _assembled(options: DemoOptions) -> AsyncIterator[Demo]:
    """Build every part, connected and not yet running."""
    clock = ScaledClock(SystemClock(), origin_at=MORNING_AT, speed=options.speed)
    rng = random.Random(options.seed)  # noqa: S311 - a reproducible run, nothing secret
    day = day_of(options)
    async with contextlib.AsyncExitStack() as stack:
        host, port = await stack.enter_async_context(redis_address(program=options.redis_program))
        redis = _redis(host, port)
        stack.push_async_callback(redis.aclose)
        cluster = EmbeddedCluster(clock=clock, seed=options.seed)
        build_shop(cluster)
        await stack.enter_async_context(cluster)
        shop = Shop(cluster, redis, day, rng)
        url = await stack.enter_async_context(shop_pages(shop, clock))
        scale_shop(cluster, day, shop_url=url, redis_host=host, redis_port=port)
        client = KubeClient.for_url(cluster.url, limits=LIMITS)
        stack.push_async_callback(client.close)
        service = Service(
            client,
            ScalerRegistry(),
            settings=ControllerSettings(journal_length=100),
            clock=clock,
            rng=random.Random(options.seed),  # noqa: S311 - jitter
        )
        answering = await stack.enter_async_context(listening(service, "127.0.0.1", options.port))
        yield Demo(
            options,
            cluster=cluster,
            shop=shop,
            service=service,
            recorder=Recorder(cluster.store, service, clock),
            explain_url=f"http://127.0.0.1:{answering}",
        )


async def _live(demo: Demo, show: Show) -> None:
    """Run everything to its end; raises DemoEnded when a part fails."""
    try:
        await _run_parts(demo, show)
    except ExceptionGroup as group:
        first = group.exceptions[0]
        text = shorten(str(first)) or type(first).__name__
        raise DemoEnded(f"a part of the demo failed: {text}") from group


async def _run_parts(demo: Demo, show: Show) -> None:
    """Run until the duration is over or a signal comes, then stop in order."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        service = tasks.create_task(demo.service.run(), name="controller")
        shop = tasks.create_task(demo.shop.run(), name="shop")
        watching = [
            tasks.create_task(demo.recorder.run(), name="recorder"),
            tasks.create_task(_keep_showing(demo, show), name="display"),
        ]
        with _signals(stop):
            try:
                async with asyncio.timeout(demo.options.duration_seconds):
                    await stop.wait()
            except TimeoutError:
                pass
        # First the controller, so that nothing is scaled by a half-stopped demo.
        demo.service.stop("the demo is over")
        async with asyncio.timeout(STOP_SECONDS):
            await service
        demo.shop.close()
        async with asyncio.timeout(STOP_SECONDS):
            await shop
        for task in watching:
            task.cancel()


async def _keep_showing(demo: Demo, show: Show) -> None:
    while True:
        show(demo)
        await asyncio.sleep(SHOW_SECONDS)


@contextlib.contextmanager
def _signals(
    stop: asyncio.Event, signals: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)
) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM set ``stop`` instead of tearing tasks apart."""
    loop = asyncio.get_running_loop()
    for one in signals:
        loop.add_signal_handler(one, stop.set)
    try:
        yield
    finally:
        for one in signals:
            loop.remove_signal_handler(one)


def _windows(cluster: EmbeddedCluster) -> dict[str, Windows]:
    items = cluster.store.items("scaledobjects.flyball.dev")
    return {item.value["metadata"]["name"]: windows_of(item.value) for item in items}


def _redis(host: str, port: int) -> Any:
    try:
        from redis.asyncio import Redis
    except ImportError as exc:
        raise ConfigError("the demo needs the redis package: install flyball[demo]") from exc
    return Redis(host=host, port=port, decode_responses=True)
