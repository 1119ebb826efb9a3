"""Keeps a store equal to the API server: a paged list, then a watch, for ever."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Generic, TypeVar

import msgspec

from autoscaler.kube.codec import HasMetadata
from autoscaler.kube.resources import Resource
from autoscaler.kube.store import Store
from autoscaler.kube.transport import KubeClient

T = TypeVar("T", bound=HasMetadata)


class Reflector(Generic[T]):
    """Lists and watches one resource into a store.

    Args:
        client: Connection.
        resource: What to watch.
        store: What to keep current.
        decode: From JSON to the object; an object it refuses is logged and left out.
        namespace: None = all namespaces.
        label_selector: Only objects matching it, textual form.
        field_selector: Likewise by field.
        rng: For jitter.
    """

    def __init__(
        self,
        client: KubeClient,
        resource: Resource,
        store: Store[T],
        *,
        decode: Callable[[bytes | msgspec.Raw], T],
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        rng: Random | None = None,
    ) -> None:
        raise NotImplementedError

    async def run(self) -> None:
        """List and watch until cancelled; never returns, never raises KubeError."""
        raise NotImplementedError
