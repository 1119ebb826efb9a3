"""The service: everything wired together, started and stopped as one."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable, Coroutine, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any, Final

import structlog

from autoscaler.collect.cluster_references import ClusterReferences
from autoscaler.collect.entries import EntryReader
from autoscaler.collect.poll import Collector
from autoscaler.collect.resolve import Resolver
from autoscaler.collect.source_loop import FetchReport
from autoscaler.controller.act import Actor
from autoscaler.controller.adoption import Adopter, Autoscalers
from autoscaler.controller.announce import Announcer
from autoscaler.controller.authentication_users import AuthenticationUsers
from autoscaler.controller.binding import Binder
from autoscaler.controller.claims import Claims
from autoscaler.controller.jobs.controller import JobController, Shared
from autoscaler.controller.jobs.reconcile import KEY_PREFIX
from autoscaler.controller.jobs.views import KIND as JOB_KIND
from autoscaler.controller.lifecycle import Lifecycle
from autoscaler.controller.objects import ScalingObjects, group_of, key_of
from autoscaler.controller.places import ClusterPlaces
from autoscaler.controller.reconcile import NextTurn, Reconciler
from autoscaler.controller.reference_watches import ReferenceWatches
from autoscaler.controller.settings import ControllerSettings
from autoscaler.controller.snapshots import Snapshots
from autoscaler.controller.status_writer import StatusWriter
from autoscaler.controller.targets import Targets
from autoscaler.controller.tracked import Tracked, TrackedItem, fingerprint
from autoscaler.controller.triggers import TriggerBinder, uses_authentication
from autoscaler.controller.views import explanation, explanation_text, summary
from autoscaler.controller.watches import Watches
from autoscaler.controller.workers import Workers
from autoscaler.errors import ConfigError, KubeError
from autoscaler.kube.autoscalers import Autoscaler
from autoscaler.kube.cluster_reader import KubeClusterReader
from autoscaler.kube.codec import CustomObject
from autoscaler.kube.events import EventRecorder
from autoscaler.kube.resources import (
    CLUSTER_TRIGGER_AUTHENTICATIONS,
    DEPLOYMENTS,
    SCALED_OBJECTS,
    TRIGGER_AUTHENTICATIONS,
    Discovery,
    Resource,
    in_group,
)
from autoscaler.kube.store import Store
from autoscaler.kube.transport import KubeClient
from autoscaler.plugins import ScalerRegistry
from autoscaler.runtime.clock import Clock, SystemClock
from autoscaler.runtime.supervisor import Supervisor
from autoscaler.runtime.workqueue import WorkQueue
from autoscaler.sdk.http import HttpClient
from autoscaler.sdk.scaler import SourceContext
from autoscaler.telemetry.metrics import Metrics

BEAT_SECONDS: Final = 1.0
CRD_CHECK_SECONDS: Final = 10.0
LAST_WORDS_SECONDS: Final = 3.0

log = structlog.get_logger(__name__)


class Service:
    """The whole controller over one API server.

    Args:
        client: Connection; closed by whoever made it.
        registry: The trigger types.
        settings: Bounds and choices.
        clock: The time scaling goes by; a compressed one makes everything but I/O faster.
        rng: Jitter.
        metrics: Where numbers go; shown by whoever serves ``/metrics``.
    """

    def __init__(
        self,
        client: KubeClient,
        registry: ScalerRegistry,
        *,
        settings: ControllerSettings | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.settings = settings = settings or ControllerSettings()
        self.metrics = metrics = metrics or Metrics()
        self._clock = clock = clock or SystemClock()
        rng = rng or random.Random()  # noqa: S311 - jitter
        self._supervisor = Supervisor(grace_seconds=settings.grace_seconds)
        self._queue: WorkQueue[str] = WorkQueue()
        self._workers = Workers(
            self._queue, self._reconcile, settings=settings, clock=clock, metrics=metrics, rng=rng
        )
        self._http = HttpClient()
        self._discovery = Discovery(client)
        self._watches = Watches(client, namespace=settings.namespace, rng=rng)
        self._objects = ScalingObjects(
            {group: self._custom(SCALED_OBJECTS, group) for group in settings.watch_keda.groups},
            settings.watch_keda,
        )
        self._entries = EntryReader(client)
        self._references = ReferenceWatches(
            client, self._entries, on_change=self._references_changed, rng=rng
        )
        self._recorder = EventRecorder(client, clock)
        self._statuses = StatusWriter(
            client, self._objects, resource=SCALED_OBJECTS, clock=clock, rng=rng
        )
        self._collector = Collector(
            SourceContext(http=self._http, clock=clock, cluster=KubeClusterReader(client)),
            on_readings=self._queue.add,
            rng=rng,
            settings=settings.collector,
            on_fetch=self._fetched,
        )
        self._snapshots = Snapshots(
            client, clock=clock, rng=rng, living=self._living, settings=settings.snapshots
        )
        self._claims = Claims()
        triggers = self._trigger_binder(registry)
        self._reconciler = self._build_reconciler(client, triggers)
        self._jobs = JobController(
            Shared(
                client=client,
                watches=self._watches,
                collector=self._collector,
                entries=self._entries,
                triggers=triggers,
                recorder=self._recorder,
                metrics=metrics,
                clock=clock,
                rng=rng,
                settings=settings,
                enqueue=self._queue.add,
            )
        )
        self._authentication_users = AuthenticationUsers(
            client, self._watches, settings=settings, clock=clock, rng=rng
        )
        self._missing: dict[Resource, str] = {}
        self._lag_seconds = 0.0
        self._listen()
        self._add_tasks()

    def add_task(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run one more root task with the service; it must not end before the service does."""
        self._supervisor.add(name, run)

    async def run(self, *, signals: Sequence[signal.Signals] = ()) -> None:
        """Run until stopped.

        Args:
            signals: Which signals ask for the ordered stop.

        Raises:
            RootTaskEnded: A part of the service ended unexpectedly; everything was stopped.
        """
        await self._supervisor.run(signals=signals)

    def stop(self, cause: str = "stop requested") -> None:
        """Ask for the ordered stop: take no more work, finish what is under way, close."""
        self._supervisor.stop(cause)

    def unready_reasons(self) -> list[str]:
        """Return what keeps the service from working; empty when it is ready."""
        if self._supervisor.is_stopping:
            return ["the service is stopping"]
        reasons = [self._snapshots.unready_reason] if self._snapshots.unready_reason else []
        return reasons + [
            self._missing.get(resource)
            or f"{resource.plural}.{resource.group}: not listed yet{f' ({error})' if error else ''}"
            for resource, error in self._watches.unsynced()
        ]

    @property
    def loop_lag_seconds(self) -> float:
        """How late the event loop ran its last timer."""
        return self._lag_seconds

    def objects(self) -> list[dict[str, Any]]:
        """Return a line about every object, by name."""
        known = self._reconciler.tracked.values()
        lines = [*map(summary, known), *self._jobs.summaries()]
        # In the order of "namespace/name", by which the API hands out pages.
        return sorted(lines, key=lambda one: (f"{one['namespace']}/{one['name']}", one["kind"]))

    def explain(self, namespace: str, name: str, kind: str | None = None) -> dict[str, Any] | None:
        """Return why an object has the replicas, or jobs, it has; None when there is none.

        Args:
            namespace: Of the object.
            name: Of the object.
            kind: ``ScaledObject`` or ``ScaledJob``; None = whichever exists, in this order.
        """
        tracked = self._find(namespace, name) if kind != JOB_KIND else None
        if tracked is not None:
            return explanation(tracked)
        return self._jobs.explain(namespace, name) if kind in {None, JOB_KIND} else None

    def explain_text(self, namespace: str, name: str, kind: str | None = None) -> str | None:
        """Return :meth:`explain` for people."""
        tracked = self._find(namespace, name) if kind != JOB_KIND else None
        if tracked is not None:
            return explanation_text(tracked)
        return self._jobs.explain_text(namespace, name) if kind in {None, JOB_KIND} else None

    def exposition(self) -> bytes:
        """Return all series in Prometheus text format."""
        return self.metrics.expose()

    def _custom(self, kind: Resource, group: str) -> Store[CustomObject]:
        return self._watches.custom(in_group(kind, group))

    def _find(self, namespace: str, name: str) -> Tracked | None:
        """Return an object by name; of two of the same name the one of our own group."""
        known = self._reconciler.tracked
        keys = [key_of(namespace, name, group) for group in self.settings.watch_keda.groups]
        return next((known[key] for key in keys if key in known), None)

    def _trigger_binder(self, registry: ScalerRegistry) -> TriggerBinder:
        resolvers = {
            group: Resolver(
                ClusterReferences(
                    self._entries,
                    self._custom(TRIGGER_AUTHENTICATIONS, group),
                    self._custom(CLUSTER_TRIGGER_AUTHENTICATIONS, group),
                ),
                cluster_namespace=self.settings.cluster_object_namespace,
            )
            for group in self.settings.watch_keda.groups
        }
        return TriggerBinder(registry, resolvers, self._references)

    def _build_reconciler(self, client: KubeClient, triggers: TriggerBinder) -> Reconciler:
        settings, clock = self.settings, self._clock
        targets = Targets(client, self._watches)
        autoscalers = Autoscalers(self._watches.autoscalers())
        return Reconciler(
            objects=self._objects,
            claims=self._claims,
            adopter=Adopter(client, self._objects, autoscalers),
            lifecycle=Lifecycle(
                client,
                self._objects,
                self._claims,
                discovery=self._discovery,
                targets=targets,
                clock=clock,
            ),
            binder=Binder(
                triggers=triggers,
                places=ClusterPlaces(client, discovery=self._discovery, targets=targets),
                settings=settings,
            ),
            collector=self._collector,
            entries=self._entries,
            watches=self._watches,
            actor=Actor(
                targets,
                self._statuses,
                clock=clock,
                metrics=self.metrics,
                status_seconds=settings.status_seconds,
            ),
            announcer=Announcer(
                self._recorder,
                self.metrics,
                resource=SCALED_OBJECTS,
                clock=clock,
                repeat_seconds=settings.event_repeat_seconds,
            ),
            snapshots=self._snapshots,
            clock=clock,
            settings=settings,
        )

    def _listen(self) -> None:
        self._objects.on_change(self._object_changed)
        for group in self.settings.watch_keda.groups:
            for kind in (TRIGGER_AUTHENTICATIONS, CLUSTER_TRIGGER_AUTHENTICATIONS):
                listener = partial(self._authentication_changed, group)
                self._custom(kind, group).on_change(listener)
        self._watches.workloads(DEPLOYMENTS)
        self._watches.on_workload(self._workload_changed)
        self._watches.autoscalers().on_change(self._autoscaler_changed)

    def _add_tasks(self) -> None:
        add = self._supervisor.add
        add("watches", self._watches.run)
        add("references", self._references.run)
        add("collector", self._collector.run)
        add("events", self._recorder.run)
        add("statuses", self._statuses.run)
        add("job-statuses", self._jobs.statuses.run)
        add("authentication-users", self._authentication_users.run)
        add("snapshots", self._snapshots.run)
        add("beat", self._beat)
        add("crd-check", self._check_crds)
        for number in range(self.settings.workers):
            add(f"worker-{number}", self._work, drains=True)
        self._supervisor.on_stop(self._queue.close)
        self._supervisor.on_stop(self._snapshots.stop_waiting)
        self._supervisor.on_close("http", self._http.close)
        self._supervisor.on_close("last-words", self._flush)
        self._supervisor.on_close("snapshots", self._keep)

    def _object_changed(self, key: str, old: CustomObject | None, new: CustomObject | None) -> None:
        is_taken = new is not None and self._objects.is_ours(new)
        for other in self._claims.update(key, new, is_ours=is_taken):
            self._queue.add(other)
        is_ours = (
            old is not None
            and new is not None
            and fingerprint(old) == fingerprint(new)
            and old.metadata.deletion_timestamp == new.metadata.deletion_timestamp
        )
        # What is left are changes of status, and those are written by ourselves.
        if not is_ours:
            self._queue.add(key)

    def _authentication_changed(
        self, group: str, changed: str, old: CustomObject | None, new: CustomObject | None
    ) -> None:
        if old is not None and new is not None and fingerprint(old) == fingerprint(new):
            # Only the names of its users, which are written by ourselves.
            return
        namespace, _, name = changed.rpartition("/")
        self._jobs.authentication_changed(group, namespace, name)
        for key, tracked in self._reconciler.tracked.items():
            if group_of(tracked.item) != group:
                continue
            if namespace and tracked.item.metadata.namespace != namespace:
                continue
            triggers = tracked.binding.obj.spec.triggers if tracked.binding else None
            if triggers is None or uses_authentication(triggers, name, is_cluster=not namespace):
                tracked.is_stale = True
                self._queue.add(key)

    def _references_changed(self, users: AbstractSet[str]) -> None:
        known: list[tuple[str, TrackedItem[Any]]] = [
            *self._reconciler.tracked.items(),
            *self._jobs.tracked.items(),
        ]
        for key, tracked in known:
            if tracked.item.metadata.uid in users:
                tracked.is_stale = True
                self._queue.add(key)

    def _autoscaler_changed(
        self, _key: str, old: Autoscaler | None, new: Autoscaler | None
    ) -> None:
        if old and new and (old.spec, old.metadata.uid) == (new.spec, new.metadata.uid):
            # Most changes are of its status, every 15 seconds.
            return
        for one in (old, new):
            for claimant in self._claims.claimants(*one.target) if one else ():
                self._queue.add(claimant)

    def _workload_changed(self, resource: Resource, key: str, has_new_template: bool) -> None:
        namespace, _, name = key.partition("/")
        for claimant in self._claims.claimants(resource.group, resource.kind, namespace, name):
            tracked = self._reconciler.tracked.get(claimant)
            if has_new_template and tracked is not None:
                # Parameters may come from the environment of its containers.
                tracked.is_stale = True
            self._queue.add(claimant)

    def _fetched(self, report: FetchReport) -> None:
        self.metrics.fetched(report.scaler, report.seconds, report.queries, report.error_reason)

    async def _work(self) -> None:
        await self._snapshots.wait_settled()
        await self._workers.run()

    async def _reconcile(self, key: str) -> NextTurn:
        owner = self._jobs if key.startswith(KEY_PREFIX) else self._reconciler
        return await owner.reconcile(key)

    async def _beat(self) -> None:
        """Measure how late timers are, and refresh the gauges."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            self._lag_seconds = max(0.0, loop.time() - due)
            self.metrics.loop_lag.set(self._lag_seconds)
            self.metrics.queue_depth.set(self._queue.depth)
            self.metrics.queue_delayed.set(self._queue.delayed)
            self.metrics.in_flight.set(self._queue.in_flight)

    async def _check_crds(self) -> None:
        """Find out, as long as something is not listed, whether it exists at all."""
        while True:
            missing: dict[Resource, str] = {}
            for resource, _ in self._watches.unsynced():
                try:
                    await self._discovery.resolve(resource.api_version, resource.kind)
                except ConfigError:
                    missing[resource] = (
                        f"{resource.plural}.{resource.group}: its CustomResourceDefinition is not "
                        "installed (flyball crds | kubectl apply --server-side -f -)"
                    )
                    if resource not in self._missing:
                        log.warning("crd_missing", resource=f"{resource.plural}.{resource.group}")
                except KubeError as error:
                    log.info("crd_not_checked", resource=resource.plural, error=str(error))
            self._missing = missing
            await asyncio.sleep(CRD_CHECK_SECONDS)

    def _living(self) -> set[str] | None:
        """Return the UIDs of all scaling objects; None until all have been listed."""
        stores = [self._custom(SCALED_OBJECTS, g) for g in self.settings.watch_keda.groups]
        if not all(store.has_synced for store in stores):
            return None
        return {item.metadata.uid for store in stores for item in store}

    async def _keep(self) -> None:
        """Write the memories: with them the next service decides as this one would."""
        async with asyncio.timeout(LAST_WORDS_SECONDS):
            await self._snapshots.flush()

    async def _flush(self) -> None:
        """Write the statuses and events that wait, as many as there is time for."""
        try:
            async with asyncio.timeout(LAST_WORDS_SECONDS), asyncio.TaskGroup() as group:
                group.create_task(self._statuses.flush())
                group.create_task(self._jobs.statuses.flush())
                group.create_task(self._recorder.flush())
        except TimeoutError:
            # What decides the future is in the memories, which were written before.
            log.info("last_words_cut_short", seconds=LAST_WORDS_SECONDS)
