"""A server that answers range queries as a test tells it to, and keeps what it was asked."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np


class Told:
    """A server that gives prepared answers, then the value of every instant (1 by default)."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.queries: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self.value: Callable[[str, float], float | None] = lambda query, at: 1.0

    def answer(self, query: dict[str, str]) -> tuple[int, bytes]:
        """Return status and body."""
        if self.answers:
            return self.answers.pop(0)
        instants = np.arange(float(query["start"]), float(query["end"]) + 1, float(query["step"]))
        known = [(at, self.value(query["query"], at)) for at in instants.tolist()]
        values = [[at, f"{value:g}"] for at, value in known if value is not None]
        return 200, body([{"metric": {}, "values": values}] if values else [])


def body(series: list[dict[str, Any]]) -> bytes:
    """Return an answer with these series."""
    data = {"resultType": "matrix", "result": series}
    return json.dumps({"status": "success", "data": data}).encode()


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Told]:
    """Run such a server."""
    told = Told()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            told.queries.append({key: values[0] for key, values in asked.items()})
            told.headers.append(dict(self.headers))
            status, content = told.answer(told.queries[-1])
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        host = "localhost" if tls else "127.0.0.1"
        told.url = f"{'https' if tls else 'http'}://{host}:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()
