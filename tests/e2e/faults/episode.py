"""One seed of a fault: a namespace of its own, a service for it alone, and a proxy between."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import msgspec
import yaml

from autoscaler.errors import NotFound
from autoscaler.kube.transport import KubeClient
from tests.e2e.controlplane import ControlPlane
from tests.e2e.controlplane.audit import scale_writes
from tests.e2e.faults.history import History
from tests.e2e.faults.proxy import FaultProxy
from tests.e2e.faults.subjects import POLL_SECONDS, Subject, Subjects
from tests.e2e.live import QUICK, account_of_the_service, running
from tests.e2e.objects import FLYBALL, Objects, own_namespace, until
from tests.servers import RedisServer

SETTLE_SECONDS: Final = 60.0
RECOVERY_SECONDS: Final = 2 * POLL_SECONDS
"""What the service has: two polling intervals."""
LATE_SECONDS: Final = 60.0
"""How long is waited for a recovery that comes too late, so that its length can be told."""
DROP_SECONDS: Final = 60.0


class Outcome(NamedTuple):
    """What an episode came to.

    Attributes:
        recovery_seconds: From the end of the fault, or of what was done meanwhile if that took
            longer, until every object was as it should be.
        lists: Collections asked for from the fault's beginning to the recovery.
        lists_at_start: Those the service asked for when it started.
        lowered: Replicas lowered while no work was taken away; must be empty.
    """

    seed: int
    recovery_seconds: float
    lists: int
    lists_at_start: int
    lowered: list[str]


class Episode:
    """A service under test with its objects; made by :func:`begun`."""

    def __init__(
        self,
        seed: int,
        *,
        plane: ControlPlane,
        objects: Objects,
        subjects: Subjects,
        proxy: FaultProxy,
        user: str,
        own_client: KubeClient,
        history: History,
    ) -> None:
        self.seed = seed
        self.rng = Random(f"{seed} fault")
        self.objects = objects
        self.proxy = proxy
        self._plane = plane
        self._subjects = subjects
        self._user = user
        self._own_client = own_client
        self._history = history
        self._mark = plane.audit_mark()
        self._lists_at_start = proxy.forwarded["list"]
        self._recovery_seconds = math.inf

    async def act(self, seconds: float) -> None:
        """Do what users do during a fault, spread over its length."""
        plan = self._subjects.plan()
        for action in plan:
            await asyncio.sleep(seconds / len(plan) * self.rng.random())
            await action()

    async def recover(self) -> None:
        """Wait, from now on, until every object is as it should be, and note how long it took.

        The count begins when the API server answers the service's account, its rights known again.
        """
        await until("the API server answers the service's account", self._answers, LATE_SECONDS)
        over_at = time.monotonic()
        self._subjects.tempt()
        await until("all is as it should be", self._is_settled, RECOVERY_SECONDS + LATE_SECONDS)
        self._recovery_seconds = time.monotonic() - over_at

    async def outcome(self) -> Outcome:
        """Look back, and then wait for replicas to follow work that is taken away."""
        lists = self.proxy.forwarded["list"] - self._lists_at_start
        lowered = await self._lowered()
        left = {one.name: self._history.latest(one.name) for one in self._deleted()}
        self._subjects.drop()
        await until("replicas follow the work down", self._is_settled, DROP_SECONDS)
        for name, count in left.items():
            assert await self.objects.replicas(name) == count, f"{name} is nobody's any more"
        return Outcome(self.seed, self._recovery_seconds, lists, self._lists_at_start, lowered)

    async def settle(self) -> None:
        """Wait until the first objects are as they should be."""
        await until("the first objects are settled", self._is_settled, SETTLE_SECONDS)

    async def _answers(self) -> bool:
        path = f"/apis/flyball.dev/v1alpha1/namespaces/{self.objects.namespace}/scaledobjects"
        await self._own_client.request("GET", path, params={"limit": "1"})
        return True

    async def _is_settled(self) -> bool:
        """Whether every object is Ready with the replicas its work needs, and deleted ones gone."""
        for subject in self._subjects.known:
            if subject.is_deleted:
                with suppress(NotFound):
                    await self.objects.get(FLYBALL, "ScaledObject", subject.name)
                    return False
                continue
            if await self.objects.replicas(subject.name) != subject.wanted:
                return False
            if (await self.objects.condition(subject.name))[0] != "True":
                return False
        return True

    def _deleted(self) -> list[Subject]:
        return [one for one in self._subjects.known if one.is_deleted]

    async def _lowered(self) -> list[str]:
        """Return every lowering that was written, by the audit log, or seen, by the watch."""
        events = await asyncio.to_thread(
            self._plane.audit_events, user=self._user, since=self._mark
        )
        written: defaultdict[str, list[int]] = defaultdict(list)
        for name, count in scale_writes(events, self.objects.namespace):
            written[name].append(count)
        assert written, "during each fault work rises, so counts are written"
        found = [
            f"{name}: {counts} written"
            for name, counts in written.items()
            if counts != sorted(counts)
        ]
        for subject in self._subjects.known:
            counts = self._history.of(subject.name)
            assert counts, f"the watch never saw {subject.name}"
            found += [
                f"{subject.name}: {before.replicas} to {after.replicas} seen"
                for before, after in pairwise(counts)
                if after.replicas < before.replicas and after.version not in subject.by_hand
            ]
        return found


@asynccontextmanager
async def begun(
    seed: int, plane: ControlPlane, client: KubeClient, redis: RedisServer, folder: Path
) -> AsyncIterator[Episode]:
    """Run a service on a namespace of its own until its first objects are as they should be."""
    async with own_namespace(client) as objects, asyncio.TaskGroup() as tasks:
        user, kubeconfig = await account_of_the_service(plane, objects)
        own_client = await KubeClient.connect(str(kubeconfig), in_cluster=False)
        trust = ssl.create_default_context(cafile=str(plane.trusted))
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(*plane.serving)
        proxy = FaultProxy(plane.url, trust=trust, serving=serving)
        history = History(client, objects.namespace)
        watching = tasks.create_task(history.run())
        settings = msgspec.structs.replace(QUICK, namespace=objects.namespace)
        subjects = Subjects(objects, redis, Random(f"{seed} subjects"))
        try:
            async with proxy.running() as url:
                proxied = _with_server(kubeconfig, url, folder / f"{objects.namespace}.kubeconfig")
                async with running(proxied, settings, seed=seed):
                    await subjects.create_first()
                    episode = Episode(
                        seed,
                        plane=plane,
                        objects=objects,
                        subjects=subjects,
                        proxy=proxy,
                        user=user,
                        own_client=own_client,
                        history=history,
                    )
                    await episode.settle()
                    yield episode
        finally:
            watching.cancel()
            await own_client.close()


def _with_server(kubeconfig: Path, url: str, target: Path) -> Path:
    """Write a kubeconfig that leads to another server with the same account."""
    content = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    content["clusters"][0]["cluster"]["server"] = url
    target.write_text(yaml.safe_dump(content), encoding="utf-8")
    return target
