"""The scaled objects of an episode, and what is done to them while the fault lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Final

from autoscaler.errors import Conflict, KubeError
from tests.e2e.objects import FLYBALL, Objects
from tests.servers import RedisServer

POLL_SECONDS: Final = 5.0
"""Polling interval of every object."""
ITEMS_PER_REPLICA: Final = 10
TIGHT_HIGH: Final = 4
COOLDOWN_SECONDS: Final = 1
AGAIN_SECONDS: Final = 0.1
# No window hides a decision made in error, and no rate a recovery.
AT_ONCE: Final = {
    "horizontalPodAutoscalerConfig": {
        "behavior": {
            "scaleUp": {"policies": [{"type": "Pods", "value": 100, "periodSeconds": 1}]},
            "scaleDown": {"stabilizationWindowSeconds": 0},
        }
    }
}
Action = Callable[[], Coroutine[Any, Any, None]]


class Subject:
    """A Deployment, its ScaledObject, and its list in Redis.

    Attributes:
        items: In the list.
        low: Least replicas.
        high: Most replicas.
        is_deleted: Its ScaledObject is; the Deployment stays.
        by_hand: Versions of the Deployment in which somebody else lowered it.
    """

    def __init__(self, name: str, *, low: int, high: int, items: int) -> None:
        self.name = name
        self.low = low
        self.high = high
        self.items = items
        self.is_deleted = False
        self.by_hand: set[str] = set()

    @property
    def wanted(self) -> int:
        """Replicas by the work there is."""
        return max(self.low, min(self.high, -(-self.items // ITEMS_PER_REPLICA)))


class Subjects:
    """Makes and changes subjects of one namespace, as their users would.

    Work never falls, so that no replica may, until :meth:`drop`.

    Args:
        objects: Of an administrator, straight to the API server.
        redis: Where the lists are.
        rng: The episode's.
    """

    def __init__(self, objects: Objects, redis: RedisServer, rng: Random) -> None:
        self.known: list[Subject] = []
        self._objects = objects
        self._redis = redis
        self._rng = rng
        self._made = 0

    async def create_first(self) -> None:
        """Make what is there before the fault: one of each shape, and some at random."""
        rng = self._rng
        shapes = [(0, 20, 0), (1, TIGHT_HIGH, 80), (1, 20, 10 * rng.randint(4, 9))]
        shapes += [self._shape() for _ in range(rng.randint(1, 2))]
        for low, high, items in shapes:
            await self._create(low, high, items)

    def plan(self) -> list[Action]:
        """Return what happens during the fault: always work and a new object, and some more."""
        rng = self._rng
        idle, tight, busy, *others = self.known
        idle_or_busy = rng.choice((idle, busy))
        actions: list[Action] = [
            lambda: self._raise(idle_or_busy),
            lambda: self._create(*self._shape()),
        ]
        more: list[Action] = [
            lambda: self._raise(busy),
            lambda: self._widen(tight),
            lambda: self._lower_by_hand(busy),
            lambda: self._delete(others[-1]),
            lambda: self._create(*self._shape()),
        ]
        actions += rng.sample(more, rng.randint(2, 4))
        rng.shuffle(actions)
        return actions

    def drop(self) -> None:
        """Take work away from everything, down to one replica each."""
        for subject in self.known:
            subject.items = min(subject.items, ITEMS_PER_REPLICA)
            self._redis.send("LTRIM", self._list(subject), "0", str(subject.items - 1))

    def tempt(self) -> None:
        """Add work to what is no longer scaled: nothing may come of it."""
        for subject in self.known:
            if subject.is_deleted:
                self._push(subject, 50)

    def _shape(self) -> tuple[int, int, int]:
        rng = self._rng
        return rng.randint(0, 1), 20, ITEMS_PER_REPLICA * rng.randint(0, 8)

    async def _create(self, low: int, high: int, items: int) -> None:
        subject = Subject(f"s{self._made}", low=low, high=high, items=0)
        self._made += 1
        self._push(subject, items)
        await _persist(lambda: self._objects.deploy(subject.name, low))
        metadata = {
            "address": self._redis.address,
            "listName": self._list(subject),
            "listLength": str(ITEMS_PER_REPLICA),
        }
        wanted = {
            "pollingInterval": round(POLL_SECONDS),
            "cooldownPeriod": COOLDOWN_SECONDS,
            "minReplicaCount": low,
            "maxReplicaCount": high,
            "advanced": AT_ONCE,
        }
        trigger = {"type": "redis", "metadata": metadata}
        await _persist(lambda: self._objects.scale_on(subject.name, trigger, **wanted))
        self.known.append(subject)

    async def _raise(self, subject: Subject) -> None:
        # Beyond the tolerance of a tenth.
        replicas = max(2, -(-subject.wanted // 5)) + self._rng.randint(0, 3)
        self._push(subject, replicas * ITEMS_PER_REPLICA)

    async def _widen(self, subject: Subject) -> None:
        change = {"spec": {"maxReplicaCount": subject.high + 4}}
        await _persist(lambda: self._objects.patch(FLYBALL, "ScaledObject", subject.name, change))
        subject.high += 4

    async def _lower_by_hand(self, subject: Subject) -> None:
        """Ask for fewer pods behind the service's back: what it knows is outdated then."""
        change = {"spec": {"replicas": 2}}
        answer = await _persist(
            lambda: self._objects.patch("apps/v1", "Deployment", subject.name, change)
        )
        subject.by_hand.add(answer["metadata"]["resourceVersion"])

    async def _delete(self, subject: Subject) -> None:
        await _persist(lambda: self._objects.delete(FLYBALL, "ScaledObject", subject.name))
        subject.is_deleted = True

    def _push(self, subject: Subject, count: int) -> None:
        subject.items += count
        if count:
            self._redis.send("RPUSH", self._list(subject), *map(str, range(count)))

    def _list(self, subject: Subject) -> str:
        return f"{self._objects.namespace}-{subject.name}"


async def _persist(send: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Send until the API server takes it; that it was taken before, unanswered, is fine."""
    while True:
        try:
            return await send()
        except Conflict:
            return None
        except KubeError:
            await asyncio.sleep(AGAIN_SECONDS)
