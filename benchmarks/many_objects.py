"""A thousand ScaledObjects on one Redis, polled each second: what the service costs, how fast.

Three processes: the embedded API server, a real ``redis-server``, and ``flyball run`` as shipped.
Every other object has work for one to three replicas, so half of them are scaled when the service
starts; of the others some are woken all at once. The baseline is the same service with every
object's list in a database of its own, so that no two objects share a source: as many connections
and round trips as an autoscaler that polls per object.

Run: ``python benchmarks/many_objects.py`` (needs ``redis-server``; about five minutes).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import signal
import statistics
import sys
import time
import urllib.request
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import redis.asyncio as driver

sys.path.insert(0, str(Path(__file__).parents[1]))

from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.objects import JsonObject
from autoscaler.demo.store import Change
from tests.servers import RedisServer, ServerMissing

PER_REPLICA = 10
TICKS = os.sysconf("SC_CLK_TCK")
LIVE_SECONDS_MAX = 300.0
Figures = dict[str, Any]


# What the API server's process does.


class Recorder:
    """Notes when targets were scaled, and how much of what was written."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self.cluster = cluster
        self.scaled_at: dict[str, float] = {}
        self.writes: dict[str, int] = {}
        self.snapshot_bytes = 0
        cluster.store.listen(self.changed)

    def changed(self, change: Change) -> None:
        if change.after is None:
            return
        self.writes[change.bucket] = self.writes.get(change.bucket, 0) + 1
        value = change.after.value
        if change.bucket == "deployments.apps" and value["spec"]["replicas"]:
            self.scaled_at.setdefault(value["metadata"]["name"], time.monotonic())
        if change.bucket == "configmaps":
            self.snapshot_bytes += _blob_bytes(value)

    def create(self, objects: int, address: str, *, shared: bool) -> None:
        for number in range(objects):
            name = _name(number)
            labels = {"app": name}
            main = {"name": "main", "image": "demo"}
            template = {"metadata": {"labels": labels}, "spec": {"containers": [main]}}
            spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
            self._create("apps/v1", "Deployment", name, spec)
            metadata = {"address": address, "listName": name, "listLength": str(PER_REPLICA)}
            if not shared:
                metadata["databaseIndex"] = str(number)
            trigger = {"type": "redis", "metadata": metadata}
            self._create(
                "flyball.dev/v1alpha1",
                "ScaledObject",
                name,
                {"scaleTargetRef": {"name": name}, "pollingInterval": 1, "triggers": [trigger]},
            )

    def report(self) -> Figures:
        store = self.cluster.store
        ready = sum(_is_ready(item.value) for item in store.items("scaledobjects.flyball.dev"))
        blobs = [_blob_bytes(item.value) for item in store.items("configmaps")]
        return {
            "ready": ready,
            "scaled_at": self.scaled_at,
            "writes": self.writes,
            "snapshot_bytes": self.snapshot_bytes,
            "blobs": blobs,
        }

    def _create(self, api: str, kind: str, name: str, spec: JsonObject) -> None:
        body = {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.cluster.create(body)


def _is_ready(value: JsonObject) -> bool:
    conditions = value.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _blob_bytes(value: JsonObject) -> int:
    return sum(len(text) * 3 // 4 for text in value.get("binaryData", {}).values())


async def serve_cluster() -> None:
    """Answer one JSON line per line on standard input, until it ends."""
    async with EmbeddedCluster(workloads=False) as cluster:
        recorder = Recorder(cluster)
        print(json.dumps({"url": cluster.url}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            if "objects" in asked:
                recorder.create(asked["objects"], asked["address"], shared=asked["shared"])
            print(json.dumps(recorder.report()), flush=True)


# What the measuring process does.


class Cluster:
    """The API server's process."""

    def __init__(self, process: Process, url: str) -> None:
        self.process = process
        self.url = url

    async def ask(self, **what: Any) -> Figures:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(what).encode() + b"\n")
        return await _line(self.process)


async def _line(process: Process) -> Figures:
    assert process.stdout
    answer: Figures = json.loads(await process.stdout.readline())
    return answer


@contextlib.asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--serve-cluster", stdin=PIPE, stdout=PIPE, limit=2**24
    )
    try:
        yield Cluster(process, (await _line(process))["url"])
    finally:
        assert process.stdin
        process.stdin.close()
        await process.wait()


class Controller:
    """The service's process, and what can be learned of it from outside."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self.port = port

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            body: bytes = answer.read()
            return body

    async def decided(self) -> int:
        listed = json.loads(await asyncio.to_thread(self.get, "/api/v1/objects"))
        return sum(item["decidedAt"] is not None for item in listed["items"])

    async def series(self, prefix: str) -> float:
        text = (await asyncio.to_thread(self.get, "/metrics")).decode()
        return sum(
            float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(prefix)
        )

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


@contextlib.asynccontextmanager
async def controller(url: str, profile: str | None) -> AsyncIterator[Controller]:
    started = ("-m", "cProfile", "-o", profile) if profile else ()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *started, "-m", "autoscaler", "run", "--server", url),
        *("--listen", "127.0.0.1:0", "--log-format", "json"),
        stderr=PIPE,
        limit=2**20,
    )
    assert process.stderr
    async for line in process.stderr:
        entry = json.loads(line)
        if entry["event"] == "listening":
            port = int(entry["port"])
            break
    else:
        raise RuntimeError("the service ended before it listened")
    try:
        async with asyncio.TaskGroup() as group:
            drain = group.create_task(_drain(process.stderr))
            yield Controller(process, port)
            process.send_signal(signal.SIGTERM)
            await process.wait()
            drain.cancel()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _drain(log: asyncio.StreamReader) -> None:
    """Read the log, so that writing it never blocks; show what went wrong."""
    async for line in log:
        if b'"level": "error"' in line or b'"level":"error"' in line:
            sys.stderr.write(line.decode())


async def measure(
    server: RedisServer, *, objects: int, woken: int, seconds: float, shared: bool, profile: str
) -> Figures:
    """Return what a service with so many objects costs; ``seconds`` of it in the steady state."""
    await asyncio.to_thread(server.flush)
    async with (
        cluster() as api,
        driver.Redis(port=server.port) as observer,
    ):
        await api.ask(objects=objects, address=server.address, shared=shared)
        await _fill(observer, range(1, objects, 2), shared=shared)
        began = time.monotonic()
        chosen = f"{profile}.{'shared' if shared else 'alone'}" if profile else None
        async with controller(api.url, chosen) as service:
            figures: Figures = {}
            figures["live_seconds"] = await _until_live(service, objects, began)
            figures["statuses_seconds"] = await _until_told(api, objects, began)
            await asyncio.sleep(10.0)
            figures |= await _steady(api, service, observer, seconds)
            figures |= await _wake(api, observer, objects, woken, shared=shared)
            stopping = time.monotonic()
        figures["stop_seconds"] = time.monotonic() - stopping
        figures["snapshot_kib"] = sum((await api.ask())["blobs"]) / 1024
        return figures


def _name(number: int) -> str:
    return f"worker-{number:04}"


async def _fill(observer: driver.Redis, numbers: Sequence[int], *, shared: bool) -> float:
    """Give lists work for one to three replicas, all at once; return when."""
    async with observer.pipeline(transaction=False) as pipeline:
        for number in numbers:
            if not shared:
                pipeline.execute_command("SELECT", number)
            pipeline.rpush(_name(number), *range(PER_REPLICA * (1 + number % 3)))
        at = time.monotonic()
        await pipeline.execute()
    return at


async def _until_live(service: Controller, objects: int, began: float) -> float:
    while await service.decided() < objects:
        if time.monotonic() - began > LIVE_SECONDS_MAX:
            raise RuntimeError(f"not all objects live after {LIVE_SECONDS_MAX:g} s")
        await asyncio.sleep(0.25)
    return time.monotonic() - began


async def _until_told(api: Cluster, objects: int, began: float) -> float:
    while True:
        if (await api.ask())["ready"] == objects:
            return time.monotonic() - began
        await asyncio.sleep(0.25)


async def _steady(
    api: Cluster, service: Controller, observer: driver.Redis, seconds: float
) -> Figures:
    async def now() -> dict[str, float]:
        seen = await api.ask()
        info = await observer.info("all")
        return {
            "cpu": service.cpu_seconds(),
            "reconciles": await service.series("flyball_reconcile_seconds_count"),
            "commands": info["total_commands_processed"],
            "status_writes": seen["writes"].get("scaledobjects.flyball.dev", 0),
            "snapshot_writes": seen["writes"].get("configmaps", 0),
            "snapshot_bytes": seen["snapshot_bytes"],
            "at": time.monotonic(),
        }

    before = await now()
    await asyncio.sleep(seconds)
    after = await now()
    took = after["at"] - before["at"]
    change = {name: (after[name] - before[name]) / took for name in before}
    clients = (await observer.info("clients"))["connected_clients"] - 1
    return {
        "cpu_per_minute": change["cpu"] * 60,
        "resident_mb": service.resident_mb(),
        "reconciles_per_second": change["reconciles"],
        "redis_commands_per_second": change["commands"],
        "redis_clients": clients,
        "status_writes_per_minute": change["status_writes"] * 60,
        "snapshot_writes_per_minute": change["snapshot_writes"] * 60,
        "snapshot_kib_per_minute": change["snapshot_bytes"] * 60 / 1024,
    }


async def _wake(
    api: Cluster, observer: driver.Redis, objects: int, woken: int, *, shared: bool
) -> Figures:
    """Fill so many lists at once; return how long it takes until their targets are scaled."""
    chosen = range(0, objects, 2 * max(1, objects // 2 // woken))[:woken]
    names = {_name(number) for number in chosen}
    began = await _fill(observer, chosen, shared=shared)
    while not names <= (scaled := (await api.ask())["scaled_at"]).keys():
        if time.monotonic() - began > LIVE_SECONDS_MAX:
            raise RuntimeError(f"not all of {len(chosen)} targets were scaled")
        await asyncio.sleep(0.25)
    delays = sorted(scaled[name] - began for name in names)
    return {
        "wake_first_seconds": delays[0],
        "wake_median_seconds": statistics.median(delays),
        "wake_last_seconds": delays[-1],
    }


ROWS = (
    ("cpu_per_minute", "CPU seconds per 60 s", 1),
    ("resident_mb", "resident memory, MB", 0),
    ("reconciles_per_second", "reconciles/s", 0),
    ("redis_commands_per_second", "Redis commands/s", 0),
    ("redis_clients", "Redis clients", 0),
    ("live_seconds", "start until all objects are decided, s", 1),
    ("statuses_seconds", "start until all statuses say so, s", 1),
    ("wake_first_seconds", "waking {woken} at once: first, s", 2),
    ("wake_median_seconds", "waking {woken} at once: median, s", 2),
    ("wake_last_seconds", "waking {woken} at once: last, s", 2),
    ("status_writes_per_minute", "status writes/min", 0),
    ("snapshot_writes_per_minute", "memory snapshot writes/min", 0),
    ("snapshot_kib_per_minute", "memory snapshot KiB/min", 0),
    ("snapshot_kib", "memory snapshot, all objects, KiB", 1),
    ("stop_seconds", "SIGTERM until ended, s", 1),
)


def main() -> int:
    """Print the figures of both ways and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=1000)
    parser.add_argument("--woken", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0, help="steady state measured")
    parser.add_argument("--skip-baseline", action="store_true")
    parser.add_argument("--profile", default="", help="write cProfile data of the service here")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve-cluster", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve_cluster:
        asyncio.run(serve_cluster())
        return 0
    try:
        server = RedisServer(
            arguments=("--databases", str(chosen.objects), "--maxclients", str(4096))
        )
    except ServerMissing as missing:
        print(f"skipped: {missing}")
        return 0
    columns: dict[str, Figures] = {}
    with server:
        for name, shared in (("shared", True), ("alone", False)):
            if name == "alone" and chosen.skip_baseline:
                continue
            columns[name] = asyncio.run(
                measure(
                    server,
                    objects=chosen.objects,
                    woken=chosen.woken,
                    seconds=chosen.seconds,
                    shared=shared,
                    profile=chosen.profile,
                )
            )
    if chosen.json:
        print(json.dumps(columns, indent=2))
        return 0
    print(
        f"{chosen.objects} ScaledObjects, 1 s polling, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {chosen.seconds:g} s measured"
    )
    print(f"{'':44}{'one source':>12}{'a source each':>15}{'ratio':>8}")
    for key, label, digits in ROWS:
        one = columns["shared"][key]
        line = f"  {label.format(woken=chosen.woken):42}{one:12,.{digits}f}"
        if "alone" in columns:
            each = columns["alone"][key]
            line += f"{each:15,.{digits}f}" + (f"{each / one:8.1f}" if one else "")
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
