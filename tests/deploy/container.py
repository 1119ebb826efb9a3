"""The image's service as a process: started as the Deployment starts it, ended as a kubelet would."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import urllib.request
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from tests.deploy.image import Image
from tests.deploy.kustomize import BASE, one, render

START_SECONDS = 30
STOP_SECONDS = 30


class Container:
    """A running service.

    Attributes:
        port: Where it answers.
        exit_code: Once it has ended.
        stop_seconds: How long it took to end.
    """

    def __init__(self, process: Process) -> None:
        self.port = 0
        self.exit_code: int | None = None
        self.stop_seconds = 0.0
        self._process = process

    async def wait_ready(self) -> None:
        """Wait until it says it is ready, reading its log for the port on the way."""
        async with asyncio.timeout(START_SECONDS):
            self.port = await self._listening_port()
            # Another process is asked: there is no event to wait for.
            while not await asyncio.to_thread(self._is_ready):  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """Send SIGTERM and wait for the end."""
        asked_at = time.monotonic()
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_SECONDS):
            await self._process.wait()
        self.exit_code = self._process.returncode
        self.stop_seconds = time.monotonic() - asked_at

    async def drain(self) -> None:
        """Read the rest of the log, so that it never fills up."""
        assert self._process.stderr
        async for _ in self._process.stderr:
            pass

    async def _listening_port(self) -> int:
        assert self._process.stderr
        said = b""
        async for line in self._process.stderr:
            said += line
            entry = json.loads(line) if line.startswith(b"{") else {}
            if entry.get("event") == "listening":
                return int(entry["port"])
        raise AssertionError(f"the service ended before it listened: {said.decode()}")

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/readyz", timeout=5
            ) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@asynccontextmanager
async def deployed_container(
    image: Image, variables: Mapping[str, str]
) -> AsyncIterator[Container]:
    """Run the service with the arguments, variables and settings of the base's Deployment.

    Args:
        image: Built.
        variables: Besides those of the Deployment.
    """
    documents = render(BASE)
    deployment = one(documents, "Deployment")
    (settings,) = (document for document in documents if document["kind"] == "ConfigMap")
    image.mount("/etc/flyball", settings["data"])
    (spec,) = deployment["spec"]["template"]["spec"]["containers"]
    namespace = deployment["metadata"]["namespace"]
    own = {one["name"]: one.get("value", namespace) for one in spec["env"]}
    # The port of the settings may be taken on this machine.
    wanted = {**own, "FLYBALL_SERVER__PORT": "0", **variables}
    command, environment = image.command(*spec["args"], environment=wanted)
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=PIPE)
    container = Container(process)
    try:
        await container.wait_ready()
        async with asyncio.TaskGroup() as group:
            group.create_task(container.drain())
            try:
                yield container
            finally:
                await container.stop()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
