"""The asked policies: bound, decided and kept for as long as somebody asks.

Two sets of workers look after them. Binders look up what a policy depends on, which takes as long
as the API server lets it; the others decide whenever something was read or is due, by what was
looked up before, and never wait. A call only hands out the last verdict.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Set as AbstractSet
from typing import Final

import structlog
from msgspec.structs import replace

from autoscaler.collect.poll import Collector
from autoscaler.collect.source_loop import FetchReport
from autoscaler.controller.binding import Binding
from autoscaler.controller.rebinding import Rebinder
from autoscaler.controller.reconcile import NextTurn
from autoscaler.controller.settings import ControllerSettings
from autoscaler.controller.tracked import Tracked
from autoscaler.controller.triggers import uses_authentication
from autoscaler.controller.workers import Workers
from autoscaler.errors import AutoscalerError, ConfigError, Forbidden, KubeError, NotFound
from autoscaler.external.asks import Ask, NamedPolicy
from autoscaler.external.binding import PolicyBinder, is_alone
from autoscaler.external.cluster import Cluster, offline_triggers
from autoscaler.external.deciding import Decider
from autoscaler.external.refusals import Refusals
from autoscaler.external.register import Register
from autoscaler.external.served import Served, Trouble, Verdict
from autoscaler.external.texts import NeverValid, PolicyTexts
from autoscaler.kube.cluster_reader import KubeClusterReader
from autoscaler.kube.codec import CustomObject, ObjectMeta
from autoscaler.kube.transport import KubeClient
from autoscaler.plugins import ScalerRegistry
from autoscaler.runtime.clock import Clock, loop_seconds
from autoscaler.runtime.pace import Pace
from autoscaler.runtime.workqueue import WorkQueue
from autoscaler.sdk.http import HttpClient
from autoscaler.sdk.scaler import SourceContext
from autoscaler.telemetry.metrics import Metrics

WORKERS: Final = 4
BINDERS: Final = 8
"""Lookups at the same time. They wait for the API server, and nothing but each other for them."""
SELECTOR_SECONDS: Final = 2.0
"""Between two looks at which pods are a target's; kinds of others may name them late."""
SWEEPS: Final = 4
"""Looks for forgotten policies within the time after which one is forgotten."""
USELESS: Final = frozenset({Trouble.INVALID, Trouble.MISSING})
"""Troubles that last until the caller or somebody else changes something."""

log = structlog.get_logger(__name__)


class TooMany(AutoscalerError):
    """A limit of the server is reached."""

    reason = "ResourceExhausted"


