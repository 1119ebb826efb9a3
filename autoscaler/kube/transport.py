"""Bytes to the API server and back: one pooled session, limits, and errors in our own words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Self

import msgspec


class TransportLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what the client does and accepts.

    Attributes:
        queries_per_second: Requests in the long run; watches count once.
        burst: Requests at once.
        timeout_seconds: For one request, connecting and reading included.
        response_bytes: Longest answer.
        line_bytes: Longest line of a stream.
        connections: In parallel.
    """

    queries_per_second: float = 50.0
    burst: int = 100
    timeout_seconds: float = 15.0
    response_bytes: int = 64 * 1024 * 1024
    line_bytes: int = 16 * 1024 * 1024
    connections: int = 100


class KubeClient:
    """A connection to one API server; answers are raw bytes, errors are ``KubeError``.

    Nothing is retried here: only the caller knows whether a retry is safe.
    """

    @classmethod
    async def connect(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        *,
        in_cluster: bool | None = None,
        limits: TransportLimits = TransportLimits(),  # noqa: B008 -- frozen
    ) -> Self:
        """Return a client for a kubeconfig file or the cluster the process runs in.

        Args:
            kubeconfig: Path; None = ``$KUBECONFIG``, then the service account of the pod, then
                ``~/.kube/config``.
            context: Name inside the kubeconfig; None = its current one.
            in_cluster: True = only the service account, False = never it.
            limits: Bounds.

        Raises:
            ConfigError: No usable configuration, with the places looked at.
        """
        raise NotImplementedError

    @classmethod
    def for_url(cls, url: str, *, limits: TransportLimits = TransportLimits()) -> Self:  # noqa: B008
        """Return a client without credentials, for the embedded API server."""
        raise NotImplementedError

    @property
    def server(self) -> str:
        """Base URL."""
        raise NotImplementedError

    @property
    def namespace(self) -> str:
        """Namespace of the context or the pod, ``default`` when none is set."""
        raise NotImplementedError

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout_seconds: float | None = None,
    ) -> bytes:
        """Send one request and return the body of its 2xx answer.

        Args:
            method: ``GET``, ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
            path: Absolute, already quoted.
            params: Query parameters, unquoted.
            body: As sent.
            content_type: Of the body; decides how a PATCH is read.
            timeout_seconds: Instead of the client's.

        Raises:
            KubeError: By status (see ``errors``); ``Unreachable`` also when there is no answer.
        """
        raise NotImplementedError

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        inactivity_seconds: float = 75.0,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a GET whose answer is lines, and yield an iterator over them.

        Args:
            path: Absolute, already quoted.
            params: Query parameters, unquoted.
            inactivity_seconds: Silence after which the stream counts as dead.

        Raises:
            KubeError: When opening; while iterating ``Unreachable`` on silence or a broken
                connection, and ``Invalid`` on a line longer than the limit.
        """
        raise NotImplementedError
        yield

    async def close(self) -> None:
        """Close the connections."""
        raise NotImplementedError
