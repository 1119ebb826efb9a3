"""A restart in the middle of anything decides as if there had been none."""

from __future__ import annotations

import asyncio
import base64
import copy
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog

from autoscaler.collect.settings import CollectorSettings
from autoscaler.controller.settings import ControllerSettings
from autoscaler.controller.snapshot_format import SHARDS, Shard, decode_shard, encode_shard
from autoscaler.controller.snapshots import SnapshotSettings
from autoscaler.core.explain import explain
from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.objects import JsonObject
from autoscaler.demo.store import Item
from autoscaler.runtime.clock import ManualClock
from tests.integration.test_source_faults import Misbehaving, metrics_api
from tests.integration.world import World, running

STEP_SECONDS = 15.0
REFRESH_SECONDS = 30.0
WRITE_SECONDS = 0.05
SETTINGS = ControllerSettings(
    # Nothing waits for time to pass: the clock moves only between two looks.
    collector=CollectorSettings(coalesce_seconds=0.0, asked_gap_seconds=0.0),
    snapshots=SnapshotSettings(
        write_seconds=WRITE_SECONDS, urgent_seconds=0.0, refresh_seconds=REFRESH_SECONDS
    ),
    journal_length=1000,
    status_seconds=REFRESH_SECONDS,
)

STABILIZED: Mapping[str, Any] = {"cooldownPeriod": 3000, "minReplicaCount": 1}
COOLING: Mapping[str, Any] = {
    "cooldownPeriod": 120,
    "advanced": {
        "horizontalPodAutoscalerConfig": {
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}
        }
    },
}
RATED: Mapping[str, Any] = {
    "cooldownPeriod": 120,
    "advanced": {
        "horizontalPodAutoscalerConfig": {
            "behavior": {
                "scaleUp": {
                    "stabilizationWindowSeconds": 45,
                    "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}],
                },
                "scaleDown": {
                    "stabilizationWindowSeconds": 90,
                    "policies": [{"type": "Pods", "value": 3, "periodSeconds": 120}],
                },
            }
        }
    },
}
FALL: Sequence[int] = (80, 80, 80, *[30] * 8, 50, 30, 20, *[20] * 24)
"""Work for eight replicas, then for three and two, with a small peak between."""
STOP: Sequence[int] = (80, 80, 80, *[0] * 24)
"""Work for eight replicas, then none."""
BOTH: Sequence[int] = (80, *[120] * 12, *[30] * 14, *[0] * 18)
"""More, less, none: each limited by behavior."""


@dataclass
class Course:
    """What became of one object.

    Attributes:
        rescales: Seconds since the start, count before, count after, and why.
        steps: Per step: replicas, desired count, and what the conditions say.
    """

    rescales: list[tuple[float, int, int, str]] = field(default_factory=list)
    steps: list[tuple[int, int, tuple[str, ...]]] = field(default_factory=list)


