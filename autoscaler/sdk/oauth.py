"""OAuth 2.0 client-credentials tokens: fetched once, kept until shortly before they expire."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from autoscaler.errors import MetricMalformed, MetricRejected
from autoscaler.sdk.auth import Credentials, OAuth, basic_header
from autoscaler.sdk.tls import TlsSettings

EXPIRY_MARGIN_SECONDS: Final = 10.0
DEFAULT_LIFETIME_SECONDS: Final = 300.0
"""Assumed when the server does not say how long a token lives."""
TOKEN_LIMIT: Final = 256

FetchToken = Callable[[str, Mapping[str, str], Credentials], Awaitable[bytes]]
"""``(url, form, credentials) -> body``; raises MetricError."""


class _TokenAnswer(msgspec.Struct):
    access_token: str
    expires_in: float | str | None = None


class _Slot:
    """One grant's token and the lock that makes its fetch single-flight."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.token = ""
        self.expires_at = 0.0


class TokenCache:
    """Tokens by grant; the least recently used are dropped.

    Args:
        fetch: Sends the form to a token endpoint.
    """

    def __init__(self, fetch: FetchToken) -> None:
        self._fetch = fetch
        self._slots: OrderedDict[tuple[OAuth, TlsSettings], _Slot] = OrderedDict()

    async def token(self, oauth: OAuth, tls: TlsSettings) -> str:
        """Return a valid access token, fetching one when needed.

        Raises:
            MetricError: The token endpoint does not answer, refuses, or answers no token.
        """
        key = (oauth, tls)
        slot = self._slots.setdefault(key, _Slot())
        self._slots.move_to_end(key)
        while len(self._slots) > TOKEN_LIMIT:
            self._slots.popitem(last=False)
        async with slot.lock:
            now = asyncio.get_running_loop().time()
            if now >= slot.expires_at:
                answer = await self._ask(oauth, tls)
                slot.token = answer.access_token
                slot.expires_at = now + _lifetime_seconds(answer) - EXPIRY_MARGIN_SECONDS
            return slot.token

    def forget(self, oauth: OAuth, tls: TlsSettings) -> None:
        """Drop a token the source refused."""
        self._slots.pop((oauth, tls), None)

    async def _ask(self, oauth: OAuth, tls: TlsSettings) -> _TokenAnswer:
        form = {"grant_type": "client_credentials", **dict(oauth.parameters)}
        if oauth.scopes:
            form["scope"] = " ".join(oauth.scopes)
        header = ("Authorization", basic_header(oauth.client_id, oauth.client_secret))
        secrets = (oauth.client_secret,)
        try:
            body = await self._fetch(
                oauth.token_url, form, Credentials(headers=(header,), tls=tls, secrets=secrets)
            )
        except MetricRejected:
            # Some servers take the client's credentials in the form only (RFC 6749, 2.3.1).
            form["client_id"] = oauth.client_id
            form["client_secret"] = oauth.client_secret.get_secret_value()
            body = await self._fetch(oauth.token_url, form, Credentials(tls=tls, secrets=secrets))
        try:
            return msgspec.json.decode(body, type=_TokenAnswer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise MetricMalformed(
                f"oauthTokenURI: the answer holds no access token: {error}"
            ) from None


def _lifetime_seconds(answer: _TokenAnswer) -> float:
    try:
        return float(answer.expires_in or DEFAULT_LIFETIME_SECONDS)
    except ValueError:
        return DEFAULT_LIFETIME_SECONDS
