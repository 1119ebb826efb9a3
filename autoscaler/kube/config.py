"""Where the API server is and how to prove who we are.

``kubernetes.aio`` does what it does well: kubeconfig files with all their login methods (tokens,
client certificates, exec plugins, OIDC), service accounts with rotating tokens, and TLS. Its import
costs some 25 MB, so it happens only when such a configuration is really loaded.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import msgspec
import yaml

from autoscaler.errors import ConfigError, shorten

SERVICE_ACCOUNT_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
LOGIN_SECONDS: Final = 60.0
"""An exec plugin may open a browser or ask a slow identity provider, but not for ever."""
RENEWAL_SECONDS_MIN: Final = 10.0
"""A server that rejects us for good must not make us log in for every request."""


class Endpoint(Protocol):
    """What the transport needs to know of an API server."""

    @property
    def server(self) -> str:
        """Base URL without trailing slash."""
        ...

    @property
    def namespace(self) -> str:
        """Namespace of the context or pod."""
        ...

    @property
    def tls(self) -> ssl.SSLContext | None:
        """For https; None for plain http."""
        ...

    @property
    def proxy(self) -> str | None:
        """Proxy URL of the kubeconfig or the environment, or None."""
        ...

    @property
    def tls_server_name(self) -> str | None:
        """Name to expect in the server's certificate if not its host name."""
        ...

    async def authorization(self) -> Mapping[str, str]:
        """Return the headers that authenticate a request; tokens are re-read when due.

        Raises:
            ConfigError: There is no token any more.
        """
        ...

    async def renew(self, rejected_at: float) -> bool:
        """Log in again after the server rejected a request; tells whether to try once more.

        Args:
            rejected_at: When the rejected request was built, ``loop.time()``.

        Raises:
            ConfigError: The login failed.
        """
        ...


class PlainEndpoint:
    """A server that wants no credentials: the embedded one, or a ``kubectl proxy``."""

    namespace = "default"
    tls: ssl.SSLContext | None = None
    tls_server_name: str | None = None

    def __init__(self, url: str) -> None:
        self.server = url.rstrip("/")
        self.proxy = environment_proxy(self.server)

    async def authorization(self) -> Mapping[str, str]:
        """Return no headers."""
        return {}

    async def renew(self, rejected_at: float) -> bool:  # noqa: ARG002 -- there is nothing to renew
        """Return False."""
        return False


class _Configuration(Protocol):
    """The part of ``kubernetes.aio.client.Configuration`` used here."""

    host: str
    proxy: str | None
    tls_server_name: str | None

    async def get_api_key_with_prefix(self, identifier: str) -> str | None: ...


class _Login(msgspec.Struct, frozen=True):
    configuration: _Configuration
    namespace: str


class _ConfiguredEndpoint:
    """A server configured through ``kubernetes.aio``.

    Logging in again reads the configuration anew, so it covers whatever may have expired: a token
    in a file, an exec plugin's token or certificate, a rewritten kubeconfig.
    """

    def __init__(self, login: _Login, log_in: Callable[[], Coroutine[Any, Any, _Login]]) -> None:
        self._log_in = log_in
        self._lock = asyncio.Lock()
        self._renewed_at: float | None = None
        self._take_over(login)

    def _take_over(self, login: _Login) -> None:
        self._configuration = login.configuration
        self.namespace = login.namespace
        self.server = login.configuration.host.rstrip("/")
        self.proxy = login.configuration.proxy or environment_proxy(self.server)
        self.tls_server_name = login.configuration.tls_server_name
        self.tls = _tls_of(login.configuration) if self.server.startswith("https") else None

    async def authorization(self) -> Mapping[str, str]:
        from kubernetes.aio.config import ConfigException

        try:
            key = await self._configuration.get_api_key_with_prefix("BearerToken")
        except (ConfigException, OSError) as exc:
            raise ConfigError(f"no token for {self.server}: {shorten(str(exc))}") from exc
        return {"Authorization": key.strip()} if key else {}

    async def renew(self, rejected_at: float) -> bool:
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if self._renewed_at is not None:
                if self._renewed_at > rejected_at:
                    return True
                if now - self._renewed_at < RENEWAL_SECONDS_MIN:
                    return False
            self._renewed_at = now
            self._take_over(await self._log_in())
            return True


