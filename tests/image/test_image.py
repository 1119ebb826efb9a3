"""The image as it is built and run, on the machine's own interpreter instead of the base image's."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import time
import urllib.request
from asyncio.subprocess import PIPE
from collections.abc import Mapping

import autoscaler
from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.plugins import ScalerRegistry
from tests.deploy.image import Image
from tests.deploy.kustomize import BASE, one, render

START_SECONDS = 30
STOP_SECONDS = 10
WRITE = """
import os, sys
for place in sys.argv[1:]:
    try:
        open(os.path.join(place, "written"), "w")
    except OSError:
        continue
    print("wrote to", place)
print(os.getuid(), os.getgid(), os.getgroups())
"""
COMPILED = """
import os, sys
import autoscaler.cli.run, autoscaler.controller.service, kubernetes.aio.client, kubernetes.aio.config
files = [m.__cached__ for m in sys.modules.values() if getattr(m, "__cached__", None)]
print([f for f in files if "/flyball/" in f and not os.path.exists(f)])
"""


def output(image: Image, *arguments: str, entry: str = "") -> str:
    """Return what a command prints; with ``entry``, another program instead of the image's."""
    command, environment = image.command(*arguments)
    if entry:
        command[-len(arguments) - 1] = entry
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_version_is_that_of_the_code(image: Image) -> None:
    """The command line starts and says what was built."""
    assert output(image, "--version") == f"flyball {autoscaler.__version__}"


def test_user_of_the_image_can_write_nowhere(image: Image) -> None:
    """It runs as 65532 without further groups, and neither its folder nor the root takes a file."""
    package = "/opt/flyball" if image.is_confined else f"{image.root}/opt/flyball"
    places = [package, f"{package}/bin", f"{package}/lib"]
    if image.is_confined:
        places += ["/", "/etc/flyball", "/usr", "/var/tmp", "/dev"]
    said = output(image, "-c", WRITE, *places, entry="python")
    if os.geteuid() == 0:
        assert said == "65532 65532 []"
    else:
        assert "wrote" not in said


def test_nothing_of_the_image_is_writable_or_privileged(image: Image) -> None:
    """No file can be changed by anyone, and none lends its owner's rights."""
    modes = {path: path.lstat().st_mode for path in image.root.rglob("*") if not path.is_symlink()}
    assert [p for p, mode in modes.items() if mode & (0o222 | stat.S_ISUID | stat.S_ISGID)] == []


def test_every_trigger_type_can_be_loaded(image: Image) -> None:
    """The drivers of all trigger types are in the image."""
    listed = {row["type"]: row["tier"] for row in json.loads(output(image, "scalers", "--json"))}
    assert sorted(listed) == ScalerRegistry().names()
    assert "unavailable" not in listed.values()


def test_whatever_is_imported_is_compiled(image: Image) -> None:
    """A start compiles nothing, which it could not keep on a read-only file system."""
    assert output(image, "-c", COMPILED, entry="python") == "[]"


async def test_service_becomes_ready_and_ends_on_sigterm(image: Image) -> None:
    """As the Deployment starts it, it lists a cluster, and SIGTERM ends it with status 0.

    Nothing in its folder is touched by that.
    """
    documents = render(BASE)
    (settings,) = (d for d in documents if d["kind"] == "ConfigMap")
    for name, text in settings["data"].items():
        (image.settings / name).write_text(text)
    (container,) = one(documents, "Deployment")["spec"]["template"]["spec"]["containers"]
    environment = {v["name"]: v.get("value", "flyball-system") for v in container["env"]}
    before = image.snapshot()
    async with EmbeddedCluster() as cluster:
        environment |= {
            "FLYBALL_KUBERNETES__SERVER": cluster.url,
            # The port of the settings may be taken on this machine.
            "FLYBALL_SERVER__PORT": "0",
        }
        code, seconds = await started_and_stopped(image, container["args"], environment)
    assert code == 0
    assert seconds < STOP_SECONDS
    assert image.snapshot() == before


async def started_and_stopped(
    image: Image, arguments: list[str], variables: Mapping[str, str]
) -> tuple[int | None, float]:
    """Start the service, wait until it is ready, end it; return status and duration of the end."""
    command, environment = image.command(*arguments, environment=variables)
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=PIPE)
    assert process.stderr
    try:
        async with asyncio.timeout(START_SECONDS):
            port = await listening_port(process.stderr)
            # Another process is asked: there is no event to wait for.
            while not await asyncio.to_thread(is_ready, port):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    finally:
        asked_at = time.monotonic()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(START_SECONDS):
            await process.communicate()
    return process.returncode, time.monotonic() - asked_at


async def listening_port(log: asyncio.StreamReader) -> int:
    """Return the port the service says it listens on."""
    said = b""
    async for line in log:
        said += line
        entry = json.loads(line) if line.startswith(b"{") else {}
        if entry.get("event") == "listening":
            return int(entry["port"])
    raise AssertionError(f"the service ended before it listened: {said.decode()}")


def is_ready(port: int) -> bool:
    """Return whether the service says it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
