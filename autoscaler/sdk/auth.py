"""The authentication block many HTTP-based triggers share (``authModes`` and its parameters)."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from pydantic import SecretStr
from typing_extensions import override

from autoscaler.sdk.config import AUTH, METADATA, Param, Problem, TriggerConfig
from autoscaler.sdk.scaler import TriggerContext
from autoscaler.sdk.tls import TlsSettings

REDACTED: Final = "***"
_SHORTEST_SECRET: Final = 4
"""Shorter secrets are not searched for in messages: blanking every ``a`` would help nobody."""


class AuthMode(StrEnum):
    """Ways to authenticate; several may be combined, except bearer, basic and oauth."""

    API_KEY = "apiKey"
    BASIC = "basic"
    TLS = "tls"
    BEARER = "bearer"
    CUSTOM = "custom"
    OAUTH = "oauth"


EXCLUSIVE: Final = (AuthMode.BEARER, AuthMode.BASIC, AuthMode.OAUTH)


class HttpAuth(TriggerConfig):
    """Who a trigger is towards an HTTP source."""

    modes: Annotated[
        tuple[AuthMode, ...],
        Param("authModes", "authMode", order=(METADATA, AUTH), doc="Ways to authenticate."),
    ] = ()
    bearer_token: Annotated[
        SecretStr | None, Param("bearerToken", "token", order=(AUTH,), doc="For bearer.")
    ] = None
    username: Annotated[str, Param("username", order=(AUTH,), doc="For basic.")] = ""
    password: Annotated[SecretStr | None, Param("password", order=(AUTH,), doc="For basic.")] = None
    ca: Annotated[
        str, Param("ca", order=(AUTH,), doc="Certificates to trust, PEM; with any mode.")
    ] = ""
    cert: Annotated[str, Param("cert", order=(AUTH,), doc="Client certificate, PEM, for tls.")] = ""
    key: Annotated[
        SecretStr | None, Param("key", order=(AUTH,), doc="Key of the client certificate, PEM.")
    ] = None
    custom_header: Annotated[str, Param("customAuthHeader", order=(AUTH,), doc="For custom.")] = ""
    custom_value: Annotated[
        SecretStr | None, Param("customAuthValue", order=(AUTH,), doc="For custom.")
    ] = None
    api_key: Annotated[
        SecretStr | None, Param("apiKey", order=(METADATA, AUTH), doc="For apiKey.")
    ] = None
    method: Annotated[
        Literal["header", "query"],
        Param("method", order=(METADATA, AUTH), doc="Where the API key goes."),
    ] = "header"
    key_name: Annotated[
        str,
        Param(
            "keyParamName",
            order=(METADATA, AUTH),
            doc="Name of the header (X-API-KEY) or query parameter (api_key) of the API key.",
        ),
    ] = ""
    token_url: Annotated[
        str, Param("oauthTokenURI", order=(AUTH,), endpoint="url", doc="Token endpoint, for oauth.")
    ] = ""
    client_id: Annotated[str, Param("clientID", order=(AUTH,), doc="For oauth.")] = ""
    client_secret: Annotated[
        SecretStr | None, Param("clientSecret", order=(AUTH,), doc="For oauth.")
    ] = None
    scopes: Annotated[
        tuple[str, ...], Param("scopes", "scope", order=(AUTH,), doc="For oauth.")
    ] = ()
    token_parameters: Annotated[
        dict[str, str] | None,
        Param(
            "endpointParams",
            order=(AUTH,),
            url_encoded=True,
            doc="More form fields for the token endpoint, for oauth.",
        ),
    ] = None

    @override
    def check(self, context: TriggerContext) -> Iterable[Problem]:
        """Yield what the chosen modes lack."""
        exclusive = [mode for mode in EXCLUSIVE if mode in self.modes]
        if len(exclusive) > 1:
            yield "authModes", f"{' and '.join(exclusive)} exclude each other; give one of them"
        for name, mode, value in (
            ("apiKey", AuthMode.API_KEY, self.api_key),
            ("bearerToken", AuthMode.BEARER, self.bearer_token),
            ("username", AuthMode.BASIC, self.username),
            ("cert", AuthMode.TLS, self.cert),
            ("key", AuthMode.TLS, self.key),
            ("customAuthHeader", AuthMode.CUSTOM, self.custom_header),
            ("customAuthValue", AuthMode.CUSTOM, self.custom_value),
            ("oauthTokenURI", AuthMode.OAUTH, self.token_url),
            ("clientID", AuthMode.OAUTH, self.client_id),
            ("clientSecret", AuthMode.OAUTH, self.client_secret),
        ):
            if mode in self.modes and not value:
                yield name, f"is required with authModes {mode}; give it in the authentication"

    def credentials(self, *, unsafe_ssl: bool = False) -> Credentials:
        """Return what a request has to carry; only the chosen modes count.

        Args:
            unsafe_ssl: Accept any server certificate.
        """
        headers: list[tuple[str, SecretStr]] = []
        query: list[tuple[str, SecretStr]] = []
        if AuthMode.BEARER in self.modes and self.bearer_token:
            headers.append(("Authorization", _derived("Bearer ", self.bearer_token)))
        if AuthMode.BASIC in self.modes:
            headers.append(("Authorization", basic_header(self.username, self.password)))
        if AuthMode.CUSTOM in self.modes and self.custom_value:
            headers.append((self.custom_header, self.custom_value))
        if AuthMode.API_KEY in self.modes and self.api_key:
            if self.method == "query":
                query.append((self.key_name or "api_key", self.api_key))
            else:
                headers.append((self.key_name or "X-API-KEY", self.api_key))
        has_client_certificate = AuthMode.TLS in self.modes
        return Credentials(
            headers=tuple(headers),
            query=tuple(query),
            tls=TlsSettings.of(
                ca=self.ca,
                certificate=self.cert if has_client_certificate else "",
                key=self.key if has_client_certificate else None,
                verify=not unsafe_ssl,
            ),
            oauth=self._oauth(),
            secrets=tuple(
                secret
                for secret in (
                    self.bearer_token,
                    self.password,
                    self.custom_value,
                    self.api_key,
                    self.client_secret,
                )
                if secret is not None
            ),
        )

    def _oauth(self) -> OAuth | None:
        if AuthMode.OAUTH not in self.modes or self.client_secret is None:
            return None
        return OAuth(
            token_url=self.token_url,
            client_id=self.client_id,
            client_secret=self.client_secret,
            scopes=self.scopes,
            parameters=tuple(sorted((self.token_parameters or {}).items())),
        )


class OAuth(msgspec.Struct, frozen=True):
    """An OAuth 2.0 client-credentials grant."""

    token_url: str
    client_id: str
    client_secret: SecretStr
    scopes: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()


class Credentials(msgspec.Struct, frozen=True):
    """What a request has to carry; hashable, so that it can be part of a source key.

    Attributes:
        headers: Added to each request.
        query: Added to each request's query string.
        secrets: Texts that must not appear in a message.
    """

    headers: tuple[tuple[str, SecretStr], ...] = ()
    query: tuple[tuple[str, SecretStr], ...] = ()
    tls: TlsSettings = TlsSettings()
    oauth: OAuth | None = None
    secrets: tuple[SecretStr, ...] = ()

    def redact(self, text: str) -> str:
        """Return a source's text with every known secret blanked."""
        for secret in self._known():
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, REDACTED)
        return text

    def _known(self) -> Iterator[str]:
        for secret in (*self.secrets, *(value for _, value in (*self.headers, *self.query))):
            yield secret.get_secret_value()


ANONYMOUS: Final[Credentials] = Credentials()


def basic_header(username: str, password: SecretStr | None) -> SecretStr:
    """Return the value of an ``Authorization`` header for basic authentication."""
    plain = f"{username}:{password.get_secret_value() if password else ''}"
    return SecretStr("Basic " + base64.b64encode(plain.encode()).decode())


def _derived(prefix: str, secret: SecretStr) -> SecretStr:
    return SecretStr(prefix + secret.get_secret_value())
