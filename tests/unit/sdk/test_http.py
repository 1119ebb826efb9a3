"""The shared HTTP client: mapping of failures, limits, credentials, TLS and tokens."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr

from autoscaler import __version__
from autoscaler.errors import MetricMalformed, MetricRejected, MetricUnavailable, TriggerConfigError
from autoscaler.sdk.auth import Credentials, HttpAuth, OAuth
from autoscaler.sdk.http import HttpClient, NoConnection, is_http_url, only_ok, shown_url
from autoscaler.sdk.tls import TlsSettings

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
TLS = Path(__file__).parents[2] / "data" / "tls"
CERT, KEY = (TLS / "cert.pem").read_text(), (TLS / "key.pem").read_text()


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve a handler on a free loopback port."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        scheme = "https" if tls else "http"
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def answering(status: int, body: str = "", **headers: str) -> Handler:
    """Return a handler that always answers the same."""

    async def handle(request: web.BaseRequest) -> web.Response:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=body, headers=fields)

    return handle


async def echo(request: web.BaseRequest) -> web.Response:
    """Answer what was asked."""
    return web.json_response({"path": request.raw_path, "headers": dict(request.headers)})


async def test_the_request_is_sent_as_written() -> None:
    """Escapes stay as they are, illegal characters are escaped, and we say who we are."""
    async with serving(echo) as url, HttpClient() as http:
        answer = await http.get(f"{url}//a%2Bb/ü?q=%7Bx%7D&r=a b", headers={"X-Own": "1"})
    assert b"//a%2Bb/%C3%BC?q=%7Bx%7D&r=a%20b" in answer.body
    assert f"flyball/{__version__}".encode() in answer.body
    assert b"X-Own" in answer.body


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, MetricRejected),
        (400, MetricRejected),
        (401, MetricRejected),
        (403, MetricRejected),
        (404, MetricRejected),
        (429, MetricUnavailable),
        (500, MetricUnavailable),
        (503, MetricUnavailable),
    ],
)
async def test_a_refusing_status_is_an_error(status: int, error: type[Exception]) -> None:
    """Each status becomes the error that says who has to act, with the source's own words."""
    async with serving(answering(status, "because of\n\n reasons")) as url, HttpClient() as http:
        with pytest.raises(error, match=f"status {status}: because of reasons"):
            await http.get(url)


async def test_only_ok_refuses_other_successes() -> None:
    """A source may insist on 200."""
    async with serving(answering(201, "1")) as url, HttpClient() as http:
        assert (await http.get(url)).body == b"1"
        with pytest.raises(MetricRejected, match="status 201"):
            await http.get(url, accepts=only_ok)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": "999999999999"}, 3600.0),
        ({"Retry_After": "soon"}, None),
        ({}, None),
        (
            {
                "Retry_After": "Wed, 21 Oct 2026 07:28:30 GMT",
                "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            30.0,
        ),
    ],
)
async def test_the_servers_wish_to_wait_is_kept(
    headers: dict[str, str], seconds: float | None
) -> None:
    """Retry-After in seconds or as a date relative to the server's own clock."""
    async with serving(answering(503, **headers)) as url, HttpClient() as http:
        with pytest.raises(MetricUnavailable) as caught:
            await http.get(url)
    assert caught.value.retry_after_seconds == seconds


async def test_a_huge_answer_is_cut_off() -> None:
    """A body over the limit is an error before it fills the memory, compressed ones included."""

    async def bomb(request: web.BaseRequest) -> web.Response:
        response = web.Response(body=b"0" * 5_000_000)
        response.enable_compression()
        return response

    async with serving(bomb) as url, HttpClient(body_limit=100_000) as http:
        with pytest.raises(MetricMalformed, match="larger than 100000 bytes"):
            await http.get(url)


async def test_nobody_listening_is_told_apart() -> None:
    """A refused connection is the error that stands for the whole source."""
    async with serving(echo) as url:
        pass
    async with HttpClient() as http:
        with pytest.raises(NoConnection, match="cannot connect"):
            await http.get(url)


async def test_each_request_has_a_deadline() -> None:
    """A silent source costs the request's timeout, not more."""
    done = asyncio.Event()

    async def silent(request: web.BaseRequest) -> web.Response:
        await done.wait()
        return web.Response()

    async with serving(silent) as url, HttpClient() as http:
        with pytest.raises(MetricUnavailable, match=r"within 0\.05 s"):
            await http.get(url, timeout_seconds=0.05)
        done.set()


