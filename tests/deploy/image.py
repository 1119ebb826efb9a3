"""The image without a container engine: its Dockerfile followed into a folder, then run confined."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.deploy.dockerfile import files_copied, ignore_rules, read_dockerfile
from tests.deploy.kustomize import PROJECT

ASSEMBLE = "deploy/image/assemble"
CONFINE = Path(__file__).parent / "confine"
BUILD_SECONDS = 600.0
NAMESPACE = ("unshare", "--mount", "--propagation", "private", "--")


class BuildFailed(Exception):
    """A step of the Dockerfile failed; the message holds its output."""


class Image:
    """What the Dockerfile adds to its base image, below a folder, and how it is started.

    Where this process may (root, with mount namespaces), a command gets a root file system of its
    own: read-only, with the image's folder at its place, the machine's programs instead of the base
    image, and an empty ``/tmp``. Elsewhere it runs on the folder itself. Either way nobody may
    write to the folder, and root becomes the image's user.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="flyball-image-"))
        self._folder.chmod(0o755)
        self.root = self._folder / "root"
        self._place = self._folder / "place"
        self._context = self._folder / "context"
        self._place.mkdir()
        self._volumes: dict[str, Path] = {}
        self._builder, self.final = read_dockerfile((PROJECT / "Dockerfile").read_text())
        self.is_confined = os.geteuid() == 0 and _may_mount()

    def build(self) -> None:
        """Follow the Dockerfile.

        Raises:
            BuildFailed: A step ended with an error.
        """
        ignore = ignore_rules((PROJECT / ".dockerignore").read_text())
        for name, text in self._builder.instructions:
            if name == "COPY":
                *sources, target = text.split()
                for source in sources:
                    self._copy(source, target, ignore)
            elif name == "RUN" and text.startswith(ASSEMBLE):
                _, step, folder = text.split()
                self._assemble(step, self.root / folder.lstrip("/"))
        for copied in self.final.texts("COPY"):
            option, source, target = copied.split()
            assert option == f"--from={self._builder.name}"
            assert source == target
            assert (self.root / target.lstrip("/")).is_dir()
        for path in (self.root, *self.root.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o222)

    def mount(self, path: str, files: Mapping[str, str]) -> None:
        """Let commands see files in a folder, as Kubernetes mounts a ConfigMap or a token.

        Args:
            path: Of the folder, as the container sees it.
            files: Contents by name.
        """
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        folder.chmod(0o755)
        for name, text in files.items():
            (folder / name).write_text(text)
        self._volumes[path] = folder

    def command(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> tuple[list[str], dict[str, str]]:
        """Return the command line and the whole environment that start a container.

        Args:
            arguments: Instead of ``CMD``; none = as it is.
            environment: Besides that of the image.
        """
        command = self.final.command
        if arguments:
            command[1:] = arguments
        wanted = {"HOME": "/", **self.final.environment, **(environment or {})}
        user, _, group = self.final.only("USER").partition(":")
        if self.is_confined:
            folders = (str(self._place), str(self.root), sys.base_prefix)
            volumes = [f"{folder}:{path}" for path, folder in self._volumes.items()]
            enter = [*NAMESPACE, str(CONFINE), *folders, user, group, *volumes, "--"]
            return [*enter, *command], wanted
        places = {"/opt": self.root / "opt", **self._volumes}
        for path, folder in places.items():
            for name, value in wanted.items():
                wanted[name] = value.replace(f"{path}/", f"{folder}/")
        become = ["setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--no-new-privs"]
        return [*(become if os.geteuid() == 0 else ()), *command], wanted

    def close(self) -> None:
        """Remove everything made here."""
        for path in (self._folder, *self._folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
        shutil.rmtree(self._folder)

    def snapshot(self) -> dict[str, tuple[int, int, int]]:
        """Return size, mode and time of change of everything in the image's folder."""
        found = {}
        for path in (self.root, *sorted(self.root.rglob("*"))):
            status = path.lstat()
            found[str(path)] = (status.st_size, status.st_mode, status.st_mtime_ns)
        return found

    def _copy(self, source: str, target: str, ignore: list[str]) -> None:
        names = files_copied(PROJECT, source, ignore)
        assert names, f"COPY {source}: .dockerignore leaves nothing of it"
        assert target in {source, "./"}
        for name in names:
            path = self._context / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, path)

    def _assemble(self, step: str, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # uv and hatchling of the project's environment stand in for those of the builder stage.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        ran = subprocess.run(
            [ASSEMBLE, step, str(folder)],
            cwd=self._context,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
        if ran.returncode != 0:
            raise BuildFailed(f"{ASSEMBLE} {step}:\n{ran.stdout[-3000:]}")


@contextmanager
def assembled() -> Iterator[Image]:
    """Build an image, and remove it in the end; raises BuildFailed."""
    image = Image()
    try:
        image.build()
        yield image
    finally:
        image.close()


def _may_mount() -> bool:
    try:
        ran = subprocess.run(
            [*NAMESPACE, "mount", "-t", "tmpfs", "none", "/tmp"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except FileNotFoundError:
        return False
    return ran.returncode == 0
