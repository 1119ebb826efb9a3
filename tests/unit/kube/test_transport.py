"""The transport: requests, streams, limits and errors."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from autoscaler.errors import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    KubeError,
    NotFound,
    TooManyRequests,
    Unreachable,
)
from autoscaler.kube.transport import KubeClient, TransportLimits
from tests.doubles.scripted_api import (
    Answer,
    Cut,
    Hang,
    ScriptedApi,
    refusal,
    reply,
    status_object,
)

pytestmark = pytest.mark.looptime


async def ask(
    api: ScriptedApi, method: str = "GET", path: str = "/api/v1/pods", **options: Any
) -> bytes:
    """Send one request to a scripted server."""
    limits = options.pop("limits", TransportLimits())
    async with api.serve():
        client = KubeClient.for_url(api.url, limits=limits)
        try:
            return await client.request(method, path, **options)
        finally:
            await client.close()


async def read_lines(
    api: ScriptedApi, *, inactivity_seconds: float = 60.0, **limits: Any
) -> tuple[list[bytes], KubeError | None]:
    """Read a stream to its end; returns the lines and the error that ended it."""
    lines: list[bytes] = []
    async with api.serve():
        client = KubeClient.for_url(api.url, limits=TransportLimits(**limits))
        try:
            async with client.stream("/watch", inactivity_seconds=inactivity_seconds) as stream:
                async for line in stream:
                    lines.append(line)  # noqa: PERF401 -- the lines before an error count
        except KubeError as exc:
            return lines, exc
        finally:
            await client.close()
    return lines, None


async def test_a_request_carries_its_parts_and_brings_bytes_back() -> None:
    """Method, path, query, body and content type arrive as given; the body comes back as it is."""
    api = ScriptedApi(Answer([b'{"kind":"Scale"}']))
    body = await ask(
        api,
        "PATCH",
        "/apis/apps/v1/namespaces/shop/deployments/web/scale",
        params={"fieldManager": "flyball", "labelSelector": "app in (a,b)"},
        body=b'{"spec":{}}',
        content_type="application/merge-patch+json",
    )
    asked = api.requests[0]
    assert body == b'{"kind":"Scale"}'
    assert api.asked == ["PATCH /apis/apps/v1/namespaces/shop/deployments/web/scale"]
    assert asked.query == {"fieldManager": "flyball", "labelSelector": "app in (a,b)"}
    assert asked.body == b'{"spec":{}}'
    assert asked.headers["Content-Type"] == "application/merge-patch+json"
    assert asked.headers["User-Agent"].startswith("flyball/")


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (400, "BadRequest", Invalid),
        (401, "Unauthorized", Forbidden),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (405, "MethodNotAllowed", KubeError),
        (409, "Conflict", Conflict),
        (410, "Expired", Gone),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", TooManyRequests),
        (500, "InternalError", Unreachable),
        (503, "ServiceUnavailable", Unreachable),
    ],
)
async def test_each_status_becomes_its_error(
    status: int, reason: str, expected: type[KubeError]
) -> None:
    """The error's class follows the status; reason, message and request are told."""
    with pytest.raises(KubeError) as caught:
        await ask(ScriptedApi(refusal(status, reason, "the server says why")))
    error = caught.value
    assert type(error) is expected
    assert (error.status, error.api_reason) == (status, reason)
    assert str(error) == f"GET /api/v1/pods: {status} {reason}: the server says why"


async def test_retry_after_is_kept_from_the_header() -> None:
    """A 429 carries the server's wish to its caller."""
    with pytest.raises(TooManyRequests) as caught:
        await ask(ScriptedApi(refusal(429, "TooManyRequests", "slow down", Retry_After="7")))
    assert caught.value.retry_after_seconds == 7.0


async def test_retry_after_is_kept_from_the_status_object() -> None:
    """A Status object without a header tells its wish too."""
    body = status_object(504, "Timeout", "later") | {"details": {"retryAfterSeconds": 2}}
    with pytest.raises(Unreachable) as caught:
        await ask(ScriptedApi(reply(body, 504)))
    assert caught.value.retry_after_seconds == 2.0


