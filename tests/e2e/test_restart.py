"""The service as a process, stopped or killed in the middle of a window, on a real control plane."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from autoscaler.controller.snapshot_format import SHARDS
from tests.e2e.controlplane import ControlPlane
from tests.e2e.live import account_of_the_service
from tests.e2e.objects import Objects, until
from tests.servers import RedisServer

pytestmark = pytest.mark.real("redis-server")

HOLD_SECONDS = 20
"""Of the scale-down window, and of the cooldown."""
REFRESH_SECONDS = 2.0
WRITE_SECONDS = 1.0
SETTINGS = {
    "FLYBALL_MEMORY__REFRESH_SECONDS": str(REFRESH_SECONDS),
    "FLYBALL_MEMORY__WRITE_SECONDS": str(WRITE_SECONDS),
}
WINDOW = {
    "minReplicaCount": 1,
    "advanced": {
        "horizontalPodAutoscalerConfig": {
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": HOLD_SECONDS}}
        }
    },
}
COOLDOWN = {"cooldownPeriod": HOLD_SECONDS}
END_SECONDS = 30.0


def trigger(server: RedisServer, name: str) -> dict[str, Any]:
    """Return a trigger of ten items per replica."""
    metadata = {"address": server.address, "listName": name, "listLength": "10"}
    return {"type": "redis", "metadata": metadata}


@asynccontextmanager
async def service(kubeconfig: Path, log: Path, *, ends_by: signal.Signals) -> AsyncIterator[None]:
    """Run ``flyball run`` until left; nothing is left of it then."""
    with log.open("ab") as output:
        process: Process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "autoscaler", "run", "--kubeconfig", str(kubeconfig)),
            *("--listen", "127.0.0.1:0", "--log-format", "json"),
            env={**os.environ, **SETTINGS},
            stdout=output,
            stderr=output,
        )
    try:
        yield
        assert process.returncode is None, "the service ended; its log is in the folder of the test"
    finally:
        if process.returncode is None:
            process.send_signal(ends_by)
        async with asyncio.timeout(END_SECONDS):
            await process.wait()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("ends_by", [signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
async def test_windows_and_cooldowns_outlive_the_process(
    control_plane: ControlPlane,
    objects: Objects,
    redis_server: RedisServer,
    tmp_path: Path,
    ends_by: signal.Signals,
) -> None:
    """Neither ends early nor starts anew; a killed process may add what it had not written yet."""
    _, kubeconfig = await account_of_the_service(control_plane, objects)
    log = tmp_path / "log"
    for name, spec in (("window", WINDOW), ("cooldown", COOLDOWN)):
        await objects.deploy(name, 1)
        redis_server.send("RPUSH", name, *map(str, range(50)))
        await objects.scale_on(name, trigger(redis_server, name), **spec)
    async with service(kubeconfig, log, ends_by=ends_by):
        for name in ("window", "cooldown"):
            await until(f"{name} has five", lambda name=name: has(objects, name, 5))  # type: ignore[misc]
        await asyncio.sleep(REFRESH_SECONDS + WRITE_SECONDS)
        redis_server.send("LTRIM", "window", "0", "9")
        redis_server.send("DEL", "cooldown")
        dropped_at = time.monotonic()
        await asyncio.sleep(HOLD_SECONDS * 0.3)
    assert await stored(objects) > 0
    async with service(kubeconfig, log, ends_by=signal.SIGTERM):
        held = await asyncio.gather(
            lasts(objects, "window", 1, dropped_at), lasts(objects, "cooldown", 0, dropped_at)
        )
    unwritten = 0.0 if ends_by is signal.SIGTERM else REFRESH_SECONDS + WRITE_SECONDS
    for seconds in held:
        # A polling interval before, and one after with what a busy machine takes.
        assert HOLD_SECONDS - 1.5 <= seconds <= HOLD_SECONDS + unwritten + 2.5, held


async def lasts(objects: Objects, name: str, count: int, since: float) -> float:
    """Return how long it took until a Deployment was asked for a count."""
    await until(f"{name} has {count}", lambda: has(objects, name, count), 3.0 * HOLD_SECONDS)
    return time.monotonic() - since


async def has(objects: Objects, name: str, count: int) -> bool:
    """Return whether so many replicas are asked for."""
    return await objects.replicas(name) == count


async def stored(objects: Objects) -> int:
    """Return how many ConfigMaps hold memories beside the service's account."""
    found = await objects.find(
        "v1", "ConfigMap", labelSelector="app.kubernetes.io/component=memory"
    )
    names = {f"flyball-memory-{number}" for number in range(SHARDS)}
    assert {item["metadata"]["name"] for item in found} <= names
    assert all(len(msgspec.json.encode(item)) < 4096 for item in found)
    return len(found)
