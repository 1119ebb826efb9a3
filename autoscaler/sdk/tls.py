"""TLS parameters of a trigger, and the context made of them."""

from __future__ import annotations

import ssl
import tempfile
from typing import Self

import msgspec
from pydantic import SecretStr

from autoscaler.errors import MetricRejected, shorten


class TlsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to speak TLS with a source; hashable, so that it can be part of a source key.

    Attributes:
        ca: PEM certificates to trust instead of the system's, empty = the system's.
        certificate: PEM client certificate chain, empty = none.
        key: PEM private key of ``certificate``.
        key_password: Of an encrypted key.
        verify: Check the server's certificate; False also holds together with the others.
    """

    ca: str = ""
    certificate: str = ""
    key: SecretStr | None = None
    key_password: SecretStr | None = None
    verify: bool = True

    @classmethod
    def of(
        cls,
        *,
        ca: str = "",
        certificate: str = "",
        key: SecretStr | None = None,
        key_password: SecretStr | None = None,
        verify: bool = True,
    ) -> Self:
        """Build the settings from a trigger's parameters."""
        return cls(
            ca=ca, certificate=certificate, key=key, key_password=key_password, verify=verify
        )

    def context(self) -> ssl.SSLContext:
        """Build the context; reads and writes files, so call it in a thread.

        Raises:
            MetricRejected: A certificate or key cannot be read.
        """
        try:
            context = ssl.create_default_context(cadata=self.ca or None)
        except (ssl.SSLError, ValueError) as error:
            raise MetricRejected(f"ca is no PEM certificate: {shorten(str(error))}") from None
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate:
            self._load_client_certificate(context)
        return context

    def _load_client_certificate(self, context: ssl.SSLContext) -> None:
        """Load the client certificate; the ssl module takes it from a file only."""
        key = self.key.get_secret_value() if self.key else ""
        password = self.key_password.get_secret_value() if self.key_password else ""
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(f"{self.certificate}\n{key}\n")
            file.flush()
            try:
                context.load_cert_chain(file.name, password=password)
            except (ssl.SSLError, ValueError, OSError) as error:
                raise MetricRejected(
                    f"cert and key are no PEM certificate and its key: {shorten(str(error))}"
                ) from None
