"""Reflectors started when first needed, one per resource (or per selector for pods)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from autoscaler.kube.codec import (
    CustomObject,
    HasMetadata,
    Workload,
    decode_custom,
    decode_workload,
)
from autoscaler.kube.pods import PodView, decode_pod
from autoscaler.kube.reflector import Reflector
from autoscaler.kube.resources import PODS, Resource
from autoscaler.kube.store import Store
from autoscaler.kube.transport import KubeClient

T = TypeVar("T", bound=HasMetadata)


class Watches:
    """Stores of everything the controller looks at, each kept current by its own task.

    Workload kinds are watched from their first use on. Pods are watched per selector, and only as
    long as some object needs them: a cluster has many pods, and few targets need theirs.
    """

    def __init__(self, client: KubeClient, *, namespace: str | None, rng: random.Random) -> None:
        self._client = client
        self._namespace = namespace
        self._rng = rng
        self._group: asyncio.TaskGroup | None = None
        self._waiting: list[Reflector[Any]] = []
        self._custom: dict[Resource, Reflector[CustomObject]] = {}
        self._workloads: dict[Resource, Store[Workload]] = {}
        self._pods: dict[tuple[str, str], Store[PodView]] = {}
        self._pod_tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._pod_users: dict[str, tuple[str, str]] = {}
        self._on_workload: list[Callable[[Resource, str], None]] = []

    async def run(self) -> None:
        """Keep all stores current until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for reflector in self._waiting:
                group.create_task(reflector.run(), name="watch")
            self._waiting.clear()
            await asyncio.Event().wait()

    def on_workload(self, listener: Callable[[Resource, str], None]) -> None:
        """Call ``listener(resource, key)`` whenever a watched workload changes."""
        self._on_workload.append(listener)

    def custom(self, resource: Resource) -> Store[CustomObject]:
        """Return the store of one of the service's own kinds; watched from the first call on."""
        known = self._custom.get(resource)
        if known is None:
            store: Store[CustomObject] = Store(name=resource.plural)
            known = self._reflector(resource, store, decode_custom)
            self._custom[resource] = known
            self._start(known)
        return known.store

    def unsynced(self) -> list[tuple[Resource, str]]:
        """Return the service's own kinds not listed yet, with the last error."""
        return [
            (resource, reflector.stats.last_error)
            for resource, reflector in self._custom.items()
            if not reflector.store.has_synced
        ]

    def workloads(self, resource: Resource) -> Store[Workload]:
        """Return the store of a workload kind; watched from the first call on."""
        store = self._workloads.get(resource)
        if store is None:
            store = Store(name=resource.plural)
            store.on_change(lambda key, _old, _new: self._workload_changed(resource, key))
            self._workloads[resource] = store
            self._start(self._reflector(resource, store, decode_workload))
        return store

    def pods(self, user: str, namespace: str, selector: str) -> Store[PodView]:
        """Return the store of a target's pods, watched until :meth:`release` by the last user."""
        wanted = (namespace, selector)
        if self._pod_users.get(user) != wanted:
            self.release(user)
            self._pod_users[user] = wanted
        store = self._pods.get(wanted)
        if store is None:
            store = self._pods[wanted] = Store(name=f"pods {namespace} {selector}")
            reflector = Reflector(
                self._client,
                PODS,
                store,
                decode=decode_pod,
                namespace=namespace,
                label_selector=selector,
                rng=self._rng,
            )
            assert self._group is not None, "pods are only asked for by a running service"
            self._pod_tasks[wanted] = self._group.create_task(reflector.run(), name="watch-pods")
        return store

    def release(self, user: str) -> None:
        """Note that an object no longer needs its target's pods."""
        held = self._pod_users.pop(user, None)
        if held is not None and held not in self._pod_users.values():
            del self._pods[held]
            self._pod_tasks.pop(held).cancel()

    def _workload_changed(self, resource: Resource, key: str) -> None:
        for listener in self._on_workload:
            listener(resource, key)

    def _reflector(
        self,
        resource: Resource,
        store: Store[T],
        decode: Callable[[bytes | msgspec.Raw], T],
    ) -> Reflector[T]:
        return Reflector(
            self._client,
            resource,
            store,
            decode=decode,
            namespace=self._namespace if resource.namespaced else None,
            rng=self._rng,
        )

    def _start(self, reflector: Reflector[Any]) -> None:
        if self._group is None:
            self._waiting.append(reflector)
        else:
            self._group.create_task(reflector.run(), name="watch")
