"""Secrets and ConfigMaps that triggers name, each watched by its own name.

Watching one object at a time needs no right to see any other one (RBAC's ``resourceNames`` apply to
a watch of a single name), and only its version is kept, never its content. Where the right to watch
is missing, or very many objects are named, what is not watched is looked up again every
``refresh_seconds`` as before.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Final

import structlog

from autoscaler.collect.entries import EntryReader, EntryRef
from autoscaler.errors import Forbidden
from autoscaler.kube.codec import Named, decode_name
from autoscaler.kube.reflector import Reflector
from autoscaler.kube.store import Store
from autoscaler.kube.transport import KubeClient

WATCHES_MAX: Final = 200
"""Each is a connection of its own."""
DENIED_SECONDS: Final = 300.0
"""How long a namespace whose objects must not be watched is not tried again."""

log = structlog.get_logger(__name__)


class ReferenceWatches:
    """Tells whose Secrets and ConfigMaps have changed.

    Args:
        client: Connection.
        entries: Reads them; a changed one is read anew.
        on_change: Called with the users of a changed one.
        rng: Jitter.
        limit: Watched at the same time.
    """

    def __init__(
        self,
        client: KubeClient,
        entries: EntryReader,
        *,
        on_change: Callable[[AbstractSet[str]], None],
        rng: random.Random,
        limit: int = WATCHES_MAX,
    ) -> None:
        self._client = client
        self._entries = entries
        self._on_change = on_change
        self._rng = rng
        self._limit = limit
        self._group: asyncio.TaskGroup | None = None
        self._users: dict[EntryRef, set[str]] = {}
        self._wanted: dict[str, frozenset[EntryRef]] = {}
        self._tasks: dict[EntryRef, asyncio.Task[None]] = {}
        self._denied_until: dict[tuple[str, str], float] = {}

    async def run(self) -> None:
        """Watch until cancelled (root task)."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                self._start_missing(self._users.keys())
                await asyncio.Event().wait()
            finally:
                self._group = None

    def want(self, user: str, refs: AbstractSet[EntryRef]) -> None:
        """Watch exactly these for a user from now on."""
        wanted, before = frozenset(refs), self._wanted.get(user, frozenset())
        for ref in before - wanted:
            users = self._users[ref]
            users.discard(user)
            if not users:
                del self._users[ref]
                self._stop(ref)
        for ref in wanted:
            self._users.setdefault(ref, set()).add(user)
        if wanted:
            self._wanted[user] = wanted
        else:
            self._wanted.pop(user, None)
        self._start_missing(wanted)

    def release(self, user: str) -> None:
        """Note that a user is gone."""
        self.want(user, frozenset())

    @property
    def watched(self) -> frozenset[EntryRef]:
        """What is watched right now."""
        return frozenset(self._tasks)

    def _start_missing(self, refs: AbstractSet[EntryRef]) -> None:
        group = self._group
        if group is None:
            return
        now = asyncio.get_running_loop().time()
        for ref in sorted(refs - self._tasks.keys(), key=lambda one: (one.namespace, one.name)):
            if now < self._denied_until.get((ref.resource.plural, ref.namespace), 0.0):
                continue
            if len(self._tasks) >= self._limit:
                log.info("reference_not_watched", name=ref.name, watched=self._limit)
                return
            self._tasks[ref] = group.create_task(self._follow(ref), name="watch-reference")

    def _stop(self, ref: EntryRef) -> None:
        task = self._tasks.pop(ref, None)
        if task is not None:
            task.cancel()

    async def _follow(self, ref: EntryRef) -> None:
        store: Store[Named] = Store(name=f"{ref.resource.plural} {ref.namespace}/{ref.name}")
        store.on_change(lambda _key, _old, new: self._seen(ref, new))
        reflector = Reflector(
            self._client,
            ref.resource,
            store,
            decode=decode_name,
            namespace=ref.namespace,
            field_selector=f"metadata.name={ref.name}",
            rng=self._rng,
            fatal=(Forbidden,),
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._check_absence(ref, store), name="check-absence")
                await reflector.run()
        except* Forbidden as refused:
            self._denied(ref, refused.exceptions[0])

    async def _check_absence(self, ref: EntryRef, store: Store[Named]) -> None:
        """Notice one that was deleted between the read and the first list."""
        await store.wait_synced()
        if not len(store):
            self._seen(ref, None)

    def _seen(self, ref: EntryRef, item: Named | None) -> None:
        version = item.metadata.resource_version if item else ""
        if self._entries.is_current(ref, version):
            return
        self._entries.forget(ref)
        users = self._users.get(ref)
        if users:
            self._on_change(frozenset(users))

    def _denied(self, ref: EntryRef, error: BaseException) -> None:
        """Leave the namespace's objects to the regular look-up."""
        where = (ref.resource.plural, ref.namespace)
        now = asyncio.get_running_loop().time()
        if now >= self._denied_until.get(where, 0.0):
            log.warning("references_not_watched", error=str(error), retry_seconds=DENIED_SECONDS)
        self._denied_until[where] = now + DENIED_SECONDS
        self._tasks.pop(ref, None)
