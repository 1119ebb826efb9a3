"""The certificates of one control plane, made with openssl and gone with its folder."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.servers.process import find_program

DAYS = "2"
CURVE = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


class Certificate(NamedTuple):
    """Paths of a certificate and its key."""

    crt: Path
    key: Path


class Authority:
    """A self-signed certificate authority.

    Args:
        folder: Where it and what it signs are kept.
        name: Of its files; also its common name.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.certificate = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
        new_key(self.certificate.key)
        extensions = folder / f"{name}.cnf"
        extensions.write_text(
            "[req]\ndistinguished_name=dn\nx509_extensions=ca\n[dn]\n[ca]\n"
            "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
            "subjectKeyIdentifier=hash\n"
        )
        _openssl(
            *("req", "-x509", "-new", "-key", str(self.certificate.key)),
            *("-subj", f"/CN={name}", "-days", DAYS, "-config", str(extensions)),
            *("-out", str(self.certificate.crt)),
        )

    def issue(
        self,
        name: str,
        *,
        common_name: str,
        organizations: Sequence[str] = (),
        alternatives: Sequence[str] = (),
    ) -> Certificate:
        """Sign a new key for clients and servers.

        Args:
            name: Of the files.
            common_name: The user's name, where it names a user.
            organizations: The user's groups.
            alternatives: ``DNS:...`` and ``IP:...`` entries of a server.
        """
        crt, key = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        new_key(key)
        subject = "".join(f"/O={one}" for one in organizations) + f"/CN={common_name}"
        _openssl("req", "-new", "-key", str(key), "-subj", subject, "-out", str(request))
        lines = ["keyUsage=critical,digitalSignature", "extendedKeyUsage=clientAuth,serverAuth"]
        if alternatives:
            lines.append(f"subjectAltName={','.join(alternatives)}")
        extensions.write_text("\n".join(lines) + "\n")
        own = self.certificate
        _openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(own.crt), "-CAkey", str(own.key)),
            *("-CAcreateserial", "-days", DAYS, "-extfile", str(extensions), "-out", str(crt)),
        )
        return Certificate(crt, key)


def new_key(path: Path) -> None:
    """Write a new private key."""
    _openssl("genpkey", *CURVE, "-out", str(path))


def public_half(key: Path, path: Path) -> None:
    """Write the public half of a private key."""
    _openssl("pkey", "-in", str(key), "-pubout", "-out", str(path))


def _openssl(*arguments: str) -> None:
    program = find_program("openssl", package="openssl")
    ran = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"openssl {' '.join(arguments)}: {ran.stderr}"