async def test_a_page_of_a_proxy_is_shortened() -> None:
    """An HTML error page is cut, and does not pass for a Status object."""
    page = b"<html>" + b"bad gateway " * 10_000 + b"</html>"
    with pytest.raises(Unreachable) as caught:
        await ask(ScriptedApi(Answer([page], status=502)))
    assert len(str(caught.value)) < 350
    assert caught.value.api_reason == ""


async def test_a_redirect_is_not_followed() -> None:
    """Credentials are never carried to another place."""
    moved = Answer(status=302, headers={"Location": "http://192.0.2.1/"})
    with pytest.raises(KubeError, match="302"):
        await ask(ScriptedApi(moved))


async def test_a_silent_server_is_given_up(looptime: Any) -> None:
    """A request without answer ends after its timeout."""
    with pytest.raises(Unreachable, match="no answer within 3 s"):
        await ask(ScriptedApi(Answer([Hang()])), timeout_seconds=3.0)
    assert looptime == 3.0


async def test_a_body_that_stops_in_the_middle_is_given_up(looptime: Any) -> None:
    """The timeout covers reading the body."""
    with pytest.raises(Unreachable, match="no answer within 15 s"):
        await ask(ScriptedApi(Answer([b'{"items":[', Hang()])))
    assert looptime == 15.0


async def test_a_broken_connection_is_unreachable() -> None:
    """A connection cut inside the body is an error, not half an answer."""
    with pytest.raises(Unreachable):
        await ask(ScriptedApi(Answer([b'{"items":[', Cut()])))


