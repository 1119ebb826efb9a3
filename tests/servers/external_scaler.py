"""An external scaler in Go, built once from the published contract, whose answers a test decides.

The stubs are generated from our copy of the proto by the compiler and plugins that ``go.mod`` pins,
so neither side of a test shares code with the other.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from typing_extensions import override

from tests.servers.process import Server, ServerMissing, find_program, free_port

SOURCE = Path(__file__).parent / "externalscaler"
PROTO = Path(__file__).parents[2] / "autoscaler" / "sdk" / "externalscaler" / "externalscaler.proto"
PLUGINS = {
    "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go",
    "protoc-gen-go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc",
}
BUILD_SECONDS = 900


class GoExternalScaler(Server):
    """The server; ``set`` decides what it answers, ``calls`` tells what it was asked.

    Args:
        certificate: PEM files of certificate and key; None = plain text.
        authority: PEM file of the authority of clients; None = anybody may call.
    """

    name: ClassVar[str] = "external-scaler"
    start_seconds: ClassVar[float] = 30.0

    def __init__(
        self,
        *,
        port: int | None = None,
        certificate: tuple[Path, Path] | None = None,
        authority: Path | None = None,
    ) -> None:
        super().__init__(port=port)
        self._control = free_port()
        self._certificate = certificate
        self._authority = authority

    @classmethod
    @override
    def check_available(cls) -> None:
        _program()

    @override
    def command(self) -> list[str]:
        command = [str(_program()), f"-port={self.port}", f"-control={self._control}"]
        if self._certificate is not None:
            command += [f"-cert={self._certificate[0]}", f"-key={self._certificate[1]}"]
        if self._authority is not None:
            command.append(f"-ca={self._authority}")
        return command

    @override
    def answers(self) -> bool:
        return bool(self.told())

    def set(self, **state: Any) -> Self:
        """Decide what is answered from now on; see ``state`` in ``main.go``."""
        self._send("state", state)
        return self

    def push(self, **event: Any) -> None:
        """Send something on the open streams, or end them."""
        self._send("push", event)

    def told(self) -> Mapping[str, Any]:
        """Return the calls so far and the streams that are open."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._control}/calls", timeout=5) as answer:
            found: Mapping[str, Any] = json.load(answer)
            return found

    def calls(self, method: str = "") -> list[Mapping[str, Any]]:
        """Return the calls of a method, or all, in order."""
        return [one for one in self.told()["calls"] or () if method in {"", one["method"]}]

    def open_streams(self, method: str) -> int:
        """Return how many streams of a method are open."""
        return int(self.told()["streams"].get(method, 0))

    def _send(self, what: str, body: object) -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._control}/{what}", json.dumps(body).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=5):
            pass


def _program() -> Path:
    """Return the built program, building it first if that was never done."""
    digest = hashlib.sha256()
    for path in (*sorted(SOURCE.iterdir()), PROTO):
        digest.update(path.read_bytes())
    root = Path(os.environ.get("FLYBALL_CACHE") or Path.home() / ".cache" / "flyball")
    built = root / "testservers" / f"externalscaler-{digest.hexdigest()[:12]}"
    if not built.exists():
        go = find_program("go", package="golang-go")
        built.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=built.parent) as folder:
            _build(go, Path(folder))
            # At once, so that another test run never finds half a program.
            (Path(folder) / "server").replace(built)
    return built


def _build(go: str, folder: Path) -> None:
    for path in SOURCE.iterdir():
        shutil.copy(path, folder)
    plugins = [f"--plugin={name}={folder / name}" for name in PLUGINS]
    outputs = [f"--go_out={folder / 'pb'}", f"--go-grpc_out={folder / 'pb'}"]
    (folder / "pb").mkdir()
    steps = [[go, "build", "-o", f"{folder}/", package] for package in PLUGINS.values()]
    steps.append(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO.parent}"),
            *(*plugins, *outputs, PROTO.name),
        ]
    )
    steps.append([go, "build", "-o", str(folder / "server"), "."])
    for step in steps:
        try:
            subprocess.run(
                step, cwd=folder, check=True, capture_output=True, timeout=BUILD_SECONDS, text=True
            )
        except subprocess.CalledProcessError as error:
            raise ServerMissing(
                f"the external scaler of the tests could not be built: {error.stderr[-500:]}"
            ) from error
