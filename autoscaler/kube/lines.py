"""A response read line by line, with a bound on each line and on silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp

from autoscaler.errors import Invalid, Unreachable, shorten


class LineStream:
    """The lines of a streamed answer; iterate once.

    Attributes:
        inactivity_seconds: Silence after which the stream counts as dead; may be changed while
            iterating.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        what: str,
        *,
        line_bytes: int,
        inactivity_seconds: float,
    ) -> None:
        self.inactivity_seconds = inactivity_seconds
        self._response = response
        self._what = what
        self._line_bytes = line_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the lines that are not blank, without their newline.

        Raises:
            Unreachable: Silence, a broken connection, or an end in the middle of a line.
            Invalid: A line longer than the limit.
        """
        buffer = bytearray()
        while chunk := await self._chunk():
            # The rest of an unfinished line has been searched already.
            searched = len(buffer)
            buffer += chunk
            start = 0
            while (end := buffer.find(b"\n", max(start, searched))) >= 0:
                self._check(end - start)
                line = bytes(buffer[start:end])
                start = end + 1
                if line.strip():
                    yield line
            del buffer[:start]
            self._check(len(buffer))
        if buffer.strip():
            raise Unreachable(f"{self._what}: closed in the middle of a line")

    def _check(self, length: int) -> None:
        if length > self._line_bytes:
            raise Invalid(f"{self._what}: a line is longer than {self._line_bytes} bytes")

    async def _chunk(self) -> bytes:
        try:
            async with asyncio.timeout(self.inactivity_seconds):
                return await self._response.content.readany()
        except TimeoutError as exc:
            raise Unreachable(f"{self._what}: silent for {self.inactivity_seconds:g} s") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise Unreachable(f"{self._what}: broken off: {describe(exc)}") from exc


def describe(exc: BaseException) -> str:
    """Return a connection error in a few words."""
    text = shorten(str(exc)) or type(exc).__name__
    return text if isinstance(exc, aiohttp.ClientError) else f"{type(exc).__name__}: {text}"