class Policies:
    """Policies by what they are asked with.

    Args:
        registry: The trigger types.
        client: Connection to a cluster, None = there is none.
        settings: Of the controller.
        objects_max: Policies at the same time.
        metadata_bytes_max: Of one ask.
        forget_seconds: A policy nobody asks for is dropped after this time.
        is_trusted: Whether callers are known by their certificates.
        follow_redirects: Whether HTTP sources may send triggers elsewhere.
        clock: The time decisions go by.
        rng: Jitter.
        metrics: Where numbers go.
    """

    def __init__(
        self,
        registry: ScalerRegistry,
        client: KubeClient | None,
        *,
        settings: ControllerSettings,
        objects_max: int,
        metadata_bytes_max: int,
        forget_seconds: float,
        is_trusted: bool,
        follow_redirects: bool,
        clock: Clock,
        rng: random.Random,
        metrics: Metrics,
    ) -> None:
        self._objects_max = objects_max
        self._metadata_bytes_max = metadata_bytes_max
        self._forget_seconds = forget_seconds
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._register = Register()
        self._refusals = Refusals()
        self._number = 0
        self._queue: WorkQueue[str] = WorkQueue()
        self._asked = 0
        self._unbound: WorkQueue[str] = WorkQueue()
        pace = Pace(lambda: self._asked, lambda: self._queue.depth + self._unbound.depth)
        self._workers, self._binders = (
            Workers(
                queue,
                turn,
                settings=settings,
                clock=clock,
                metrics=metrics,
                rng=rng,
                pause=pace.turn,
            )
            for queue, turn in ((self._queue, self._decide), (self._unbound, self._bind))
        )
        self._http = HttpClient(follow_redirects=follow_redirects)
        self._cluster: Cluster | None = None
        if client is not None:
            self._cluster = Cluster(
                client, settings=settings, rng=rng, on_references=self._references_changed
            )
        reader = KubeClusterReader(client) if client else None
        self._collector = Collector(
            SourceContext(http=self._http, clock=clock, cluster=reader),
            on_readings=self._queue.add,
            rng=rng,
            settings=settings.collector,
            on_fetch=self._fetched,
        )
        cluster = self._cluster
        self._binder = PolicyBinder(
            cluster.triggers(registry) if cluster else offline_triggers(registry),
            PolicyTexts(registry),
            cluster,
            settings=settings,
            is_trusted=is_trusted,
        )
        self._bindings = Rebinder(
            self._binder,
            self._collector,
            cluster.entries if cluster else None,
            clock,
            settings,
        )
        self._decider = Decider(self._collector, cluster, clock)
        if cluster is not None:
            cluster.objects.on_change(self._object_changed)
            cluster.on_authentication(self._authentication_changed)

    def __len__(self) -> int:
        return len(self._register)

    def of(self, ask: Ask) -> Served:
        """Return the policy an ask is about, from now on served.

        Raises:
            ConfigError: The ask carries none, or one that makes no sense by itself.
            TooMany: There are too many.
        """
        served = self._register.asked(ask)
        if served is None:
            served = self._begin(ask)
        served.asked_at = self._clock.monotonic()
        self._asked += 1
        return served

    def all(self) -> list[Served]:
        """Return every served policy."""
        return self._register.all()

    def newest(self, namespace: str, name: str) -> Served | None:
        """Return the policy last asked for about an object of KEDA's, None when there is none."""
        return self._register.newest(namespace, name)

    async def run(self) -> None:
        """Read and decide until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                if self._cluster is not None:
                    group.create_task(self._cluster.run(), name="external-cluster")
                group.create_task(self._collector.run(), name="external-collector")
                for number in range(WORKERS):
                    group.create_task(self._workers.run(), name=f"external-worker-{number}")
                for number in range(BINDERS):
                    group.create_task(self._binders.run(), name=f"external-binder-{number}")
                await self._sweep()
        finally:
            self._queue.close()
            self._unbound.close()
            await self._http.close()

    def _begin(self, ask: Ask) -> Served:
        if ask.size > self._metadata_bytes_max:
            raise ConfigError(
                f"trigger metadata has {ask.size} bytes, at most {self._metadata_bytes_max} are "
                "accepted"
            )
        intent = self._refusals.intent_of(ask)
        before = self._register.newest(ask.namespace, ask.name)
        if len(self._register) >= self._objects_max and not self._make_room():
            raise TooMany(f"this server already serves its limit of {self._objects_max} policies")
        self._number += 1
        key = f"external/{self._number}"
        item = CustomObject(metadata=ObjectMeta(name=ask.name, namespace=ask.namespace), raw={})
        tracked = Tracked(item, self._settings.journal_length)
        served = Served(key, ask, intent, tracked)
        if before is not None and before.replicas is not None:
            # Its policy was edited: it goes on from what KEDA was told last.
            served.replicas = before.replicas
            tracked.memory, tracked.known_by = before.tracked.memory, before.tracked.known_by
        served.uid = self._binder.adopt(ask, intent)
        self._register.add(served)
        self._metrics.external_policies.set(len(self._register))
        self._bind_soon(served)
        log.info("policy_asked", object=f"{ask.namespace}/{ask.name}", policy=_shown(served))
        return served

    def _make_room(self) -> bool:
        """Forget a policy that cannot work, so that nonsense keeps nobody out; say if there was."""
        useless = self._register.idle_useless()
        if useless is not None:
            self._forget(useless)
        return useless is not None

    async def _decide(self, key: str) -> NextTurn:
        """Decide for a bound policy; whatever has to be looked up for it is left to others."""
        served = self._register.get(key)
        binding = served.tracked.binding if served is not None else None
        if served is None or binding is None or not served.is_looked_up:
            return NextTurn()
        tracked = served.tracked
        if not served.is_due and self._bindings.is_due(key, tracked, binding):
            self._bind_soon(served)
        self._look_at_selector(served, binding)
        try:
            turn = self._decider.decide(served, binding)
        except Forbidden as error:
            self._reject(served, Trouble.UNAVAILABLE, error)
            served.is_due = True
            self._unbound.add_after(key, self._settings.retry_seconds)
            return NextTurn()
        lookup = self._bindings.next_lookup_seconds(tracked)
        if lookup is not None and not served.is_due:
            turn.seconds = lookup if turn.seconds is None else min(turn.seconds, lookup)
        return turn

    def _look_at_selector(self, served: Served, binding: Binding) -> None:
        """See to it that the scale of the target is asked now and then which pods are its own."""
        now = self._clock.monotonic()
        age = loop_seconds(self._clock, now - served.selected_at)
        if binding.needs_pods and self._can_look(binding) and age >= SELECTOR_SECONDS:
            served.selected_at = now
            self._bind_soon(served)

    def _can_look(self, binding: Binding) -> bool:
        """Whether the target is a real one, and not what stands in for one nobody knows."""
        return self._cluster is not None and not is_alone(binding)

    def _bind_soon(self, served: Served) -> None:
        served.is_due = True
        self._unbound.add(served.key)

    async def _bind(self, key: str) -> NextTurn:
        """Look up what a policy depends on, however long that takes."""
        served = self._register.get(key)
        if served is None:
            return NextTurn()
        try:
            return await self._look_up(served)
        finally:
            if not self._register.is_served(served):
                # It was forgotten meanwhile: what has been made since is nobody's.
                self._stop(served)
                self._binder.drop(served.uid, served.tracked.item.metadata.uid)

    async def _look_up(self, served: Served) -> NextTurn:
        tracked, retry = served.tracked, NextTurn(loop_seconds=self._settings.retry_seconds)
        served.is_due = True
        if tracked.binding is None:
            served.is_looked_up = False
        if served.replicas is None:
            # KEDA's object, and with it the target, may have come in sight.
            tracked.is_stale = True
        try:
            tracked.item = await self._binder.find(served.ask, served.intent, served.uid)
            before = tracked.known_by
            binding = await self._bindings.bind(served.key, tracked)
            if before is not None and before.target != binding.target and self._can_look(binding):
                # What KEDA was told was about another target.
                served.replicas, served.is_looked_up = None, False
            await self._look_at_target(served, binding)
        except NotFound as error:
            self._reject(served, Trouble.MISSING, error)
            return retry
        except ConfigError as error:
            self._reject(served, Trouble.INVALID, error)
            # Targets, authentications and environments come and go; a text is what it is.
            is_final = self._cluster is None or isinstance(error, NeverValid)
            return NextTurn() if is_final else retry
        except KubeError as error:
            if isinstance(error, Forbidden) or served.verdict is None:
                self._reject(served, Trouble.UNAVAILABLE, error)
            raise
        served.is_due, served.is_looked_up = False, True
        self._register.mark(served, is_useless=False)
        self._queue.add(served.key)
        if served.replicas is None and self._cluster is not None:
            return NextTurn(loop_seconds=self._settings.refresh_seconds)
        return NextTurn()

    async def _look_at_target(self, served: Served, binding: Binding) -> None:
        """Take up which pods are the target's, and what it has if nobody knows what KEDA was told.

        Work that was there until a moment ago is assumed for a target with replicas: a cooldown
        that was running begins again, and nothing is lowered early.

        Raises:
            KubeError: The count is needed, and the API server could not be asked.
        """
        needs_count = served.replicas is None
        if self._cluster is None or is_alone(binding) or not (needs_count or binding.needs_pods):
            return
        try:
            view = await self._cluster.targets.view(binding.target)
        except KubeError as error:
            # Whether it is there matters to KEDA, which scales it.
            if needs_count and not isinstance(error, NotFound):
                raise
            return
        self._bindings.select(served.key, served.tracked, view)
        if served.replicas is None:
            served.replicas = view.spec_replicas
            memory = served.tracked.memory
            if view.spec_replicas > 0 and memory.last_active_at is None:
                served.tracked.memory = replace(memory, last_active_at=self._clock.now())

    def _reject(self, served: Served, trouble: Trouble, error: Exception) -> None:
        self._collector.unregister(served.key)
        served.tracked.binding = None
        served.tracked.problem = str(error)
        served.is_due = False
        self._register.mark(served, is_useless=trouble in USELESS)
        served.publish(Verdict(trouble=trouble, why=str(error)))

    async def _sweep(self) -> None:
        """Forget what nobody asks for any more."""
        while True:
            await asyncio.sleep(self._forget_seconds / SWEEPS)
            now = self._clock.monotonic()
            for served in self.all():
                if not served.streams and now - served.asked_at > self._forget_seconds:
                    self._forget(served)

    def _forget(self, served: Served) -> None:
        """Drop a policy and all that is done for it.

        Never raises: one policy that does not go in order must keep no other from anything.
        """
        for step in (self._register.remove, self._stop, self._let_go):
            try:
                step(served)
            except Exception:
                log.exception("policy_not_released", policy=served.key, step=step.__name__)
        self._metrics.external_policies.set(len(self._register))
        log.info("policy_forgotten", object=f"{served.ask.namespace}/{served.ask.name}")

    def _stop(self, served: Served) -> None:
        """End reads and turns of a policy."""
        self._unbound.forget(served.key)
        self._queue.forget(served.key)
        self._collector.unregister(served.key)
        if self._cluster is not None:
            self._cluster.watches.release(served.key)

    def _let_go(self, served: Served) -> None:
        self._binder.let_go(served.uid)

    def _object_changed(self, key: str, old: CustomObject | None, new: CustomObject | None) -> None:
        del old, new
        namespace, _, name = key.partition("/")
        for served in self._register.all():
            if served.intent == NamedPolicy(namespace, name):
                self._bind_soon(served)

    def _authentication_changed(
        self, key: str, old: CustomObject | None, new: CustomObject | None
    ) -> None:
        if old is None or new is None or old.raw.get("spec") != new.raw.get("spec"):
            namespace, _, name = key.rpartition("/")
            for served in self._register.all():
                if _uses(served, namespace, name):
                    self._refresh(served)

    def _references_changed(self, users: AbstractSet[str]) -> None:
        for served in self._register.all():
            if served.tracked.item.metadata.uid in users:
                self._refresh(served)

    def _refresh(self, served: Served) -> None:
        served.tracked.is_stale = True
        self._bind_soon(served)

    def _fetched(self, report: FetchReport) -> None:
        self._metrics.fetched(report.scaler, report.seconds, report.queries, report.error_reason)


def _uses(served: Served, namespace: str, authentication: str) -> bool:
    """Whether a policy names an authentication; one of the cluster has no namespace."""
    item, binding = served.tracked.item, served.tracked.binding
    if binding is None:
        return True
    if namespace and item.metadata.namespace != namespace:
        return False
    triggers = binding.obj.spec.triggers
    return uses_authentication(triggers, authentication, is_cluster=not namespace)


def _shown(served: Served) -> str:
    if isinstance(served.intent, NamedPolicy):
        return f"{served.intent.namespace}/{served.intent.name}"
    return served.intent.digest[:12]
