"""The server's certificate from a folder, taken over when the files change."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final

import grpc
import msgspec
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from typing_extensions import override

from autoscaler.errors import ConfigError, shorten
from autoscaler.runtime.clock import Clock
from autoscaler.web.certificate_sources import AUTHORITIES, CERTIFICATE, KEY, content_of

CHECK_SECONDS: Final = 2.0

log = structlog.get_logger(__name__)


class Files(msgspec.Struct, frozen=True):
    """What the folder holds, known to be usable; its text form shows nothing."""

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
        clock: Tells whether a certificate has expired.

    Raises:
        ConfigError: A file is missing or too long, or TLS cannot be spoken with it.
    """

    wants_clients: Final[bool]
    """Whether clients must show a certificate. gRPC decides that once, when the server starts."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._files = self._read()
        self._configuration = _configuration(self._files)
        self.wants_clients = self._files.authorities is not None
        self._warn_of_expiry()

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
        if not self.wants_clients and found.authorities not in {None, self._files.authorities}:
            log.error(
                "external_scaler_needs_restart",
                file=str(self._folder / AUTHORITIES),
                why="clients are not asked for certificates: the file was not there at the start",
            )
        has_renewed = (found.certificate, found.key) != (self._files.certificate, self._files.key)
        self._configuration = _configuration(found)
        self._files = found
        if has_renewed or self.wants_clients:
            log.info("external_scaler_certificate_taken_over")
        self._warn_of_expiry()

    def _read(self) -> Files:
        authorities = self._folder / AUTHORITIES
        files = Files(
            certificate=content_of(self._folder / CERTIFICATE),
            key=content_of(self._folder / KEY),
            authorities=content_of(authorities) if authorities.exists() else None,
        )
        _check_certificates(self._folder / CERTIFICATE, files.certificate)
        _check_key(self._folder / KEY, files)
        if files.authorities is not None:
            _check_certificates(authorities, files.authorities)
        return files

    def _warn_of_expiry(self) -> None:
        """Say that clients will refuse the certificate; serving it may still be wanted."""
        ends = x509.load_pem_x509_certificate(self._files.certificate).not_valid_after_utc
        if ends.timestamp() < self._clock.now():
            file = str(self._folder / CERTIFICATE)
            log.warning("external_scaler_certificate_expired", file=file, at=ends.isoformat())


def _configuration(files: Files) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(files.key, files.certificate)], root_certificates=files.authorities
    )


def _check_certificates(path: Path, content: bytes) -> None:
    """Raise ConfigError unless a file holds certificates, and nothing that only looks like one."""
    # The ssl module takes ASCII; PEM may have comments in other letters between its blocks.
    text = content.decode("ascii", "ignore")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=text)
        x509.load_pem_x509_certificate(content)
    except (ssl.SSLError, ValueError) as error:
        what = shorten(str(error)) or "nothing in it"
        raise ConfigError(f"{path}: must hold certificates as PEM: {what}") from None


def _check_key(path: Path, files: Files) -> None:
    """Raise ConfigError unless the key can be read and belongs to the certificate."""
    try:
        key = serialization.load_pem_private_key(files.key, None)
    except TypeError:
        raise ConfigError(f"{path}: must hold a private key that is not encrypted") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{path}: must hold a private key as PEM") from None
    if key.public_key() != x509.load_pem_x509_certificate(files.certificate).public_key():
        raise ConfigError(f"{path}: is not the key of the certificate in {CERTIFICATE}")
