"""The shop: customers come, the queue fills, workers empty it, and the metrics say so."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any, Final

import msgspec

from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.metrics_api import Usage
from autoscaler.demo.objects import JsonObject, Key, labels_of
from autoscaler.demo.orders import Counts, Crew
from autoscaler.demo.pods import is_ready, is_terminating, phase
from autoscaler.demo.traffic import Day

NAMESPACE: Final = "shop"
QUEUE: Final = "orders"
TICK_SECONDS: Final = 0.025
"""Real time between two steps; at 120x these are 3 seconds of the shop's time."""
REDIS_SECONDS: Final = 10.0
SERVICE_SECONDS: Final = 4.0
API_LATENCY_SECONDS: Final = 0.25

CPU_MILLI_PER_REQUEST: Final = 12
CPU_MILLI_BUSY: Final = 800
CPU_MILLI_IDLE: Final = 20
MEMORY_BYTES: Final = 180 * 1024 * 1024


class Load(msgspec.Struct, kw_only=True):
    """What the shop's metrics show at this moment.

    Attributes:
        requests: Page requests per second.
        api_calls: REST calls per second.
        api_in_flight: REST calls under way.
        orders: Orders per second.
    """

    requests: float = 0.0
    api_calls: float = 0.0
    api_in_flight: float = 0.0
    orders: float = 0.0


class Shop:
    """The running shop; its pods are those of the embedded cluster.

    Args:
        cluster: Where the pods are.
        redis: Connected ``redis.asyncio`` client.
        day: The load curve; the day begins when :meth:`run` does.
        rng: Everything random.
    """

    def __init__(self, cluster: EmbeddedCluster, redis: Any, day: Day, rng: random.Random) -> None:
        self.day = day
        self.load = Load()
        self.queued = 0
        self._cluster = cluster
        self._clock = cluster.clock
        self._redis = redis
        self._rng = rng
        self._crew = Crew(rng, service_seconds=SERVICE_SECONDS)
        self._produced = 0
        self._owed = 0.0
        self._opened_at = self._clock.monotonic()
        self._stepped_at = self._opened_at
        self._closing = asyncio.Event()
        cluster.metrics.usage = self.usage
        cluster.kubelet.is_drained = self.is_drained

    @property
    def elapsed_seconds(self) -> float:
        """How long the shop has been running, by the cluster's clock."""
        return self._stepped_at - self._opened_at

    def counts(self) -> Counts:
        """Return the accounts as of the last step."""
        return Counts(
            produced=self._produced,
            processed=self._crew.processed,
            queued=self.queued,
            in_flight=self._crew.in_flight,
            returned=self._crew.returned,
        )

    async def run(self) -> None:
        """Live through the days until closed.

        Not to be cancelled: a step cut short may have moved orders that are in no account.
        """
        self._opened_at = self._stepped_at = self._clock.monotonic()
        while not self._closing.is_set():
            await self.step()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._closing.wait()

    def close(self) -> None:
        """End :meth:`run` after the step under way."""
        self._closing.set()

    async def recount(self) -> Counts:
        """Return the accounts with the list counted anew, once :meth:`run` has ended."""
        async with asyncio.timeout(REDIS_SECONDS):
            self.queued = int(await self._redis.llen(QUEUE))
        return self.counts()

    async def step(self) -> None:
        """Let the time since the last step pass."""
        now = self._clock.monotonic()
        passed_seconds = now - self._stepped_at
        self._stepped_at = now
        elapsed_seconds = now - self._opened_at
        day = self.day
        self.load = Load(
            requests=day.requests(elapsed_seconds),
            api_calls=day.api_calls(elapsed_seconds),
            api_in_flight=day.api_calls(elapsed_seconds) * API_LATENCY_SECONDS,
            orders=day.orders(elapsed_seconds),
        )
        self._owed += self.load.orders * passed_seconds
        arriving = int(self._owed)
        self._owed -= arriving
        self._crew.finish(now)
        self._crew.staff(*self._workers(), now)
        await self._move(arriving, now)

    async def _move(self, arriving: int, now: float) -> None:
        """Put new and returned orders into the list and take what the workers can begin."""
        names = [f"order-{self._produced + index}" for index in range(arriving)]
        back = self._crew.stranded()
        wanted = self._crew.wanted(now)
        # One transaction: either all of it happened, or nothing did and the next step does it.
        pipe = self._redis.pipeline(transaction=True)
        if back:
            pipe.lpush(QUEUE, *back)
        if names:
            pipe.rpush(QUEUE, *names)
        if wanted:
            pipe.lpop(QUEUE, wanted)
        pipe.llen(QUEUE)
        async with asyncio.timeout(REDIS_SECONDS):
            answers = await pipe.execute()
        self._produced += arriving
        self._crew.gave_back(len(back))
        self.queued = int(answers[-1])
        if wanted:
            taken = answers[-2] or []
            self._crew.begin([str(order) for order in taken], now)
            if len(taken) < wanted:
                self._crew.rest(now)

    def _workers(self) -> tuple[list[str], list[str]]:
        """Return the worker pods that take orders, and those that only finish theirs."""
        ready, leaving = [], []
        for item in self._cluster.store.items("pods", NAMESPACE):
            pod = item.value
            if labels_of(pod).get("app") != "worker":
                continue
            if is_terminating(pod):
                leaving.append(pod["metadata"]["name"])
            elif is_ready(pod):
                ready.append(pod["metadata"]["name"])
        return ready, leaving

    def is_drained(self, pod: Key) -> bool:
        """Whether a terminating pod has nothing left to do."""
        return not self._crew.holds(pod[1])

    def usage(self, pod: JsonObject) -> Usage | None:
        """Return what a pod uses; nothing is known of a pod that does not run."""
        if phase(pod) != "Running":
            return None
        app = labels_of(pod).get("app", "")
        cpu_milli = CPU_MILLI_IDLE
        if app == "worker" and self._crew.holds(pod["metadata"]["name"]):
            cpu_milli += CPU_MILLI_BUSY
        elif app in {"web", "api"}:
            rate = self.load.requests if app == "web" else self.load.api_calls
            share = rate / max(1, self.ready(app))
            cpu_milli += round(share * CPU_MILLI_PER_REQUEST)
        return Usage(cpu_milli, MEMORY_BYTES)

    def ready(self, app: str) -> int:
        """Return how many pods of an app are ready."""
        return sum(
            labels_of(item.value).get("app") == app and is_ready(item.value)
            for item in self._cluster.store.items("pods", NAMESPACE)
        )