@pytest.mark.parametrize(
    "url", ["", "here", "ftp://x/", "http://", "http://x:99999/", "http://[x/"]
)
async def test_an_address_that_is_none_is_refused(url: str) -> None:
    """What cannot be an http address is rejected, not retried as unavailable."""
    async with HttpClient() as http:
        with pytest.raises(MetricRejected):
            await http.get(url)


async def test_secrets_are_blanked_in_the_sources_words() -> None:
    """A source that repeats the token in its refusal does not make us repeat it."""
    auth = HttpAuth.parse({"authModes": "bearer"}, {"token": "tok-12345"})

    async def repeat(request: web.BaseRequest) -> web.Response:
        return web.Response(status=403, text=f"no: {request.headers['Authorization']}")

    async with serving(repeat) as url, HttpClient() as http:
        with pytest.raises(MetricRejected) as caught:
            await http.get(url, credentials=auth.credentials())
    assert "tok-12345" not in str(caught.value)
    assert "***" in str(caught.value)


def test_a_shown_address_has_no_credentials_and_no_query() -> None:
    """Messages show where, never as whom or with which key."""
    assert shown_url("https://user:pw@host:8443/a/b?key=s3cret") == "https://host:8443/a/b"
    assert is_http_url("HTTPS://x/")
    assert not is_http_url("x:80")


@pytest.mark.parametrize(
    ("metadata", "auth", "header", "value"),
    [
        ({"authModes": "bearer"}, {"bearerToken": "t"}, "Authorization", "Bearer t"),
        (
            {"authMode": "basic"},
            {"username": "u", "password": "p"},
            "Authorization",
            "Basic " + base64.b64encode(b"u:p").decode(),
        ),
        ({"authModes": "apiKey"}, {"apiKey": "k"}, "X-API-KEY", "k"),
        ({"authModes": "apiKey", "keyParamName": "X-K"}, {"apiKey": "k"}, "X-K", "k"),
        (
            {"authModes": "custom"},
            {"customAuthHeader": "X-Me", "customAuthValue": "v"},
            "X-Me",
            "v",
        ),
    ],
)
async def test_each_mode_sends_its_header(
    metadata: dict[str, str], auth: dict[str, str], header: str, value: str
) -> None:
    """Every authentication mode a trigger chooses is applied."""
    credentials = HttpAuth.parse(metadata, auth).credentials()
    assert [(n, v.get_secret_value()) for n, v in credentials.headers] == [(header, value)]


async def test_an_api_key_can_travel_in_the_query() -> None:
    """The key is appended to the query string, escaped."""
    auth = HttpAuth.parse({"authModes": "apiKey", "method": "query"}, {"apiKey": "k 1"})
    async with serving(echo) as url, HttpClient() as http:
        answer = await http.get(f"{url}/?a=1", credentials=auth.credentials())
    assert b"?a=1&api_key=k+1" in answer.body


async def test_a_private_authority_is_trusted_when_given() -> None:
    """Without the authority's certificate the server is refused, with it it is not."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    async with serving(answering(200, "ok"), server) as url, HttpClient() as http:
        with pytest.raises(MetricUnavailable, match="certificate"):
            await http.get(url)
        answer = await http.get(url, credentials=Credentials(tls=TlsSettings(ca=CERT)))
    assert answer.body == b"ok"


async def test_unsafe_ssl_holds_together_with_a_client_certificate() -> None:
    """Skipping the check of the server works although own certificates are configured."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=CERT)
    server.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    server.verify_mode = ssl.CERT_REQUIRED
    auth = HttpAuth.parse({"authModes": "tls"}, {"cert": CERT, "key": KEY})
    async with serving(answering(200, "ok"), server) as url, HttpClient() as http:
        answer = await http.get(url, credentials=auth.credentials(unsafe_ssl=True))
        with pytest.raises(MetricUnavailable):
            await http.get(url, credentials=Credentials(tls=TlsSettings(verify=False)))
    assert answer.body == b"ok"


@pytest.mark.parametrize("auth", [{"cert": "ceert", "key": "keey"}, {"cert": CERT, "key": "k"}])
async def test_a_certificate_that_is_none_is_refused(auth: dict[str, str]) -> None:
    """Broken PEM is reported as such, without the key in the message."""
    credentials = HttpAuth.parse({"authModes": "tls"}, auth).credentials()
    async with HttpClient() as http:
        with pytest.raises(MetricRejected, match="cert and key"):
            await http.get("https://127.0.0.1:9/", credentials=credentials)


