"""Where the webhook's certificate comes from: a folder somebody fills, or a Secret of our own."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog
from typing_extensions import override

from autoscaler.errors import ConfigError, Conflict, KubeError, NotFound, shorten
from autoscaler.kube.codec import Secret
from autoscaler.kube.secrets import read_secret, write_secret
from autoscaler.kube.transport import KubeClient
from autoscaler.kube.webhook_configuration import trust
from autoscaler.runtime.clock import Clock

CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"
AUTHORITIES: Final = "ca.crt"
"""As in Secrets of type ``kubernetes.io/tls``, and as cert-manager writes them."""
FILE_BYTES_MAX: Final = 256 * 1024
WRITE_ATTEMPTS: Final = 5

log = structlog.get_logger(__name__)


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate to serve with.

    Attributes:
        certificate_pem: With its chain.
        key_pem: Never shown.
        expires_at: Epoch seconds; 0 when nobody has looked.
        is_trusted: Whether the API server is known to accept it already.
    """

    certificate_pem: bytes
    key_pem: bytes
    expires_at: float = 0.0
    is_trusted: bool = True

    @override
    def __repr__(self) -> str:
        """Return a text without the key."""
        return f"Serving(expires_at={self.expires_at}, is_trusted={self.is_trusted})"

    def is_same(self, other: Serving | None) -> bool:
        """Whether serving with the other would make no difference."""
        return other is not None and (
            (self.certificate_pem, self.key_pem) == (other.certificate_pem, other.key_pem)
        )

    def load_into(self, context: ssl.SSLContext) -> None:
        """Serve with it from the next connection on; uses files, so call it in a thread.

        Raises:
            ConfigError: It cannot be served with.
        """
        # The ssl module takes keys from files only; a context that refused one is of no more use,
        # so a throw-away one comes first.
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(self.certificate_pem.rstrip() + b"\n" + self.key_pem)
            file.flush()
            for one in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):
                try:
                    one.load_cert_chain(file.name)
                except (ssl.SSLError, OSError) as error:
                    raise ConfigError(
                        f"no PEM certificate with its key: {shorten(str(error))}"
                    ) from None


class CertificateSource(Protocol):
    """Keeps a certificate current."""

    async def current(self) -> Serving:
        """Return what to serve with now; raises AutoscalerError when there is nothing."""
        ...


class CertificateFolder:
    """``tls.crt`` and ``tls.key`` in a folder, such as a mounted Secret of cert-manager's.

    That the API server trusts them is the business of whoever puts them there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def current(self) -> Serving:
        """Return what the folder has now.

        Raises:
            ConfigError: A file is missing or too long.
        """
        return await asyncio.to_thread(self._read)

    def _read(self) -> Serving:
        return Serving(
            certificate_pem=content_of(self._folder / CERTIFICATE),
            key_pem=content_of(self._folder / KEY),
        )


def content_of(path: Path) -> bytes:
    """Return a file of a certificate folder; raises ConfigError when it is missing or too long."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    if len(content) > FILE_BYTES_MAX:
        raise ConfigError(f"{path}: longer than {FILE_BYTES_MAX} bytes")
    return content


class CertificateSecret:
    """A certificate made by ourselves, shared between replicas through a Secret.

    It is renewed when a third of its life is left. The API server is told to trust the new
    authority beside the old one before anybody serves with the new certificate.

    Args:
        client: Connection.
        namespace: Of the Secret.
        secret: Its name.
        configuration: Name of the ValidatingWebhookConfiguration.
        names: DNS names and IP addresses the API server calls us by.
        clock: Wall time.

    Raises:
        ConfigError: The package that makes certificates is not installed.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        namespace: str,
        secret: str,
        configuration: str,
        names: tuple[str, ...],
        clock: Clock,
    ) -> None:
        try:
            from autoscaler.web import certificates
        except ModuleNotFoundError as error:
            raise ConfigError(
                f'a self-managed certificate needs the module {error.name}; install "flyball'
                '[webhook]" or give webhook.certificate_folder',
                field="webhook",
            ) from error
        self._certificates = certificates
        self._client = client
        self._namespace = namespace
        self._secret = secret
        self._configuration = configuration
        self._names = names
        self._clock = clock
        self._authorities_pem = b""

    async def current(self) -> Serving:
        """Return the certificate, renewed if that is due.

        Raises:
            KubeError: The Secret could not be read or written.
        """
        for _ in range(WRITE_ATTEMPTS):
            stored = await read_secret(self._client, self._namespace, self._secret)
            serving = self._usable(stored)
            if serving is None:
                # Written or not: what counts is what the next read finds, maybe another replica's.
                await self._renew(stored)
                continue
            assert stored is not None
            self._authorities_pem = stored.data[AUTHORITIES]
            is_trusted = await self._publish(self._authorities_pem)
            return msgspec.structs.replace(serving, is_trusted=is_trusted)
        raise Conflict(
            f'Secret "{self._namespace}/{self._secret}": changed by others {WRITE_ATTEMPTS} times'
        )

    def _usable(self, stored: Secret | None) -> Serving | None:
        """Return the stored certificate unless it has to be made anew."""
        data = stored.data if stored else {}
        if not {CERTIFICATE, KEY, AUTHORITIES} <= data.keys():
            return None
        try:
            facts = self._certificates.inspect(data[CERTIFICATE], data[KEY], data[AUTHORITIES])
        except ConfigError as error:
            log.warning("webhook_certificate_unusable", secret=self._secret, error=str(error))
            return None
        is_current = self._clock.now() < facts.renew_at
        if not (is_current and facts.is_trusted and facts.names.issuperset(self._names)):
            return None
        return Serving(
            certificate_pem=data[CERTIFICATE], key_pem=data[KEY], expires_at=facts.expires_at
        )

    async def _renew(self, stored: Secret | None) -> None:
        at = self._clock.now()
        issued = self._certificates.issue(self._names, at)
        # Where the Secret was emptied, what is being served stays trusted all the same.
        known = (stored.data.get(AUTHORITIES) if stored else None) or self._authorities_pem
        data = {
            CERTIFICATE: issued.certificate_pem,
            KEY: issued.key_pem,
            AUTHORITIES: self._certificates.bundle(issued.authority_pem, known, at),
        }
        version = stored.metadata.resource_version if stored else ""
        try:
            await write_secret(
                self._client, self._namespace, self._secret, data, resource_version=version
            )
        except Conflict:
            return
        log.info("webhook_certificate_issued", secret=self._secret, names=self._names)

    async def _publish(self, authorities_pem: bytes) -> bool:
        """Return whether the API server trusts the authorities now."""
        try:
            if await trust(self._client, self._configuration, authorities_pem):
                log.info("webhook_authority_published", configuration=self._configuration)
        except NotFound:
            log.info("webhook_configuration_missing", configuration=self._configuration)
            return False
        except KubeError as error:
            log.warning(
                "webhook_authority_not_published",
                configuration=self._configuration,
                error=str(error),
            )
            return False
        return True
