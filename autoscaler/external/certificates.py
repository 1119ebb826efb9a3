"""The server's certificate from a folder, taken over when the files change."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import grpc
import msgspec
import structlog
from typing_extensions import override

from autoscaler.errors import ConfigError
from autoscaler.web.certificate_sources import AUTHORITIES, CERTIFICATE, KEY, content_of

CHECK_SECONDS: Final = 2.0

log = structlog.get_logger(__name__)


class Files(msgspec.Struct, frozen=True):
    """What the folder holds; its text form shows nothing."""

    certificate: bytes
    key: bytes
    authorities: bytes | None

    @override
    def __repr__(self) -> str:
        return f"Files(has_authorities={self.authorities is not None})"


class CertificateFolder:
    """TLS with what a folder holds at the time of each handshake.

    Connections that are open keep what they began with.

    Args:
        folder: With ``tls.crt``, ``tls.key`` and, for client certificates, ``ca.crt``.

    Raises:
        ConfigError: A file is missing, too long or no PEM.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = self._read()
        self._configuration = _configuration(self._files)

    @property
    def wants_clients(self) -> bool:
        """Whether clients must show a certificate; decided when the server starts."""
        return self._files.authorities is not None

    def credentials(self) -> grpc.ServerCredentials:
        """Return credentials that follow the folder."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration,
            # Called by the transport's threads at each handshake: no file is touched there.
            lambda: self._configuration,
            require_client_authentication=self.wants_clients,
        )

    async def follow(self) -> None:
        """Take over changed files until cancelled; what cannot be used is logged and left."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                await asyncio.to_thread(self._take_over)
            except ConfigError as error:
                log.warning("external_scaler_certificate_not_renewed", error=str(error))

    def _take_over(self) -> None:
        found = self._read()
        if found == self._files:
            return
        if self.wants_clients and found.authorities is None:
            raise ConfigError(f"{self._folder / AUTHORITIES} is gone; the one before stays in use")
        self._configuration = _configuration(found)
        self._files = found
        log.info("external_scaler_certificate_taken_over")

    def _read(self) -> Files:
        authorities = self._folder / AUTHORITIES
        return Files(
            certificate=_content(self._folder / CERTIFICATE),
            key=_content(self._folder / KEY),
            authorities=_content(authorities) if authorities.exists() else None,
        )


def _configuration(files: Files) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(files.key, files.certificate)], root_certificates=files.authorities
    )


def _content(path: Path) -> bytes:
    content = content_of(path)
    if b"-----BEGIN" not in content:
        raise ConfigError(f"{path}: must hold PEM (-----BEGIN ...)")
    return content
