"""The external scaler as a process: beside the controller, alone, and how both end."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from autoscaler.demo.cluster import EmbeddedCluster
from tests.integration.external_world import Client, number_source, ref
from tests.integration.test_external_scaler import deployment, inline, scaled_object

STARTED_SECONDS = 30


@asynccontextmanager
async def flyball(*arguments: str) -> AsyncIterator[tuple[Process, str]]:
    """Run a command that serves the external scaler; yields the process and the address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "autoscaler", *arguments, "--log-format", "json"),
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        async with asyncio.timeout(STARTED_SECONDS):
            yield process, await _address(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _address(process: Process) -> str:
    assert process.stderr
    lines = []
    async for line in process.stderr:
        lines.append(line.decode())
        if '"external_scaler_listening"' in lines[-1]:
            return str(json.loads(line)["address"])
    raise AssertionError("".join(lines))


async def test_the_controller_serves_it_on_a_port_of_its_own(tmp_path: Path):
    """``flyball run --external-listen``: a shadow object is left alone by one and served by the other."""
    async with EmbeddedCluster() as cluster, number_source() as source:
        source.values["jobs"] = 42
        cluster.create(deployment(2))
        cluster.create(scaled_object("jobs", source.trigger("jobs")))
        kubeconfig = str(cluster.kubeconfig(tmp_path / "kubeconfig"))
        listen = ("--listen", "127.0.0.1:0", "--external-listen", "127.0.0.1:0")
        async with (
            flyball("run", "--kubeconfig", kubeconfig, *listen) as (process, address),
            grpc.aio.insecure_channel(address) as channel,
        ):
            keda = Client(channel)
            named = ref({"scaledObject": "default/jobs"})
            await keda.until(named, 9)
            stream = keda.activity(named)
            assert (await stream.read()).result is True
            process.send_signal(signal.SIGTERM)
            assert await stream.read() is grpc.aio.EOF
            assert await process.wait() == 0
            resource = cluster.registry.resource("apps/v1", "Deployment")
            left = cluster.registry.get(resource, "default", "web").value
            assert left["spec"]["replicas"] == 2


async def test_alone_it_needs_no_cluster():
    """``flyball external-scaler --no-cluster`` serves inline policies and ends with status 0."""
    async with number_source() as source:
        source.values["jobs"] = 42
        listen = ("--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
        async with (
            flyball("external-scaler", "--no-cluster", *listen) as (process, address),
            grpc.aio.insecure_channel(address) as channel,
        ):
            assert await Client(channel).value(ref(inline(source.trigger("jobs")))) == 9
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
