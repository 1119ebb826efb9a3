"""Parameters of external triggers, and what of them is sent to the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Self

import msgspec
from pydantic import Field, SecretStr
from typing_extensions import override

from autoscaler.sdk import AUTH, Param, Problem, TlsSettings, TriggerConfig, TriggerContext
from autoscaler.sdk.params import TriggerInput

FROM_ENV: Final = "FromEnv"

Entries = tuple[tuple[str, str], ...]
"""Key and value, in the order of the keys."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A server, and as whom it is called.

    Attributes:
        address: ``host:port`` as written.
        tls: None = plain text.
    """

    address: str
    tls: TlsSettings | None = None


class ExternalConfig(TriggerConfig):
    """Parameters of an external trigger; every other key of the metadata is the server's."""

    scaler_address: Annotated[
        str, Param("scalerAddress", endpoint=True, doc="Server, a gRPC target such as host:port.")
    ]
    enable_tls: Annotated[bool, Param("enableTLS", doc="Connect with TLS.")] = False
    unsafe_ssl: Annotated[
        bool, Param("unsafeSsl", doc="Trust whatever certificate the server shows (for tests).")
    ] = False
    ca_cert: Annotated[
        str, Param("caCert", order=(AUTH,), doc="PEM of the authorities to trust.")
    ] = ""
    client_certificate: Annotated[
        str, Param("tlsClientCert", order=(AUTH,), doc="PEM of the client certificate.")
    ] = ""
    client_key: Annotated[
        SecretStr | None,
        Param("tlsClientKey", order=(AUTH,), doc="PEM of the certificate's private key."),
    ] = None
    forwarded: Annotated[Entries, Field(repr=False)] = ()
    """``scalerMetadata`` of every call."""

    @classmethod
    @override
    def build(
        cls, given: TriggerInput, context: TriggerContext
    ) -> tuple[Self | None, list[Problem]]:
        """Return the configuration with what is sent to the server, or None and every problem."""
        built, problems = super().build(given, context)
        if built is not None:
            built = built.model_copy(update={"forwarded": forwarded(given.metadata, given.env)})
        return built, problems

    @classmethod
    @override
    def unexpected_parameters(cls, metadata: Mapping[str, str]) -> tuple[str, ...]:
        """Return nothing: whatever else there is, the server may read."""
        del metadata
        return ()

    def endpoint(self) -> Endpoint:
        """Return the server; TLS as KEDA decides on it."""
        has_tls = self.enable_tls or bool(self.client_certificate) or bool(self.ca_cert)
        if not has_tls:
            return Endpoint(address=self.scaler_address)
        tls = TlsSettings.of(
            ca=self.ca_cert,
            certificate=self.client_certificate,
            key=self.client_key,
            verify=not self.unsafe_ssl,
        )
        return Endpoint(address=self.scaler_address, tls=tls)


def forwarded(metadata: Mapping[str, str], env: Mapping[str, str]) -> Entries:
    """Return the metadata as the server gets it.

    As KEDA sends it: a key ending in ``FromEnv`` carries the variable's value, and is left out when
    that is empty; authentication parameters never leave.
    """
    sent = {}
    for key, value in metadata.items():
        if not key.endswith(FROM_ENV):
            sent[key] = value
        elif found := env.get(value, ""):
            sent[key] = found
    return tuple(sorted(sent.items()))
