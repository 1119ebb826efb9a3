"""The faults: what happens to the API server as the service sees it, and when it is over.

A fault that lives in the proxy strikes every episode at its own moment and for its own time. A
fault of the control plane strikes all episodes of a batch at once, as it would in a cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any, Final

from tests.e2e.controlplane import ControlPlane
from tests.e2e.faults.episode import Episode
from tests.e2e.faults.proxy import Absent, Fault, Hanging, HungEnd, Refusing
from tests.e2e.test_webhook import CONFIGURATION, configuration
from tests.servers.process import free_port

OUTAGE_SECONDS: Final = 30.0
"""Of answers 5xx, as long as a rolling restart of a control plane may take."""
CUT_RATIO: Final = 0.5
"""How often refusals begin with open watches broken, which cannot be opened again either."""
Strike = Callable[[ControlPlane, Sequence[Episode], Random], Awaitable[None]]
"""Returns when every episode has recovered, each counted from the end of its own fault."""


async def _through_proxy(
    end: Callable[[Episode, Fault], None],
    choose: Callable[[Random], tuple[Fault, float]],
    _plane: ControlPlane,
    episodes: Sequence[Episode],
    _rng: Random,
) -> None:
    async def strike(episode: Episode) -> None:
        await asyncio.sleep(episode.rng.uniform(0.0, 5.0))
        fault, seconds = choose(episode.rng)
        episode.proxy.set_fault(fault)
        if isinstance(fault, Refusing) and episode.rng.random() < CUT_RATIO:
            episode.proxy.cut()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(episode.act(seconds))
            await asyncio.sleep(seconds)
            episode.proxy.set_fault(None)
            end(episode, fault)
        await episode.recover()

    await _all(strike(one) for one in episodes)


def _just_ends(_episode: Episode, _fault: Fault) -> None:
    """Nothing but the fault itself goes."""


def _hang_ends(episode: Episode, fault: Fault) -> None:
    assert isinstance(fault, Hanging)
    fault.end(episode.rng.choice(list(HungEnd)))


def _errors(rng: Random) -> tuple[Fault, float]:
    statuses = rng.sample([500, 502, 503, 504], 3)
    return Refusing(*((status, 0) for status in statuses)), OUTAGE_SECONDS


def _hang(rng: Random) -> tuple[Fault, float]:
    return Hanging(), rng.uniform(5.0, 40.0)


def _storm(rng: Random) -> tuple[Fault, float]:
    return Refusing((429, rng.randint(0, 2)), (429, 1)), rng.uniform(5.0, 30.0)


async def _restart(
    what: Callable[[ControlPlane, float], None],
    plane: ControlPlane,
    episodes: Sequence[Episode],
    rng: Random,
) -> None:
    seconds = rng.uniform(0.0, 10.0)
    async with asyncio.TaskGroup() as tasks:
        for episode in episodes:
            tasks.create_task(episode.act(seconds))
        await asyncio.to_thread(what, plane, seconds)
    await _all(one.recover() for one in episodes)


def _apiserver(plane: ControlPlane, seconds: float) -> None:
    plane.restart_apiserver(down_seconds=seconds)


def _etcd(plane: ControlPlane, seconds: float) -> None:
    plane.restart_etcd(down_seconds=seconds)


async def _compaction(plane: ControlPlane, episodes: Sequence[Episode], rng: Random) -> None:
    """Let watches break, history go on without them, and be forgotten before they are back."""
    seconds = rng.uniform(2.0, 6.0)
    for episode in episodes:
        episode.proxy.set_fault(Absent())
        episode.proxy.cut()
    await _all(one.act(seconds) for one in episodes)
    await asyncio.to_thread(plane.compact_etcd)
    await asyncio.to_thread(plane.restart_apiserver)
    for episode in episodes:
        episode.proxy.set_fault(None)
    await _all(one.recover() for one in episodes)


async def _webhook_down(_plane: ControlPlane, episodes: Sequence[Episode], _rng: Random) -> None:
    """Users create and change objects while nobody listens where the configuration points."""

    async def strike(episode: Episode) -> None:
        async with _deaf_webhook(episode):
            await episode.act(episode.rng.uniform(2.0, 10.0))
            await episode.recover()

    await _all(strike(one) for one in episodes)


@asynccontextmanager
async def _deaf_webhook(episode: Episode) -> AsyncIterator[None]:
    namespace = episode.objects.namespace
    body = configuration(f"https://127.0.0.1:{free_port()}/validate", namespace, "Ignore")
    body["metadata"]["name"] = f"flyball-{namespace}"
    await episode.objects.create(body)
    try:
        yield
    finally:
        await episode.objects.delete(*CONFIGURATION[:2], body["metadata"]["name"])


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for one in work:
            group.create_task(one)


FAULTS: Final[dict[str, Strike]] = {
    "apiserver restart": partial(_restart, _apiserver),
    "etcd restart": partial(_restart, _etcd),
    "30 s of 5xx": partial(_through_proxy, _just_ends, _errors),
    "hung apiserver": partial(_through_proxy, _hang_ends, _hang),
    "429 storm": partial(_through_proxy, _just_ends, _storm),
    "watch cache compaction": _compaction,
    "webhook down": _webhook_down,
}
