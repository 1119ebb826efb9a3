"""Finding the API server and logging in."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import certifi
import pytest
import yaml
from kubernetes.aio.config import incluster_config

from autoscaler.errors import ConfigError, Forbidden
from autoscaler.kube.config import PlainEndpoint, environment_proxy, find_endpoint
from autoscaler.kube.transport import KubeClient
from tests.doubles.scripted_api import Answer, ScriptedApi, refusal, reply

pytestmark = pytest.mark.looptime

Write = Callable[..., str]


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide whatever cluster the machine may know."""
    for variable in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def write_config(tmp_path: Path) -> Write:
    """Return ``write_config(server, user, namespace)``: the path of a kubeconfig with context c."""

    def write(
        server: str = "http://127.0.0.1:1",
        user: dict[str, Any] | None = None,
        namespace: str = "",
        name: str = "kubeconfig",
    ) -> str:
        context = {"cluster": "c", "user": "u"} | ({"namespace": namespace} if namespace else {})
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": user or {}}],
            "contexts": [{"name": "c", "context": context}],
        }
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
        return str(path)

    return write


async def test_a_kubeconfig_gives_server_namespace_and_token(write_config: Write) -> None:
    """The current context decides; its token authenticates requests."""
    path = write_config("http://127.0.0.1:7/", {"token": "t-1"}, namespace="shop")
    endpoint = await find_endpoint(path, None, in_cluster=None)
    assert endpoint.server == "http://127.0.0.1:7"
    assert endpoint.namespace == "shop"
    assert endpoint.tls is None
    assert await endpoint.authorization() == {"Authorization": "Bearer t-1"}


async def test_https_brings_a_tls_context(write_config: Write) -> None:
    """A server behind TLS is verified."""
    endpoint = await find_endpoint(write_config("https://127.0.0.1:7"), None, in_cluster=None)
    assert endpoint.tls is not None
    assert endpoint.tls.check_hostname