class TokenServer:
    """A token endpoint and an API behind it."""

    def __init__(self, *, lifetime: object = 3600, form_only: bool = False) -> None:
        self.issued = 0
        self.revoked = False
        self._lifetime = lifetime
        self._form_only = form_only
        self.forms: list[str] = []

    async def handle(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/token":
            form = (await request.read()).decode()
            self.forms.append(form)
            if self._form_only and "client_secret" not in form:
                return web.json_response({"error": "invalid_client"}, status=401)
            self.issued += 1
            return web.json_response(
                {"access_token": f"token-{self.issued}", "expires_in": self._lifetime}
            )
        token = request.headers.get("Authorization")
        if token != f"Bearer token-{self.issued}" or self.revoked:
            self.revoked = False
            return web.Response(status=401)
        return web.Response(text="ok")


def grant(url: str) -> Credentials:
    """Return credentials that need a token of the server."""
    return Credentials(
        oauth=OAuth(f"{url}/token", "me", SecretStr("pass word"), ("a", "b"), (("aud", "x"),))
    )


async def test_a_token_is_fetched_once_for_concurrent_requests() -> None:
    """Requests share one token; the grant carries scopes and further fields."""
    server = TokenServer()
    async with serving(server.handle) as url, HttpClient() as http, asyncio.TaskGroup() as group:
        tasks = [group.create_task(http.get(url, credentials=grant(url))) for _ in range(5)]
        for task in tasks:
            assert (await task).body == b"ok"
    assert server.issued == 1
    assert server.forms == ["grant_type=client_credentials&aud=x&scope=a+b"]


async def test_an_expired_token_is_replaced() -> None:
    """A token is not used in its last seconds."""
    server = TokenServer(lifetime="5")
    async with serving(server.handle) as url, HttpClient() as http:
        for _ in range(2):
            await http.get(url, credentials=grant(url))
    assert server.issued == 2


async def test_a_revoked_token_is_replaced_on_the_next_request() -> None:
    """A refused token is an error once and forgotten."""
    server = TokenServer()
    async with serving(server.handle) as url, HttpClient() as http:
        await http.get(url, credentials=grant(url))
        server.revoked = True
        with pytest.raises(MetricRejected):
            await http.get(url, credentials=grant(url))
        await http.get(url, credentials=grant(url))
    assert server.issued == 2


async def test_a_server_that_wants_the_secret_in_the_form_gets_it() -> None:
    """The second way of RFC 6749 is tried when the first is refused."""
    server = TokenServer(form_only=True)
    async with serving(server.handle) as url, HttpClient() as http:
        await http.get(url, credentials=grant(url))
    assert "client_secret=pass+word" in server.forms[-1]


async def test_an_answer_without_token_is_an_error() -> None:
    """A token endpoint that answers anything else gives no access."""
    async with serving(answering(200, "{}")) as url, HttpClient() as http:
        with pytest.raises(MetricMalformed, match="access token"):
            await http.get(url, credentials=grant(url))


@pytest.mark.parametrize(
    ("metadata", "auth", "missing"),
    [
        ({"authModes": "bearer"}, {}, {"bearerToken"}),
        ({"authModes": "basic"}, {"password": "x"}, {"username"}),
        ({"authModes": "tls,apiKey"}, {"cert": "c"}, {"key", "apiKey"}),
        ({"authModes": "custom"}, {"customAuthHeader": "h"}, {"customAuthValue"}),
        ({"authModes": "oauth"}, {"clientID": "c"}, {"oauthTokenURI", "clientSecret"}),
        ({"authModes": "bearer,basic"}, {"token": "t", "username": "u"}, {"authModes"}),
        ({"authModes": "magic"}, {}, {"authModes"}),
    ],
)
def test_a_mode_without_its_parameters_is_refused(
    metadata: dict[str, str], auth: dict[str, str], missing: set[str]
) -> None:
    """Choosing a mode requires what it needs, and modes that exclude each other are refused."""
    with pytest.raises(TriggerConfigError) as caught:
        HttpAuth.parse(metadata, auth)
    assert {name for name, _ in caught.value.problems} == missing