@dataclass
class Stage:
    """A cluster, a source and a clock that outlive the service."""

    cluster: EmbeddedCluster
    source: Misbehaving
    clock: ManualClock
    began_at: float
    course: Course = field(default_factory=Course)

    async def play(self, values: Sequence[int], *, crashes: bool = False) -> None:
        """Run a service for as many steps as there are values.

        Args:
            values: Of the source, one per step.
            crashes: The service says no last words, and gets time to write between steps only.
        """
        kept: list[JsonObject] = []
        async with running(SETTINGS, clock=self.clock, cluster=self.cluster) as world:
            await self.decided(world)
            for value in values:
                if crashes:
                    await asyncio.sleep(3 * WRITE_SECONDS)
                self.source.depth = value
                self.clock.advance(STEP_SECONDS)
                world.service._collector.ask("default/worker")
                await self.decided(world)
                self.note(world)
            self.collect(world)
            if crashes:
                kept = self.kept()
        self.put_back(kept)

    async def decided(self, world: World) -> None:
        """Wait until the service has acted on what is true now."""

        def is_done() -> bool:
            tracked = world.service._reconciler.tracked.get("default/worker")
            latest = tracked.journal.latest if tracked else None
            if tracked is None or latest is None:
                return False
            now = self.clock.now()
            return (
                latest.decision.at == now
                and not latest.decision.is_rescale
                and all(reading.sampled_at == now for reading in tracked.readings.values())
                # A look that was under way may end only now, with what was read before.
                and latest.readings
                == tuple((name, one.value) for name, one in tracked.readings.items())
            )

        await world.until(is_done)

    def note(self, world: World) -> None:
        """Write down what the step came to."""
        shown = world.service.explain("default", "worker")
        assert shown is not None
        said = tuple(
            sorted(f"{c['type']}={c['status']} {c['reason']}" for c in shown["conditions"])
        )
        count = world.replicas("worker")
        self.course.steps.append((count, shown["decision"]["desiredReplicas"], said))

    def collect(self, world: World) -> None:
        """Write down what the service changed."""
        for entry in world.service._reconciler.tracked["default/worker"].journal.entries():
            decision = entry.decision
            if decision.is_rescale:
                self.course.rescales.append(
                    (
                        decision.at - self.began_at,
                        decision.current_replicas,
                        decision.desired_replicas,
                        explain(decision),
                    )
                )

    def config_maps(self) -> dict[str, JsonObject]:
        """Return the stored snapshots by name."""
        return {
            item.value["metadata"]["name"]: copy.deepcopy(item.value)
            for item in self.cluster.store.items("configmaps")
        }

    def shards(self) -> list[Shard]:
        """Return what the snapshots hold."""
        return [
            decode_shard(base64.b64decode(value["binaryData"]["snapshot"]))
            for value in self.config_maps().values()
        ]

    def kept(self) -> list[JsonObject]:
        """Return everything a service leaves behind, as it is stored now."""
        buckets = ("configmaps", "scaledobjects.flyball.dev")
        items: list[Item] = [
            item for bucket in buckets for item in self.cluster.store.items(bucket)
        ]
        return [copy.deepcopy(item.value) for item in items]

    def put_back(self, kept: list[JsonObject]) -> None:
        """Undo what a service wrote in the end: a crashed one writes no last words."""
        for old in kept:
            resource = self.cluster.registry.resource(old["apiVersion"], old["kind"])

            def undone(value: JsonObject, old: JsonObject = old) -> JsonObject:
                for part in ("binaryData", "status"):
                    if part in old:
                        value[part] = old[part]
                return value

            meta = old["metadata"]
            self.cluster.registry.modify(resource, meta["namespace"], meta["name"], undone)


@asynccontextmanager
async def stage(spec: Mapping[str, Any]) -> AsyncIterator[Stage]:
    """Set up a Deployment and its ScaledObject."""
    clock = ManualClock()
    async with Misbehaving().running() as source, EmbeddedCluster(clock=clock) as cluster:
        source.depth = 0
        made = Stage(cluster, source, clock, clock.now())
        async with running(SETTINGS, clock=clock, cluster=cluster) as world:
            world.deploy("worker", 1 if spec.get("minReplicaCount") else 0)
            world.scale_on("worker", metrics_api(f"{source.url}/depth"), **spec)
            await made.decided(world)
            made.collect(world)
        yield made


async def course(
    spec: Mapping[str, Any], values: Sequence[int], restarts: Sequence[int] = ()
) -> Course:
    """Return what becomes of an object when the service restarts before the given steps."""
    async with stage(spec) as made:
        edges = [0, *restarts, len(values)]
        for first, last in itertools.pairwise(edges):
            await made.play(values[first:last])
        return made.course


@pytest.mark.parametrize(
    ("spec", "values", "restarts"),
    [
        pytest.param(STABILIZED, FALL, [10], id="window"),
        pytest.param(STABILIZED, FALL, [4, 9, 13, 14, 20, 22, 23], id="window-often"),
        pytest.param(COOLING, STOP, [7], id="cooldown"),
        pytest.param(COOLING, STOP, [3, 4, 10, 11, 12], id="cooldown-often"),
        pytest.param(RATED, BOTH, [3, 6, 16, 20, 25, 30, 33], id="rates"),
    ],
)
async def test_a_restart_changes_no_decision(
    spec: Mapping[str, Any], values: Sequence[int], restarts: Sequence[int]
) -> None:
    """Counts, instants, reasons and conditions equal those of a service that was never stopped."""
    whole = await course(spec, values)
    assert len(whole.rescales) >= 3
    parts = await course(spec, values, restarts)
    assert parts.rescales == whole.rescales
    assert parts.steps == whole.steps


@pytest.mark.parametrize(
    ("spec", "values", "crash_at"),
    [
        pytest.param(STABILIZED, FALL, 10, id="window"),
        pytest.param(STABILIZED, FALL, 3, id="after-the-peak"),
        pytest.param(COOLING, STOP, 3, id="active"),
        pytest.param(COOLING, STOP, 7, id="cooldown"),
    ],
)
async def test_a_crash_only_makes_windows_longer(
    spec: Mapping[str, Any], values: Sequence[int], crash_at: int
) -> None:
    """Without last words nothing is lowered early, and late by the refresh interval at most."""
    whole = await course(spec, values)
    async with stage(spec) as made:
        await made.play(values[:crash_at], crashes=True)
        assert all(shard.lasts_seconds for shard in made.shards())
        await made.play(values[crash_at:])
        crashed = made.course
    assert [rescale[1:3] for rescale in crashed.rescales] == [r[1:3] for r in whole.rescales]
    for late, due in zip(crashed.rescales, whole.rescales, strict=True):
        assert due[0] <= late[0] <= due[0] + REFRESH_SECONDS + STEP_SECONDS
    assert crashed.steps[-1] == whole.steps[-1]


