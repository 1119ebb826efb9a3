"""An HTTP server that answers as told, byte by byte, and writes down what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer


class Cut:
    """Break the connection at this point of an answer."""


class Hang:
    """Say nothing more until the client goes away."""


Piece = bytes | float | Cut | Hang
"""Bytes to send, seconds to wait, or a fault."""


@dataclass
class Answer:
    """What to answer one request."""

    pieces: Sequence[Piece] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class ScriptedApi:
    """Gives out its answers in order; the last one again and again.

    Attributes:
        requests: As they arrived.
    """

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[Asked] = []
        self.url = ""
        self._ending = asyncio.Event()

    @property
    def asked(self) -> list[str]:
        """Method and path of each request."""
        return [f"{request.method} {request.path}" for request in self.requests]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        self.requests.append(
            Asked(
                method=request.method,
                path=request.raw_path.partition("?")[0],
                query=dict(request.query),
                headers=request.headers.copy(),
                body=await request.read(),
                at=asyncio.get_running_loop().time(),
            )
        )
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not any(not isinstance(piece, bytes) for piece in answer.pieces):
            whole = b"".join(piece for piece in answer.pieces if isinstance(piece, bytes))
            return web.Response(status=answer.status, headers=answer.headers, body=whole)
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        for piece in answer.pieces:
            if isinstance(piece, float):
                await asyncio.sleep(piece)
                continue
            if not response.prepared and not isinstance(piece, Hang | Cut):
                await response.prepare(request)
            if isinstance(piece, bytes):
                await response.write(piece)
            elif isinstance(piece, Cut):
                assert request.transport is not None
                request.transport.abort()
                return response
            else:
                await self._ending.wait()
                return response
        return response

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[ScriptedApi]:
        """Serve on a free loopback port."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        server = TestServer(app, skip_url_asserts=True)
        await server.start_server()
        self.url = str(server.make_url("")).rstrip("/")
        try:
            yield self
        finally:
            self._ending.set()
            await server.close()


def reply(value: Any, status: int = 200, **headers: str) -> Answer:
    """Return an answer with a JSON body."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer([json.dumps(value).encode()], status=status, headers=named)


def refusal(status: int, reason: str, message: str = "", **headers: str) -> Answer:
    """Return an answer with a Status object."""
    return reply(status_object(status, reason, message), status, **headers)


def status_object(code: int, reason: str, message: str = "") -> dict[str, Any]:
    """Return the body of an error of an API server."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


def event(kind: str, item: Any) -> bytes:
    """Return one line of a watch."""
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


def watch(*pieces: Piece) -> Answer:
    """Return the answer to a watch, whose headers come at once, as an API server sends them."""
    # A blank line is no event, but it makes the server send what it has.
    return Answer([b"\n", *pieces, 0.0])