async def test_nobody_listening_is_unreachable(unused_tcp_port: int) -> None:
    """A refused connection becomes our error."""
    client = KubeClient.for_url(f"http://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(Unreachable) as caught:
        await client.request("GET", "/api")
    await client.close()
    assert caught.value.status == 0


async def test_a_huge_answer_is_refused() -> None:
    """More bytes than the limit are not taken into memory."""
    with pytest.raises(Invalid, match="longer than 1000 bytes"):
        await ask(ScriptedApi(Answer([b"x" * 5000])), limits=TransportLimits(response_bytes=1000))


async def test_requests_are_rate_limited(looptime: Any) -> None:
    """Beyond the burst, requests go out at the configured rate."""
    api = ScriptedApi(reply({}))
    async with api.serve():
        limits = TransportLimits(queries_per_second=2.0, burst=2)
        client = KubeClient.for_url(api.url, limits=limits)
        for _ in range(4):
            await client.request("GET", "/api")
        await client.close()
    assert looptime == pytest.approx(1.0, abs=0.01)


async def test_every_request_is_reported() -> None:
    """The observer learns verb, status and time of each request, 0 when nobody answered."""
    seen: list[tuple[str, int]] = []
    api = ScriptedApi(reply({}), refusal(404, "NotFound"), Answer([Hang()]))
    async with api.serve():
        client = KubeClient.for_url(
            api.url, on_request=lambda verb, status, _seconds: seen.append((verb, status))
        )
        await client.request("GET", "/api")
        with pytest.raises(NotFound):
            await client.request("DELETE", "/api")
        with pytest.raises(Unreachable):
            await client.request("POST", "/api", body=b"{}")
        await client.close()
    assert seen == [("GET", 200), ("DELETE", 404), ("POST", 0)]


async def test_lines_are_put_together_from_any_pieces() -> None:
    """However the bytes arrive, whole lines come out and blank ones are dropped."""
    api = ScriptedApi(Answer([b"on", 0.1, b"e\ntwo\n\nth", 0.1, b"r", 0.1, b"ee\n"]))
    assert await read_lines(api) == ([b"one", b"two", b"three"], None)


async def test_a_stream_that_ends_inside_a_line_is_an_error() -> None:
    """A truncated event is not delivered."""
    lines, error = await read_lines(ScriptedApi(Answer([b'one\n{"type":"ADD', 0.0])))
    assert lines == [b"one"]
    assert isinstance(error, Unreachable)
    assert "middle of a line" in str(error)


async def test_a_stream_that_breaks_is_an_error() -> None:
    """Lines before the break are delivered, then the break is told."""
    lines, error = await read_lines(ScriptedApi(Answer([b"one\n", 0.1, Cut()])))
    assert lines == [b"one"]
    assert isinstance(error, Unreachable)


async def test_a_stalled_stream_is_given_up(looptime: Any) -> None:
    """Silence of the inactivity time counts from the last byte."""
    lines, error = await read_lines(
        ScriptedApi(Answer([b"one\n", 20.0, b"two\n", Hang()])), inactivity_seconds=30.0
    )
    assert lines == [b"one", b"two"]
    assert isinstance(error, Unreachable)
    assert "silent for 30 s" in str(error)
    assert looptime == pytest.approx(50.0, abs=0.1)


async def test_an_endless_line_is_refused() -> None:
    """A line beyond the limit ends the stream instead of filling the memory."""
    lines, error = await read_lines(
        ScriptedApi(Answer([b"one\n", *[b"x" * 1000] * 50, 0.0, Hang()])), line_bytes=10_000
    )
    assert lines == [b"one"]
    assert isinstance(error, Invalid)


async def test_a_refused_stream_raises_on_opening() -> None:
    """An error status of a watch is raised before the first line."""
    _, error = await read_lines(ScriptedApi(refusal(410, "Expired", "too old")))
    assert isinstance(error, Gone)


async def test_a_stream_that_does_not_open_is_given_up(looptime: Any) -> None:
    """Opening has the timeout of a request."""
    _, error = await read_lines(ScriptedApi(Answer([Hang()])), timeout_seconds=4.0)
    assert isinstance(error, Unreachable)
    assert looptime == 4.0


async def test_leaving_a_stream_closes_its_connection() -> None:
    """A reader that leaves in the middle does not block the next request."""
    api = ScriptedApi(Answer([b"one\n", 0.1, Hang()]), reply({"ok": True}))
    async with api.serve():
        client = KubeClient.for_url(api.url, limits=TransportLimits(connections=1))
        async with client.stream("/watch") as stream:
            async for _ in stream:
                break
        assert await client.request("GET", "/api") == b'{"ok": true}'
        await client.close()


async def test_open_streams_leave_requests_their_connections() -> None:
    """However many watches are open, a request is not kept waiting by them."""
    watch = Answer([b"one\n", 0.1, Hang()])
    api = ScriptedApi(watch, watch, watch, reply({"ok": True}))
    async with api.serve(), AsyncExitStack() as open_streams:
        client = KubeClient.for_url(api.url, limits=TransportLimits(connections=1))
        for _ in range(3):
            stream = await open_streams.enter_async_context(client.stream("/watch"))
            assert await anext(aiter(stream)) == b"one"
        assert await client.request("GET", "/api") == b'{"ok": true}'
        await open_streams.aclose()
        await client.close()


async def test_cancelling_a_request_is_not_an_error() -> None:
    """A caller that is cancelled stays cancelled."""
    api = ScriptedApi(Answer([Hang()]))
    async with api.serve():
        client = KubeClient.for_url(api.url)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await client.request("GET", "/api")
        await client.close()


async def test_no_typed_model_is_imported(tmp_path: Path) -> None:
    """Connecting through a kubeconfig loads none of the client library's models."""
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "users: [{name: u, user: {token: t}}]\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\n"
    )
    script = (
        "import asyncio, sys\n"
        "from autoscaler.errors import Unreachable\n"
        "from autoscaler.kube.transport import KubeClient\n"
        "async def main():\n"
        "    client = await KubeClient.connect(sys.argv[1])\n"
        "    try:\n"
        "        await client.request('GET', '/api')\n"
        "    except Unreachable:\n"
        "        pass\n"
        "    await client.close()\n"
        "asyncio.run(main())\n"
        "models = [m for m in sys.modules if m.startswith(\n"
        "    ('kubernetes.aio.client.models.', 'kubernetes.client.models.'))]\n"
        "assert 'kubernetes.aio.config' in sys.modules\n"
        "sys.exit(f'imported {models[:3]}' if models else 0)\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(kubeconfig))
    assert await process.wait() == 0


async def test_the_embedded_server_needs_no_client_library() -> None:
    """A client for a plain URL does not import the Kubernetes client, which costs memory."""
    script = (
        "import sys\n"
        "from autoscaler.kube.transport import KubeClient\n"
        "KubeClient.for_url('http://127.0.0.1:1')\n"
        "sys.exit('kubernetes' in sys.modules)\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
    assert await process.wait() == 0