async def test_snapshots_are_few_and_small() -> None:
    """One object is one ConfigMap in the service's namespace, of a few hundred bytes."""
    async with stage(STABILIZED) as made:
        await made.play(FALL[:8])
        (name,) = made.config_maps()
        assert name in {f"flyball-memory-{number}" for number in range(SHARDS)}
        (shard,) = made.shards()
        assert shard.lasts_seconds == 0.0
        assert len(encode_shard(shard)) < 1000


async def test_a_recreated_object_has_no_past() -> None:
    """Deleted and created again, while nobody watches, it knows nothing of its old peak."""
    async with stage(STABILIZED) as made:
        await made.play([80, 80])
        registry = made.cluster.registry
        resource = registry.resource("flyball.dev/v1alpha1", "ScaledObject")
        old = registry.get(resource, "default", "worker").value
        registry.delete(resource, "default", "worker")
        made.cluster.create(
            {
                "apiVersion": old["apiVersion"],
                "kind": old["kind"],
                "metadata": {"name": "worker"},
                "spec": old["spec"],
            }
        )
        made.source.depth = 30
        await made.play([30])
        # Its first look found 8 replicas, which it remembers as the HPA does: nothing else.
        (entry,) = [entry for shard in made.shards() for entry in shard.entries]
        assert entry.uid != old["metadata"]["uid"]
        assert made.course.steps[-1][0] == 8


async def test_a_target_edited_while_nobody_watches_took_no_steps_of_the_old_one() -> None:
    """Four replicas in ten minutes, just added to the old target: the new one has its own four."""
    rule = {"type": "Pods", "value": 4, "periodSeconds": 600}
    behavior = {"scaleUp": {"policies": [rule]}}
    spec = {
        "minReplicaCount": 1,
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior}},
    }
    async with stage(spec) as made:
        await made.play([200, 200])
        assert made.course.steps[-1][0] == 5
        registry = made.cluster.registry
        kind = registry.resource("apps/v1", "Deployment")
        found = registry.get(kind, "default", "worker").value
        labels = {"app": "other"}
        template = {**found["spec"]["template"], "metadata": {"labels": labels}}
        wanted = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        made.cluster.create(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "other"},
                "spec": wanted,
            }
        )

        def elsewhere(value: JsonObject) -> JsonObject:
            value["spec"]["scaleTargetRef"]["name"] = "other"
            return value

        resource = registry.resource("flyball.dev/v1alpha1", "ScaledObject")
        registry.modify(resource, "default", "worker", elsewhere)
        await made.play([200])
        assert registry.get(kind, "default", "other").value["spec"]["replicas"] == 5


async def test_unreadable_snapshots_hold_the_count_and_start_anew() -> None:
    """Garbage in every shard: the log names each, the count found is held for a whole window."""
    async with stage(STABILIZED) as made:
        await made.play([80, 80])
        stored = [*made.config_maps().values()]
        for value in stored:
            value["binaryData"]["snapshot"] = base64.b64encode(b"garbage").decode()
        made.put_back(stored)
        with structlog.testing.capture_logs() as logs:
            await made.play([30] * 21)
        assert [line["config_map"] for line in logs if line["event"] == "snapshot_ignored"]
        counts = [count for count, _, _ in made.course.steps]
        assert counts == [8] * 22 + [3]


async def test_a_long_absence_holds_the_count_for_a_window() -> None:
    """After an hour away nothing stored is recent: the count found is held, as the HPA would."""
    async with stage(STABILIZED) as made:
        await made.play([80, 80])
        made.clock.advance(3600)
        made.source.depth = 30
        await made.play([30] * 21)
        counts = [count for count, _, _ in made.course.steps]
        assert counts[:2] == [8, 8]
        assert counts[2:-2] == [8] * 19
        assert counts[-1] == 3


async def test_a_clock_set_back_holds_no_longer_than_a_window() -> None:
    """Instants later than now count as now, so nothing is held for the hour the clock lost."""
    async with stage(STABILIZED) as made:
        await made.play([80, 80])
        made.clock = ManualClock(made.clock.now() - 3600)
        made.cluster.clock = made.clock
        await made.play([30] * 22)
        counts = [count for count, _, _ in made.course.steps]
        assert counts[2:21] == [8] * 19
        assert counts[-1] == 3
