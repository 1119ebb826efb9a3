"""A Redis that answers what it was told to, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Self


class ScriptedRedis:
    """Answers commands by their first words; connection set-up is fine unless scripted.

    Args:
        replies: Raw protocol replies by command, upper case; ``{{PORT}}`` and ``{{HOSTPORT}}``
            stand for this server.
        silent: Read and never answer.
        breaks_off: Close the connection in the middle of the first answer.
    """

    def __init__(
        self, replies: Mapping[str, str], *, silent: bool = False, breaks_off: bool = False
    ) -> None:
        self._replies = {"AUTH": "+OK\r\n", "SELECT": "+OK\r\n", **replies}
        self._silent = silent
        self._breaks_off = breaks_off
        self._clients: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.commands: set[tuple[str, ...]] = set()

    @property
    def address(self) -> str:
        """Return ``host:port``."""
        return f"127.0.0.1:{self.port}"

    def filled(self, text: str) -> str:
        """Return a text with this server's address in it."""
        return text.replace("{{HOSTPORT}}", self.address).replace("{{PORT}}", str(self.port))

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop listening and hang up."""
        for client in self._clients:
            client.close()
        self._server.close()
        await self._server.wait_closed()
        # Connection handlers end once they notice that their client is gone.
        for _ in range(5):
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while words := await _command(reader):
                self.commands.add(words)
                if self._silent:
                    continue
                reply = self._reply(" ".join(words).upper())
                if self._breaks_off:
                    writer.write(reply[: len(reply) // 2])
                    break
                writer.write(reply)
                await writer.drain()
        writer.close()

    def _reply(self, command: str) -> bytes:
        for name, reply in self._replies.items():
            if command.startswith(name):
                return self.filled(reply).encode("latin-1")
        return b"-ERR unknown command\r\n"


async def _command(reader: asyncio.StreamReader) -> tuple[str, ...]:
    """Return the words of the next command, nothing at the end of the connection."""
    header = await reader.readline()
    words = []
    for _ in range(int(header[1:]) if header else 0):
        size = int((await reader.readline())[1:])
        words.append((await reader.readexactly(size + 2))[:-2].decode())
    return tuple(words)
