"""A Redis for the work queue: a real ``redis-server`` where there is one, else an embedded one."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import AsyncIterator
from typing import Any, Final

from autoscaler.errors import ConfigError

START_SECONDS: Final = 10.0
START_POLL_SECONDS: Final = 0.02
STOP_SECONDS: Final = 5.0
PROGRAM: Final = "redis-server"


@contextlib.asynccontextmanager
async def redis_address(*, program: str | None = None) -> AsyncIterator[tuple[str, int]]:
    """Run a Redis on a free loopback port; yields host and port.

    Args:
        program: Path of ``redis-server``; None = the one on PATH, empty = the embedded server.

    Raises:
        ConfigError: Neither is there, or the server does not start.
    """
    found = shutil.which(PROGRAM) if program is None else program
    chosen = _real(found) if found else _embedded()
    async with chosen as address:
        yield address


@contextlib.asynccontextmanager
async def _real(program: str) -> AsyncIterator[tuple[str, int]]:
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="flyball-redis-") as folder:
        process = await asyncio.create_subprocess_exec(
            program,
            *("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
            *("--dir", folder, "--daemonize", "no"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            # Ctrl-C on the terminal must not reach it before the workers have let go of it.
            start_new_session=True,
        )
        try:
            await _until_listening(port, process)
            yield "127.0.0.1", port
        finally:
            await _stop(process)


@contextlib.asynccontextmanager
async def _embedded() -> AsyncIterator[tuple[str, int]]:
    try:
        from fakeredis import TcpFakeServer
    except ImportError as exc:
        raise ConfigError(
            "the demo needs a Redis: install redis-server, or flyball[demo] for an embedded one"
        ) from exc
    server: Any = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    thread = threading.Thread(target=server.serve_forever, name="embedded redis", daemon=True)
    thread.start()
    try:
        host, port = server.server_address[:2]
        yield str(host), int(port)
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        await asyncio.to_thread(thread.join, STOP_SECONDS)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _until_listening(port: int, process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    if process.returncode is not None:
                        code = process.returncode
                        raise ConfigError(f"{PROGRAM} ended with code {code} at start") from None
                    await asyncio.sleep(START_POLL_SECONDS)
                    continue
                writer.close()
                await writer.wait_closed()
                return
    except TimeoutError as exc:
        raise ConfigError(f"{PROGRAM} does not listen after {START_SECONDS:g} s") from exc


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
