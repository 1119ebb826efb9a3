"""Parameters of external triggers, and what of them is sent to the server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Self

import msgspec
from pydantic import Field, SecretStr
from typing_extensions import override

from autoscaler.sdk import (
    AUTH,
    Destination,
    HostPort,
    Param,
    Problem,
    TlsSettings,
    TriggerConfig,
    TriggerContext,
    host_port,
    shorten,
)
from autoscaler.sdk.params import TriggerInput

FROM_ENV: Final = "FromEnv"

Entries = tuple[tuple[str, str], ...]
"""Key and value, in the order of the keys."""


PLAIN_TARGET: Final = "dns:///"
OTHER_TARGETS: Final = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "vsock:", "xds:")
"""Schemes of gRPC's other ways to name a server
(https://github.com/grpc/grpc/blob/master/doc/naming.md)."""
DEFAULT_PORT: Final = 443
"""gRPC's own for an address without one."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A server, and as whom it is called.

    Attributes:
        address: As written.
        server: What the address names; None = something only gRPC can look up.
        tls: None = plain text.
    """

    address: str
    server: HostPort | None
    tls: TlsSettings | None = None

    @property
    def target(self) -> str:
        """Return the address for gRPC, which would take ``dns:80`` for port-less host ``80``."""
        return self.address if self.server is None else f"{PLAIN_TARGET}{self.server}"


class ExternalConfig(TriggerConfig):
    """Parameters of an external trigger; every other key of the metadata is the server's."""

    scaler_address: Annotated[
        str, Param("scalerAddress", doc="Server, host:port or another gRPC target.")
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

    @override
    def check(self, context: TriggerContext) -> Iterable[Problem]:
        del context
        try:
            server = server_of(self.scaler_address)
        except ValueError as error:
            yield "scalerAddress", f'"{shorten(self.scaler_address, 80)}" {error}'
            return
        if server is None and self.unsafe_ssl and self._has_tls:
            yield (
                "scalerAddress",
                f'"{shorten(self.scaler_address, 80)}" must be host:port with unsafeSsl',
            )

    @override
    def destinations(self) -> tuple[Destination, ...]:
        """Return the server; gRPC's other targets may lead anywhere."""
        server = server_of(self.scaler_address)
        return (Destination(self.scaler_address, server.host if server else ""),)

    @property
    def _has_tls(self) -> bool:
        return self.enable_tls or bool(self.client_certificate) or bool(self.ca_cert)

    def endpoint(self) -> Endpoint:
        """Return the server; TLS as KEDA decides on it."""
        server = server_of(self.scaler_address)
        if not self._has_tls:
            return Endpoint(address=self.scaler_address, server=server)
        tls = TlsSettings.of(
            ca=self.ca_cert,
            certificate=self.client_certificate,
            key=self.client_key,
            verify=not self.unsafe_ssl,
        )
        return Endpoint(address=self.scaler_address, server=server, tls=tls)


def server_of(address: str) -> HostPort | None:
    """Return host and port of a gRPC target; None for one that names neither.

    Raises:
        ValueError: It is no target at all; the message says what is wrong.
    """
    plain = address.removeprefix(PLAIN_TARGET)
    try:
        found = host_port(plain)
    except ValueError as error:
        if plain == address and address.startswith(OTHER_TARGETS) and address.isprintable():
            return None
        what = "must be host:port, without a scheme" if "://" in plain else str(error)
        raise ValueError(what) from None
    return found._replace(port=found.port or DEFAULT_PORT)


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
