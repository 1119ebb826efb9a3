"""Reflectors started when first needed, one per resource (or per selector for pods)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from autoscaler.controller.target_pods import TargetPods, look_at
from autoscaler.errors import Forbidden, KubeError, Unreachable
from autoscaler.kube.autoscalers import AUTOSCALERS, Autoscaler, decode_autoscaler
from autoscaler.kube.codec import (
    CustomObject,
    HasMetadata,
    Workload,
    decode_custom,
    decode_workload,
)
from autoscaler.kube.jobs import NAME_LABEL, JobView, decode_job
from autoscaler.kube.pods import PodView, decode_pod
from autoscaler.kube.reflector import Reflector
from autoscaler.kube.resources import JOBS, PODS, Resource
from autoscaler.kube.store import Store
from autoscaler.kube.transport import KubeClient

T = TypeVar("T", bound=HasMetadata)
WorkloadListener = Callable[[Resource, str, bool], None]

SYNC_SECONDS: Final = 10.0


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
        self._reflectors: dict[Resource, Reflector[Any]] = {}
        self._custom: dict[Resource, Reflector[CustomObject]] = {}
        self._autoscalers: Reflector[Autoscaler] | None = None
        self._jobs: Reflector[JobView] | None = None
        self._workloads: dict[Resource, Store[Workload]] = {}
        self._pods: dict[tuple[str, str], tuple[Reflector[PodView], float]] = {}
        self._pod_tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._pod_users: dict[str, tuple[str, str]] = {}
        self._on_workload: list[WorkloadListener] = []

    async def run(self) -> None:
        """Keep all stores current until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for reflector in self._waiting:
                group.create_task(reflector.run(), name="watch")
            self._waiting.clear()
            await asyncio.Event().wait()

    def on_workload(self, listener: WorkloadListener) -> None:
        """Call ``listener(resource, key, has_new_template)`` when a watched workload changes."""
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

    def autoscalers(self) -> Store[Autoscaler]:
        """Return the store of HorizontalPodAutoscalers; watched from the first call on."""
        known = self._autoscalers
        if known is None:
            store: Store[Autoscaler] = Store(name=AUTOSCALERS.plural)
            known = self._autoscalers = self._reflector(AUTOSCALERS, store, decode_autoscaler)
            self._start(known)
        return known.store

    def jobs(self) -> Store[JobView]:
        """Return the store of all ScaledJobs' jobs; watched from the first call on."""
        if self._jobs is None:
            store: Store[JobView] = Store(name=JOBS.plural)
            self._jobs = self._reflector(JOBS, store, decode_job, label_selector=NAME_LABEL)
            self._start(self._jobs)
        return self._jobs.store

    def trouble(self, resource: Resource) -> KubeError | None:
        """Return why a watched resource may have changed without our knowing, else None."""
        stats = self._reflectors[resource].stats
        return stats.last_failure if stats.failing else None

    def is_listed(self, resource: Resource) -> bool:
        """Whether a watched resource has been listed; raises Forbidden when it must not be."""
        reflector = self._reflectors[resource]
        failure = reflector.stats.last_failure
        if not reflector.store.has_synced and isinstance(failure, Forbidden):
            raise Forbidden(str(failure), status=failure.status)
        return reflector.store.has_synced

    async def wait_listed(self, resource: Resource) -> None:
        """Wait until a watched resource has been listed.

        Raises:
            Forbidden: It must not be listed.
            Unreachable: It could not be listed in time.
        """
        if self.is_listed(resource):
            return
        reflector = self._reflectors[resource]
        try:
            async with asyncio.timeout(SYNC_SECONDS):
                await reflector.store.wait_synced()
        except TimeoutError:
            why = reflector.stats.last_error or "no answer"
            raise Unreachable(
                f"{resource.plural} could not be listed within {SYNC_SECONDS:g} s: {why}"
            ) from None

    def unsynced(self) -> list[tuple[Resource, str]]:
        """Return what has to be watched and is not listed yet, with the last error."""
        needed: dict[Resource, Reflector[Any]] = dict(self._custom)
        if self._autoscalers is not None:
            needed[AUTOSCALERS] = self._autoscalers
        return [
            (resource, reflector.stats.last_error)
            for resource, reflector in needed.items()
            if not reflector.store.has_synced
        ]

    def workloads(self, resource: Resource) -> Store[Workload]:
        """Return the store of a workload kind; watched from the first call on."""
        store = self._workloads.get(resource)
        if store is None:
            store = Store(name=resource.plural)
            store.on_change(partial(self._workload_changed, resource))
            self._workloads[resource] = store
            self._start(self._reflector(resource, store, decode_workload))
        return store

    def pods(self, user: str, namespace: str, selector: str) -> TargetPods:
        """Return what is known of a target's pods, watched until :meth:`release` by the last user.

        Args:
            user: Who wants to know.
            namespace: Of the pods.
            selector: That matches them, textual form.
        """
        wanted = (namespace, selector)
        if self._pod_users.get(user) != wanted:
            self.release(user)
            self._pod_users[user] = wanted
        now = asyncio.get_running_loop().time()
        known = self._pods.get(wanted)
        if known is None:
            known = self._pods[wanted] = (self._pod_reflector(namespace, selector), now)
            assert self._group is not None, "pods are only asked for by a running service"
            self._pod_tasks[wanted] = self._group.create_task(known[0].run(), name="watch-pods")
        reflector, wanted_at = known
        return look_at(reflector.store, reflector.stats, wanted_at=wanted_at, now=now)

    def release(self, user: str) -> None:
        """Note that an object no longer needs its target's pods."""
        held = self._pod_users.pop(user, None)
        if held is not None and held not in self._pod_users.values():
            del self._pods[held]
            self._pod_tasks.pop(held).cancel()

    def _pod_reflector(self, namespace: str, selector: str) -> Reflector[PodView]:
        return Reflector(
            self._client,
            PODS,
            Store(name=f"pods {namespace} {selector}"),
            decode=decode_pod,
            namespace=namespace,
            label_selector=selector,
            rng=self._rng,
        )

    def _workload_changed(
        self, resource: Resource, key: str, old: Workload | None, new: Workload | None
    ) -> None:
        is_new = old is None or new is None or old.spec.template != new.spec.template
        for listener in self._on_workload:
            listener(resource, key, is_new)

    def _reflector(
        self,
        resource: Resource,
        store: Store[T],
        decode: Callable[[bytes | msgspec.Raw], T],
        label_selector: str | None = None,
    ) -> Reflector[T]:
        reflector = Reflector(
            self._client,
            resource,
            store,
            decode=decode,
            namespace=self._namespace if resource.namespaced else None,
            label_selector=label_selector,
            rng=self._rng,
        )
        self._reflectors[resource] = reflector
        return reflector

    def _start(self, reflector: Reflector[Any]) -> None:
        if self._group is None:
            self._waiting.append(reflector)
        else:
            self._group.create_task(reflector.run(), name="watch")
