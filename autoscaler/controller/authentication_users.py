"""Who uses an authentication: the names in the status of Cluster- and TriggerAuthentications.

KEDA's columns, kept as a whole: KEDA adds a name when it looks at an object and takes it away when
the object is deleted, so a name stays after the object stopped using the authentication. Here the
status always lists exactly the users there are.

Objects of ``keda.sh`` are written only where KEDA is gone: beside KEDA both would write.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import structlog

from autoscaler.collect.resolve import CLUSTER_KIND
from autoscaler.controller.objects import WatchKeda
from autoscaler.controller.settings import ControllerSettings
from autoscaler.controller.watches import Watches
from autoscaler.errors import Forbidden, Invalid, KubeError, NotFound
from autoscaler.kube.codec import CustomObject
from autoscaler.kube.resources import (
    CLUSTER_TRIGGER_AUTHENTICATIONS,
    FLYBALL_GROUP,
    SCALED_JOBS,
    SCALED_OBJECTS,
    TRIGGER_AUTHENTICATIONS,
    Resource,
    in_group,
)
from autoscaler.kube.status import write_status
from autoscaler.kube.store import Store
from autoscaler.kube.transport import KubeClient
from autoscaler.runtime.backoff import Backoff
from autoscaler.runtime.clock import Clock

GATHER_SECONDS: Final = 1.0
"""What changes within it is one write; after a start, that is everything."""
RETRY_SECONDS_MAX: Final = 60.0
NAMES_MAX: Final = 500
"""A status of some ten thousand bytes at the most; it is written whole at every change."""

log = structlog.get_logger(__name__)


class Authentication(NamedTuple):
    """One authentication; the namespace of a cluster-wide one is empty."""

    group: str
    namespace: str
    name: str

    @property
    def key(self) -> str:
        """Of the object in its store."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class AuthenticationUsers:
    """Keeps the names of its users in the status of every authentication.

    Args:
        client: Connection.
        watches: The scaling objects and the authentications.
        settings: Which objects of ``keda.sh`` are acted on, and in which namespace. Where only one
            is watched the users of a cluster-wide authentication are not all known, and nothing is
            written about them.
        clock: For the request.
        rng: Jitter of repetitions.
        gather_seconds: How long changes are collected before they are written.
    """

    def __init__(
        self,
        client: KubeClient,
        watches: Watches,
        *,
        settings: ControllerSettings,
        clock: Clock,
        rng: random.Random,
        gather_seconds: float = GATHER_SECONDS,
    ) -> None:
        self._client = client
        self._clock = clock
        self._gather_seconds = gather_seconds
        self._backoff = Backoff(rng, cap_seconds=RETRY_SECONDS_MAX)
        is_alone = settings.watch_keda is WatchKeda.ALL
        self._users: dict[Authentication, dict[tuple[str, str], str]] = {}
        self._due: dict[Authentication, None] = {}
        self._pending = asyncio.Event()
        self._kinds = [TRIGGER_AUTHENTICATIONS]
        if settings.namespace is None:
            self._kinds.append(CLUSTER_TRIGGER_AUTHENTICATIONS)
        self._stores: dict[Resource, Store[CustomObject]] = {}
        for group in settings.watch_keda.groups if is_alone else (FLYBALL_GROUP,):
            for kind in (SCALED_OBJECTS, SCALED_JOBS, *self._kinds):
                resource = in_group(kind, group)
                store = self._stores[resource] = watches.custom(resource)
                is_user = kind in (SCALED_OBJECTS, SCALED_JOBS)
                changed = self._user_changed if is_user else self._authentication_changed
                store.on_change(partial(changed, resource))

    async def run(self) -> None:
        """Write until cancelled (root task)."""
        async with asyncio.TaskGroup() as group:
            for resource in self._stores:
                if resource.plural in {SCALED_OBJECTS.plural, SCALED_JOBS.plural}:
                    group.create_task(self._look_once_listed(resource), name="authentication-users")
            while True:
                await self._pending.wait()
                await asyncio.sleep(self._gather_seconds)
                error = await self._write_due()
                if error is None:
                    self._backoff.reset()
                    continue
                now = asyncio.get_running_loop().time()
                await asyncio.sleep(
                    self._backoff.next_delay(now, at_least=error.retry_after_seconds or 0.0)
                )

    async def _look_once_listed(self, users: Resource) -> None:
        """Look at every authentication when the users of a kind are known: some may have none."""
        await self._stores[users].wait_synced()
        for kind in self._kinds:
            for item in self._stores[in_group(kind, users.group)]:
                self._want(_identity(users.group, item))

    async def _write_due(self) -> KubeError | None:
        """Write what is due, each once; return what kept something from being written."""
        due, self._due = self._due, {}
        self._pending.clear()
        failure: KubeError | None = None
        denied: set[tuple[str, str]] = set()
        for authentication in due:
            where = (authentication.group, authentication.namespace)
            # An API server in trouble is not asked for the others; a right is missing for all.
            if where in denied or not (failure is None or isinstance(failure, Forbidden)):
                self._want(authentication)
                continue
            try:
                await self._write(authentication)
            except NotFound:
                continue
            except Invalid as error:
                # The same words would be refused again.
                log.warning("users_refused", name=authentication.key, error=str(error))
            except KubeError as error:
                if failure is None:
                    log.warning("users_not_written", name=authentication.key, error=str(error))
                failure = error
                if isinstance(error, Forbidden):
                    denied.add(where)
                self._want(authentication)
        return failure

    async def _write(self, authentication: Authentication) -> None:
        is_cluster = not authentication.namespace
        kind = CLUSTER_TRIGGER_AUTHENTICATIONS if is_cluster else TRIGGER_AUTHENTICATIONS
        resource = in_group(kind, authentication.group)
        store = self._stores.get(resource)
        item = store.get(authentication.key) if store else None
        if store is None or item is None:
            return
        wanted = {
            field: self._names(authentication, users.plural)
            for field, users in (("scaledobjects", SCALED_OBJECTS), ("scaledjobs", SCALED_JOBS))
            if self._stores[in_group(users, authentication.group)].has_synced
        }
        written = await write_status(self._client, resource, item, wanted, at=self._clock.now())
        if written is not None:
            store.wrote(authentication.key, written.metadata.resource_version, written)

    def _names(self, authentication: Authentication, plural: str) -> str | None:
        users = self._users.get(authentication, {})
        # Two namespaces may have an object of the same name.
        names = sorted({name for (kind, _), name in users.items() if kind == plural})
        left = len(names) - NAMES_MAX
        return ",".join(names[:NAMES_MAX] + ([f"+{left} more"] if left > 0 else [])) or None

    def _user_changed(
        self, resource: Resource, key: str, old: CustomObject | None, new: CustomObject | None
    ) -> None:
        before = set(_used(resource.group, old)) if old else set()
        after = set(_used(resource.group, new)) if new else set()
        user = (resource.plural, key)
        for authentication in sorted(before - after):
            users = self._users[authentication]
            del users[user]
            if not users:
                del self._users[authentication]
        for authentication in sorted(after - before):
            self._users.setdefault(authentication, {})[user] = key.rpartition("/")[2]
        for authentication in sorted(before ^ after):
            self._want(authentication)

    def _authentication_changed(
        self, resource: Resource, _key: str, old: CustomObject | None, new: CustomObject | None
    ) -> None:
        if new is not None and (old is None or old.status != new.status):
            self._want(_identity(resource.group, new))

    def _want(self, authentication: Authentication) -> None:
        self._due[authentication] = None
        self._pending.set()


def _identity(group: str, item: CustomObject) -> Authentication:
    return Authentication(group, item.metadata.namespace, item.metadata.name)


def _used(group: str, item: CustomObject) -> Iterator[Authentication]:
    """Yield the authentications an object names; what is malformed names none."""
    for trigger in _items(_mapping(item.raw.get("spec")).get("triggers")):
        reference = _mapping(_mapping(trigger).get("authenticationRef"))
        name = reference.get("name")
        if isinstance(name, str) and name:
            is_cluster = reference.get("kind") == CLUSTER_KIND
            yield Authentication(group, "" if is_cluster else item.metadata.namespace, name)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _items(value: object) -> Iterable[Any]:
    return value if isinstance(value, list) else ()
