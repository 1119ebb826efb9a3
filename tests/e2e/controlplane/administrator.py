"""The first user of a fresh API server: asks and changes things without the code under test."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

ANSWER_SECONDS = 15.0


class RequestRefused(Exception):
    """The API server answered an error.

    Attributes:
        code: HTTP status.
    """

    def __init__(self, what: str, code: int, body: str) -> None:
        super().__init__(f"{what}: {code}: {body[:500]}")
        self.code = code


class Administrator:
    """Sends JSON as a member of ``system:masters``.

    Args:
        url: Of the API server.
        tls: With the administrator's client certificate.
    """

    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        self._url = url
        self._tls = tls

    def get(self, path: str) -> Any:
        """GET an object or a list."""
        return self._send("GET", path, None)

    def create(self, path: str, body: Any) -> Any:
        """POST an object."""
        return self._send("POST", path, body)

    def delete(self, path: str) -> Any:
        """DELETE an object."""
        return self._send("DELETE", path, None)

    def exists(self, path: str) -> bool:
        """Return whether GET finds something."""
        try:
            self.get(path)
        except RequestRefused as refused:
            if refused.code == 404:
                return False
            raise
        return True

    def _send(self, method: str, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            self._url + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(
                request, timeout=ANSWER_SECONDS, context=self._tls
            ) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            raise RequestRefused(f"{method} {path}", error.code, text) from error
