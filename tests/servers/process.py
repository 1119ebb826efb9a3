"""A server program as a context manager: start, wait until it answers, kill, restart, clean up."""

from __future__ import annotations

import asyncio
import atexit
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import ClassVar, Self

POLL_SECONDS = 0.02
STOP_SECONDS = 10.0


class ServerMissing(Exception):
    """This machine cannot run the server; the message names what is missing and how to get it."""


def free_port() -> int:
    """Return a loopback port nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def find_program(name: str, *, package: str) -> str:
    """Return the path of a program, or raise :class:`ServerMissing` naming its Debian package."""
    path = shutil.which(name)
    if path is None:
        raise ServerMissing(f"{name} is not installed (Debian: apt-get install {package})")
    return path


class Server:
    """One server process with a folder of its own.

    Use ``with``, or ``async with`` inside a running event loop. ``start``, ``kill``, ``stop`` and
    ``restart`` block for as long as the server takes; call them through ``asyncio.to_thread`` from
    asynchronous tests.
    """

    name: ClassVar[str] = "server"
    start_seconds: ClassVar[float] = 20.0

    def __init__(self, *, port: int | None = None) -> None:
        self.check_available()
        self.port = port or free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"flyball-{self.name}-"))
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    @property
    def address(self) -> str:
        """Return ``host:port``."""
        return f"127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        """Return whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @classmethod
    def check_available(cls) -> None:
        """Raise :class:`ServerMissing` unless this machine can run the server."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """Return the command line; called before each start."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Return whether the server is up; may raise OSError while it is not."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the process and wait until it answers."""
        assert not self.is_running, f"{self.name} runs already"
        log = self.folder / "output.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command(), stdout=output, stderr=output, cwd=self.folder
            )
        give_up_at = time.monotonic() + self.start_seconds
        while time.monotonic() < give_up_at and self.is_running:
            try:
                if self.answers():
                    return
            except OSError:
                pass
            time.sleep(POLL_SECONDS)
        self.kill()
        tail = log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{self.name} on port {self.port} did not come up:\n{tail}")

    def kill(self) -> None:
        """End the process without warning, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask the process to end, and kill it if it does not."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Start again on the same port with the same data, after a kill or in place of it."""
        self.kill()
        self.start()

    def close(self) -> None:
        """Kill the process and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    def _end(self, with_signal: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(with_signal)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)