def environment_proxy(url: str) -> str | None:
    """Return the proxy that ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` name for a URL.

    As with kubectl, a server on the same machine is never reached through a proxy.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "localhost" or _is_loopback(host) or proxy_bypass(host):
        return None
    return getproxies_environment().get(parts.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _tls_of(configuration: _Configuration) -> ssl.SSLContext:
    from kubernetes.aio.client.rest import RESTClientObject

    context: ssl.SSLContext = RESTClientObject(configuration).ssl_context
    return context


async def find_endpoint(
    kubeconfig: str | None, context: str | None, *, in_cluster: bool | None
) -> Endpoint:
    """Find the API server.

    The order is the usual one of controllers: an explicit kubeconfig, ``$KUBECONFIG``, the service
    account of the pod, ``~/.kube/config``.

    Args:
        kubeconfig: Path of a kubeconfig, or several as in ``$KUBECONFIG``.
        context: Name inside the kubeconfig; None = its current one.
        in_cluster: True = only the service account, False = never it.

    Raises:
        ConfigError: Nothing usable was found.
    """
    is_pod = bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
    paths = kubeconfig or os.environ.get("KUBECONFIG")
    if in_cluster or (in_cluster is None and not paths and context is None and is_pod):
        log_in = _from_service_account
    else:
        home = str(Path.home() / ".kube" / "config")
        log_in = partial(_from_kubeconfig, paths or home, context)
    return _ConfiguredEndpoint(await log_in(), log_in)


async def _from_service_account() -> _Login:
    from kubernetes.aio.client.configuration import Configuration
    from kubernetes.aio.config import ConfigException, load_incluster_config

    configuration = Configuration()
    try:
        load_incluster_config(client_configuration=configuration)
    except (ConfigException, OSError) as exc:
        raise ConfigError(
            f"no usable service account: {shorten(str(exc))}; run inside a pod with a mounted "
            "service account token, or name a kubeconfig"
        ) from exc
    try:
        namespace = SERVICE_ACCOUNT_NAMESPACE.read_text(encoding="utf-8").strip()
    except OSError:
        namespace = ""
    return _Login(configuration, namespace or "default")


async def _from_kubeconfig(paths: str, context: str | None) -> _Login:
    existing = _existing(paths)
    if not existing:
        raise ConfigError(
            f"no cluster configured: kubeconfig {shorten(paths)} does not exist and this process "
            "does not run in a pod; pass --kubeconfig or set KUBECONFIG"
        )
    from kubernetes.aio.client.configuration import Configuration
    from kubernetes.aio.config import ConfigException, load_kube_config

    configuration = Configuration()
    load: Callable[..., Coroutine[Any, Any, Any]] = load_kube_config
    try:
        async with asyncio.timeout(LOGIN_SECONDS):
            loader = await load(
                config_file=os.pathsep.join(existing),
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
        current = loader.current_context
    except TimeoutError as exc:
        raise ConfigError(
            f"kubeconfig {shorten(paths)}: the login took longer than {LOGIN_SECONDS:g} s"
        ) from exc
    except (
        ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError,
    ) as exc:  # fmt: skip
        wanted = f", context {context!r}" if context else ""
        raise ConfigError(f"kubeconfig {shorten(paths)}{wanted}: {shorten(str(exc))}") from exc
    return _Login(configuration, _namespace_of(current))


def _existing(paths: str) -> list[str]:
    return [p for p in paths.split(os.pathsep) if p and Path(p).expanduser().is_file()]


def _namespace_of(context: object) -> str:
    details = context.get("context") if isinstance(context, dict) else None
    namespace = details.get("namespace") if isinstance(details, dict) else None
    return namespace if isinstance(namespace, str) and namespace else "default"