async def test_the_environment_names_a_kubeconfig(
    write_config: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``KUBECONFIG`` counts before the pod's service account."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBECONFIG", write_config("http://127.0.0.1:8"))
    assert (await find_endpoint(None, None, in_cluster=None)).server == "http://127.0.0.1:8"


async def test_the_file_in_the_home_directory_is_the_last_resort(write_config: Write) -> None:
    """Without anything else, the usual place is looked at."""
    write_config("http://127.0.0.1:9", name=".kube/config")
    assert (await find_endpoint(None, None, in_cluster=None)).server == "http://127.0.0.1:9"


async def test_nothing_configured_is_explained() -> None:
    """The error says where was looked and what to do."""
    with pytest.raises(ConfigError, match=r"no cluster configured.*\.kube/config.*--kubeconfig"):
        await find_endpoint(None, None, in_cluster=None)


async def test_an_unknown_context_is_named(write_config: Write) -> None:
    """A typo in the context is told, not answered with another cluster."""
    with pytest.raises(ConfigError, match="context 'nope'"):
        await find_endpoint(write_config(), "nope", in_cluster=None)


@pytest.mark.parametrize("text", ["", "{", "[]", "apiVersion: v1", "current-context: c"])
async def test_a_broken_kubeconfig_is_a_configuration_error(tmp_path: Path, text: str) -> None:
    """Whatever is wrong inside the file, the error names the file."""
    path = tmp_path / "broken"
    path.write_text(text)
    with pytest.raises(ConfigError, match="broken"):
        await find_endpoint(str(path), None, in_cluster=None)


async def test_a_pod_without_a_service_account_is_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Inside a pod without a token the error says so."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(ConfigError, match="no usable service account"):
        await find_endpoint(None, None, in_cluster=None)


async def test_the_service_account_of_the_pod_is_used_and_its_token_read_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Inside a pod, host and token come from the mounted account; a rotated token is picked up."""
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    authority.write_text(ssl.DER_cert_to_PEM_cert(a_certificate_authority()))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    endpoint = await find_endpoint(None, None, in_cluster=None)
    assert endpoint.server == "https://10.0.0.1:443"
    assert endpoint.namespace == "default"
    assert endpoint.tls is not None
    assert await endpoint.authorization() == {"Authorization": "bearer first"}
    token.write_text("second")
    assert await endpoint.renew(0.0)
    assert await endpoint.authorization() == {"Authorization": "bearer second"}


def a_certificate_authority() -> bytes:
    """Return one of the authorities this machine trusts."""
    return ssl.create_default_context(cafile=certifi.where()).get_ca_certs(binary_form=True)[0]


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://api.example.com:6443", "http://secure.example.com:3128"),
        ("http://api.example.com", "http://plain.example.com:3128"),
        ("https://api.internal.example.com", None),
        ("https://localhost:6443", None),
        ("http://127.0.0.1:8001", None),
        ("http://[::1]:8001", None),
    ],
)
async def test_proxies_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, url: str, proxy: str | None
) -> None:
    """They are used by scheme, except for exempt hosts and this machine itself."""
    monkeypatch.setenv("HTTPS_PROXY", "http://secure.example.com:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://plain.example.com:3128")
    monkeypatch.setenv("NO_PROXY", ".internal.example.com")
    assert environment_proxy(url) == proxy


async def test_requests_go_through_the_proxy_of_the_kubeconfig() -> None:
    """A proxy set for a cluster carries the request, whole address included."""
    proxy = ScriptedApi(reply({"via": "proxy"}))
    async with proxy.serve():
        endpoint = PlainEndpoint("http://api.example.com")
        endpoint.proxy = proxy.url
        client = KubeClient(endpoint)
        assert client.server == "http://api.example.com"
        assert client.namespace == "default"
        assert await client.request("GET", "/api") == b'{"via": "proxy"}'
        await client.close()
    assert proxy.requests[0].headers["Host"] == "api.example.com"


async def test_a_plain_endpoint_sends_no_credentials() -> None:
    """The embedded server is asked without login, and a login cannot be renewed."""
    endpoint = PlainEndpoint("http://127.0.0.1:5/")
    assert endpoint.server == "http://127.0.0.1:5"
    assert await endpoint.authorization() == {}
    assert not await endpoint.renew(0.0)


async def test_a_rejected_token_is_renewed_and_the_request_repeated(write_config: Write) -> None:
    """A 401 leads to one new login; the request then goes out with the new token."""
    api = ScriptedApi(reply({}), refusal(401, "Unauthorized"), reply({"ok": 1}))
    async with api.serve():
        path = write_config(api.url, {"token": "old"})
        client = await KubeClient.connect(path)
        await client.request("GET", "/api")
        write_config(api.url, {"token": "new"})
        assert await client.request("GET", "/api") == b'{"ok": 1}'
        await client.close()
    sent = [asked.headers["Authorization"] for asked in api.requests]
    assert sent == ["Bearer old", "Bearer old", "Bearer new"]


async def test_a_rotated_token_file_is_read_again(write_config: Write, tmp_path: Path) -> None:
    """A kubeconfig that names a file for its token: the old one is refused, the new one works."""
    api = ScriptedApi(reply({}), refusal(401, "Unauthorized"), reply({"ok": 1}))
    token = tmp_path / "token"
    token.write_text("old")
    async with api.serve():
        client = await KubeClient.connect(write_config(api.url, {"tokenFile": str(token)}))
        await client.request("GET", "/api")
        token.write_text("new")
        assert await client.request("GET", "/api") == b'{"ok": 1}'
        await client.close()
    assert [asked.headers["Authorization"] for asked in api.requests][-1] == "Bearer new"


async def test_a_refused_stream_is_opened_again_with_the_rotated_token(
    write_config: Write, tmp_path: Path
) -> None:
    """Watches follow a rotation as requests do."""
    api = ScriptedApi(refusal(401, "Unauthorized"), Answer([b"one\n"]))
    token = tmp_path / "token"
    token.write_text("old")
    async with api.serve():
        client = await KubeClient.connect(write_config(api.url, {"tokenFile": str(token)}))
        token.write_text("new")
        async with client.stream("/watch") as lines:
            assert [line async for line in lines] == [b"one"]
        await client.close()
    assert [asked.headers["Authorization"] for asked in api.requests][-1] == "Bearer new"


async def test_a_server_that_rejects_everything_is_not_stormed(write_config: Write) -> None:
    """A token that stays wrong is tried twice, then the login is left alone for a while."""
    api = ScriptedApi(refusal(401, "Unauthorized", "bad token"))
    async with api.serve():
        client = await KubeClient.connect(write_config(api.url, {"token": "wrong"}))
        for _ in range(3):
            with pytest.raises(Forbidden, match="bad token"):
                await client.request("GET", "/api")
            await asyncio.sleep(1)
        await client.close()
    assert len(api.requests) == 4


async def test_a_login_that_fails_later_is_an_error_of_the_request(write_config: Write) -> None:
    """When the kubeconfig is gone by the time it is needed again, the caller gets a KubeError."""
    api = ScriptedApi(refusal(401, "Unauthorized"))
    async with api.serve():
        path = write_config(api.url, {"token": "old"})
        client = await KubeClient.connect(path)
        await asyncio.to_thread(Path(path).unlink)
        with pytest.raises(Forbidden, match="login failed"):
            await client.request("GET", "/api")
        await client.close()


@pytest.mark.looptime(False)
async def test_an_exec_plugin_is_run(write_config: Write, tmp_path: Path) -> None:
    """A token may come from a program, as cloud providers do it."""
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "from-plugin"},
    }
    plugin = tmp_path / "plugin.py"
    plugin.write_text(f"print({json.dumps(json.dumps(credential))})")
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(plugin)],
        }
    }
    endpoint = await find_endpoint(write_config(user=user), None, in_cluster=None)
    assert await endpoint.authorization() == {"Authorization": "Bearer from-plugin"}
