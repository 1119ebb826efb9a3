"""``flyball run`` as a process: what it loads, what it weighs, how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import urllib.request
from asyncio.subprocess import PIPE
from pathlib import Path

from autoscaler.demo.cluster import EmbeddedCluster

STARTED_SECONDS = 30
IDLE_RESIDENT_KIB_MAX = 110 * 1024

RUN = """
import atexit, sys
from autoscaler.cli.main import main
def report():
    typed = [m for m in sys.modules if m.startswith("kubernetes.aio.client.models.")]
    print("typed models:", len(typed), "transport:", "kubernetes.aio" in sys.modules)
atexit.register(report)
main()
"""


async def test_an_idle_service_is_light_and_stops_on_sigterm(tmp_path: Path) -> None:
    """It loads no typed model, stays under 110 MB resident, and SIGTERM ends it with status 0."""
    async with EmbeddedCluster() as cluster:
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", RUN, "run", "--kubeconfig", str(kubeconfig)),
            *("--listen", "127.0.0.1:0", "--log-format", "json"),
            stdout=PIPE,
            stderr=PIPE,
        )
        assert process.stderr
        try:
            async with asyncio.timeout(STARTED_SECONDS):
                port = await _port(process.stderr)
                await _ready(port)
            resident_kib = _resident_kib(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(STARTED_SECONDS):
                out, _ = await process.communicate()
    assert process.returncode == 0
    assert out.decode().strip() == "typed models: 0 transport: True"
    assert resident_kib < IDLE_RESIDENT_KIB_MAX


async def _port(log: asyncio.StreamReader) -> int:
    """Return the port the service says it listens on."""
    async for line in log:
        entry = json.loads(line)
        if entry["event"] == "listening":
            return int(entry["port"])
    raise AssertionError("the service ended before it listened")


async def _ready(port: int) -> None:
    """Wait until the service has listed everything."""

    def ask() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    # Another process is asked: there is no event to wait for.
    while not await asyncio.to_thread(ask):  # noqa: ASYNC110
        await asyncio.sleep(0.1)


def _resident_kib(pid: int) -> int:
    """Return the process's resident memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
