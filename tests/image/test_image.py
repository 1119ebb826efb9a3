"""The image as it is built and run, on the machine's own interpreter instead of the base image's."""

from __future__ import annotations

import json
import os
import stat
import subprocess

import autoscaler
from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.plugins import ScalerRegistry
from tests.deploy.container import deployed_container
from tests.deploy.image import Image

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
        places += ["/", "/etc", "/usr", "/var/tmp", "/dev"]
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
    before = image.snapshot()
    async with (
        EmbeddedCluster() as cluster,
        deployed_container(image, {"FLYBALL_KUBERNETES__SERVER": cluster.url}) as service,
    ):
        pass
    assert service.exit_code == 0
    assert service.stop_seconds < STOP_SECONDS
    assert image.snapshot() == before
