"""Load on the external scaler: 200 clients, 1,000 objects, GetMetrics and IsActive.

The server is a process of its own, as shipped, held to one core; so is the baseline, a server of
the same library that answers with constants. Clients keep a fixed rate together, as KEDA's pollers
do; then they call as fast as they are answered. Memory is what is resident at the median of the
last quarter against that of the third. The clients do not collect garbage meanwhile: their own
pauses are none of the server's.

    python benchmarks/external_scaler.py [--seconds 60] [--rate 3300] [--clients 200]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import grpc
from aiohttp import web

from autoscaler.sdk.externalscaler import (
    SERVICE,
    GetMetricsRequest,
    GetMetricsResponse,
    IsActiveResponse,
    MetricValue,
    ScaledObjectRef,
    method_path,
)

CHANNELS = 20
OBJECTS = 1_000
POLICIES = 10
"""Distinct policies among the objects; equal ones share a source and a query."""
FIRST_ASKS = 50
"""Objects asked about at the same time for the first time."""
WARM_UP_SECONDS = 120.0
"""What is remembered of the past (20 decisions that differ, of every object) is full by then."""
MEMORY_LOOKS = 60
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")
Call = Callable[[Any], Awaitable[Any]]


class Result(NamedTuple):
    calls: int
    errors: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu: float
    grown_kib: float

    def line(self, name: str) -> str:
        return (
            f"{name:34s} {self.calls / self.seconds:8,.0f} RPC/s  p50 {self.p50_ms:6.2f} ms  "
            f"p99 {self.p99_ms:6.2f} ms  CPU {self.cpu:5.0%}  errors {self.errors}  "
            f"memory, last quarter against third {self.grown_kib:+,.0f} KiB"
        )


def policy(port: int, number: int) -> dict[str, str]:
    """Return trigger metadata with an inline policy."""
    return {
        "scalerAddress": "flyball.flyball-system:6000",
        "policy": (
            "pollingInterval: 2\nmaxReplicaCount: 50\n"
            "advanced: {horizontalPodAutoscalerConfig: {behavior: {scaleDown: "
            "{stabilizationWindowSeconds: 20}}}}\n"
            "triggers:\n- type: metrics-api\n  metadata:\n"
            f"    url: http://127.0.0.1:{port}/{number}\n    valueLocation: value\n"
            "    targetValue: '5'\n"
        ),
    }


async def source() -> tuple[web.AppRunner, int]:
    """Start the metric source."""

    async def value(request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        return web.json_response({"value": 10 + number + int(time.time()) % 60})

    app = web.Application()
    app.router.add_get("/{number}", value)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, runner.addresses[0][1]


def process_cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_kib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * PAGE / 1024


def calls_of(channel: grpc.aio.Channel) -> tuple[Call, Call]:
    """Return GetMetrics and IsActive."""
    values: Call = channel.unary_unary(
        method_path("GetMetrics"),
        GetMetricsRequest.SerializeToString,
        GetMetricsResponse.FromString,
    )
    active: Call = channel.unary_unary(
        method_path("IsActive"), ScaledObjectRef.SerializeToString, IsActiveResponse.FromString
    )
    return values, active


async def load(
    port: int,
    refs: Sequence[ScaledObjectRef],
    *,
    pid: int,
    clients: int,
    seconds: float,
    rate: float,
) -> Result:
    """Call for a while; ``rate`` 0 = each client as fast as it is answered."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) for _ in range(CHANNELS)
    ]
    latencies: list[float] = []
    errors = 0
    loop = asyncio.get_running_loop()
    gap = clients / rate if rate else 0.0

    async def client(number: int, begin: float, end: float) -> None:
        nonlocal errors
        values, active = calls_of(channels[number % CHANNELS])
        turn, due = number, begin + gap * number / clients
        while loop.time() < end:
            if gap:
                await asyncio.sleep(max(0.0, due - loop.time()))
                due += gap
            ref = refs[turn // 2 % len(refs)]
            began = loop.time()
            try:
                if turn % 2:
                    await active(ref)
                else:
                    await values(GetMetricsRequest(scaledObjectRef=ref, metricName="flyball"))
            except grpc.aio.AioRpcError:
                errors += 1
            latencies.append(loop.time() - began)
            turn += 7

    gc.collect()
    gc.disable()
    begin = loop.time()
    cpu = process_cpu(pid)
    resident: list[float] = []

    async def look() -> None:
        for _ in range(MEMORY_LOOKS):
            await asyncio.sleep(seconds / MEMORY_LOOKS)
            resident.append(resident_kib(pid))

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        for number in range(clients):
            group.create_task(client(number, begin, begin + seconds))
    took = loop.time() - begin
    gc.enable()
    used = (process_cpu(pid) - cpu) / took
    for channel in channels:
        await channel.close()
    latencies.sort()
    return Result(
        len(latencies),
        errors,
        took,
        latencies[len(latencies) // 2] * 1000,
        latencies[int(len(latencies) * 0.99)] * 1000,
        used,
        growth(resident),
    )


def growth(resident: Sequence[float]) -> float:
    """Return by how much the last quarter's median is above the third's."""
    quarter = len(resident) // 4
    return median(resident[3 * quarter :]) - median(resident[2 * quarter : 3 * quarter])


async def ask_once(port: int, refs: Sequence[ScaledObjectRef]) -> None:
    """Make every object known: what is remembered of its past begins to fill."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        _, active = calls_of(channel)
        for start_at in range(0, len(refs), FIRST_ASKS):
            await asyncio.gather(*map(active, refs[start_at : start_at + FIRST_ASKS]))


async def constants() -> None:
    """Serve constants: what the library costs by itself."""
    value = GetMetricsResponse(
        metricValues=[MetricValue(metricName="flyball", metricValue=7, metricValueFloat=7.0)]
    )

    async def values(_request: Any, _context: Any) -> GetMetricsResponse:
        return value

    async def active(_request: Any, _context: Any) -> IsActiveResponse:
        return IsActiveResponse(result=True)

    unary = grpc.unary_unary_rpc_method_handler
    server = grpc.aio.server()
    methods: dict[str, Any] = {
        "GetMetrics": unary(
            values, GetMetricsRequest.FromString, GetMetricsResponse.SerializeToString
        ),
        "IsActive": unary(active, ScaledObjectRef.FromString, IsActiveResponse.SerializeToString),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"address": f"127.0.0.1:{port}"}), flush=True)
    await server.wait_for_termination()


def start(command: Sequence[str]) -> tuple[subprocess.Popen[str], int]:
    """Start a server on one core; returns its port once it listens."""
    process = subprocess.Popen(
        ["taskset", "-c", "0", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if '"address"' in line:
            return process, int(json.loads(line)["address"].rpartition(":")[2])
    raise SystemExit("the server did not start")


async def measure(options: argparse.Namespace) -> None:
    # The clients' own core is the other one.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    runner, source_port = await source()
    refs = [
        ScaledObjectRef(
            name=f"web-{number}",
            namespace="default",
            scalerMetadata=policy(source_port, number % POLICIES),
        )
        for number in range(OBJECTS)
    ]
    flyball = str(Path(sys.executable).parent / "flyball")
    servers = {
        "constants (grpc.aio alone)": [sys.executable, __file__, "--constants"],
        "flyball external-scaler": [
            *(flyball, "external-scaler", "--no-cluster", "--listen", "127.0.0.1:0"),
            *("--http-listen", "127.0.0.1:0", "--log-level", "info", "--log-format", "json"),
        ],
    }
    found: dict[str, float] = {}
    for name, command in servers.items():
        process, port = start(command)
        drain = asyncio.create_task(asyncio.to_thread(_drain, process))
        common = {"pid": process.pid, "clients": options.clients}
        await ask_once(port, refs)
        warm = await load(port, refs, **common, seconds=WARM_UP_SECONDS, rate=options.rate / 2)
        print(warm.line(f"{name}, warm-up"))
        paced = await load(port, refs, **common, seconds=options.seconds, rate=options.rate)
        print(paced.line(f"{name}, at a rate"))
        full = await load(port, refs, **common, seconds=options.seconds / 4, rate=0)
        print(full.line(f"{name}, at full speed"))
        found[name] = full.calls / full.seconds
        process.send_signal(signal.SIGTERM)
        await drain
        process.wait()
    base, ours = found.values()
    print(f"full speed: {ours / base:.2f} of the library's own")
    await runner.cleanup()


def _drain(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for _ in process.stdout:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=3_300.0)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--constants", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    asyncio.run(constants() if options.constants else measure(options))


if __name__ == "__main__":
    main()
