"""A throw-away certificate authority, for servers that speak TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.servers.process import find_program


class Certificates:
    """An authority with one server certificate (127.0.0.1, localhost) and one client certificate.

    Args:
        folder: Where the files go; exists.
    """

    def __init__(self, folder: Path) -> None:
        self._openssl = find_program("openssl", package="openssl")
        self._folder = folder
        self.ca = folder / "ca.crt"
        self._run(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=Test Authority", "-keyout", "ca.key", "-out", "ca.crt"),
        )
        self.server_key, self.server = self._issue("server", "IP:127.0.0.1,DNS:localhost")
        self.client_key, self.client = self._issue("client", "DNS:client")

    def _issue(self, name: str, names: str) -> tuple[Path, Path]:
        extensions = self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\n")
        self._run(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", f"{name}.key", "-out", f"{name}.csr"),
        )
        self._run(
            *("x509", "-req", "-in", f"{name}.csr", "-days", "2", "-extfile", extensions.name),
            *("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.crt"),
        )
        return self._folder / f"{name}.key", self._folder / f"{name}.crt"

    def _run(self, *arguments: str) -> None:
        subprocess.run(
            [self._openssl, *arguments], cwd=self._folder, check=True, capture_output=True
        )
