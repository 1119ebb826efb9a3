"""A real Redis."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import ClassVar

from typing_extensions import override

from tests.servers.process import Server, find_program


class RedisServer(Server):
    """``redis-server`` without persistence: killing it loses the data, as a cache would.

    Args:
        port: Fixed port, None = a free one.
        password: Required from clients, empty = none.
        arguments: Further configuration, e.g. ``("--databases", "4")``.
    """

    name: ClassVar[str] = "redis-server"

    def __init__(
        self, *, port: int | None = None, password: str = "", arguments: Sequence[str] = ()
    ) -> None:
        super().__init__(port=port)
        self._password = password
        self._arguments = tuple(arguments)

    @classmethod
    @override
    def check_available(cls) -> None:
        find_program("redis-server", package="redis-server")

    @property
    def url(self) -> str:
        """Return ``redis://host:port``."""
        return f"redis://{self.address}"

    @override
    def command(self) -> list[str]:
        secured = ("--requirepass", self._password) if self._password else ()
        return [
            find_program("redis-server", package="redis-server"),
            *("--bind", "127.0.0.1", "--port", str(self.port)),
            *("--save", "", "--appendonly", "no", "--dir", str(self.folder)),
            *secured,
            *self._arguments,
        ]

    @override
    def answers(self) -> bool:
        return self.send("PING").startswith((b"+PONG", b"-NOAUTH"))

    def flush(self) -> None:
        """Drop every key of every database."""
        if self._password:
            self.send("AUTH", self._password)
        self.send("FLUSHALL")

    def send(self, *words: str) -> bytes:
        """Return the raw start of the reply to one command on a fresh connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            parts = [f"*{len(words)}"]
            for word in words:
                parts += [f"${len(word.encode())}", word]
            connection.sendall(("\r\n".join(parts) + "\r\n").encode())
            return connection.recv(4096)
