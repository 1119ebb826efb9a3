"""The service on the embedded cluster and the simulator scale a queue alike, step by step.

Both run in virtual time. A queue is fed by the test and drained by the replicas there are; the
service reads it over HTTP, scales a Deployment through the API server and is told nothing else. The
simulator gets the object, the arrivals and the start-up time.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.runtime.clock import ManualClock
from simulations.engine.exact import TierSpec, replay
from simulations.plant.parameters import (
    Delay,
    Plant,
    Service,
    Signal,
    SignalKind,
    StartUp,
    Waiting,
)
from simulations.plant.tier import Tier
from simulations.policies.objects import TriggerModel, subject_of_object
from simulations.workload.load import Load
from tests.integration.test_restart import SETTINGS, STEP_SECONDS, Stage
from tests.integration.test_source_faults import Misbehaving, metrics_api
from tests.integration.world import World, running

STEPS = 60
START_SECONDS = 3.0
PLANT = Plant(
    service=Service(mean_seconds=6.0, concurrency=1),
    start_up=StartUp(container=Delay(median_seconds=START_SECONDS, p95_seconds=START_SECONDS)),
    waiting=Waiting(slo_seconds=60.0, timeout_seconds=100_000.0, buffer_requests=1e9),
)
"""A replica works off 2.5 requests per step."""

BEHAVIORS: Sequence[Mapping[str, Any] | None] = (
    None,
    {"scaleDown": {"stabilizationWindowSeconds": 60}},
    {
        "scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]},
        "scaleDown": {
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Percent", "value": 50, "periodSeconds": 120}],
        },
    },
    {
        "scaleUp": {"stabilizationWindowSeconds": 45, "tolerance": "0"},
        "scaleDown": {
            "stabilizationWindowSeconds": 120,
            "selectPolicy": "Min",
            "policies": [
                {"type": "Pods", "value": 3, "periodSeconds": 60},
                {"type": "Percent", "value": 25, "periodSeconds": 180},
            ],
        },
    },
)


def scenario(number: int) -> tuple[dict[str, Any], list[float]]:
    """Return the spec of an object and the arrivals of each step."""
    rng = random.Random(number)
    behavior = BEHAVIORS[number % len(BEHAVIORS)]
    minimum = rng.choice([0, 0, 1, 2])
    spec: dict[str, Any] = {
        "pollingInterval": round(STEP_SECONDS),
        "minReplicaCount": minimum,
        "maxReplicaCount": rng.choice([4, 12, 40]),
        "cooldownPeriod": rng.choice([0, 45, 120]),
    }
    if minimum == 2:
        spec["idleReplicaCount"] = rng.choice([0, 1])
    if behavior is not None:
        spec["advanced"] = {"horizontalPodAutoscalerConfig": {"behavior": behavior}}
    arrivals: list[float] = []
    while len(arrivals) < STEPS:
        level = round(rng.choice([0, 0, 0.2, 0.5, 1.1]) * spec["maxReplicaCount"] * 2.5)
        arrivals += [float(rng.randint(level // 2, level)) for _ in range(rng.randint(3, 12))]
    return spec, arrivals[:STEPS]


async def live(spec: Mapping[str, Any], arrivals: Sequence[float]) -> list[int]:
    """Return the replicas the service asked for, after each step's decision.

    Pods of the cluster serve from the step after their creation on, as those of the simulator do
    whose start-up ends within a step.
    """
    clock = ManualClock()
    async with (
        Misbehaving().running() as source,
        EmbeddedCluster(clock=clock) as cluster,
        running(SETTINGS, clock=clock, cluster=cluster) as world,
    ):
        source.depth = 0
        made = Stage(cluster, source, clock, clock.now())
        world.deploy("worker", 1 if spec.get("minReplicaCount") else 0)
        await world.until(lambda: pods(world) == world.replicas("worker"))
        serving = pods(world)
        world.scale_on("worker", metrics_api(f"{source.url}/depth"), **spec)
        await made.decided(world)
        queue = Tier(PLANT, [0], step_ms=15_000, replicas=0)
        counts = [world.replicas("worker")]
        for arrived in arrivals[:-1]:
            queue.serving = min(serving, counts[-1])
            queue.serve(arrived, 1e9)
            await world.until(lambda: pods(world) == world.replicas("worker"))
            serving = pods(world)
            clock.advance(STEP_SECONDS)
            source.depth = queue.backlog
            world.service._collector.ask("default/worker")
            await made.decided(world)
            counts.append(world.replicas("worker"))
        return counts


def pods(world: World) -> int:
    """Return the pods there are: whatever their start-up, it is over within a step."""
    return sum(
        "deletionTimestamp" not in item.value["metadata"]
        for item in world.cluster.store.items("pods")
    )


def simulated(spec: Mapping[str, Any], arrivals: Sequence[float]) -> list[int]:
    """Return the replicas of the simulator."""
    raw = {
        "apiVersion": "flyball.dev/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "worker", "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"name": "worker"},
            "triggers": [metrics_api("http://queue.invalid/depth")],
            **spec,
        },
    }
    signal = Signal(
        name="queue", kind=SignalKind.QUEUE_LENGTH, lag_seconds=0, scrape_seconds=STEP_SECONDS
    )
    subject = subject_of_object(raw, {"0": TriggerModel(signal="queue")}, [signal])
    load = Load(
        name="queue",
        start_at=1_700_000_000.0,
        step_seconds=STEP_SECONDS,
        expected=np.array(arrivals),
        counted=np.array(arrivals, dtype=np.int64),
        known=np.ones(len(arrivals), dtype=bool),
    )
    tier = TierSpec(
        name="worker",
        plant=PLANT,
        autoscaler=subject.autoscaler(),
        signals=[signal],
        replicas=1 if spec.get("minReplicaCount") else 0,
    )
    counts: list[int] = replay([tier], load, seed=0)["worker"].replicas.tolist()
    return counts


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", range(20))
async def test_the_service_scales_as_simulated(number):
    """The same replicas after every step: activation, cooldown, idle, windows and rate limits."""
    spec, arrivals = scenario(number)
    expected = simulated(spec, arrivals)
    assert len(set(expected)) >= 3, "nothing much happens"
    assert await live(spec, arrivals) == expected, spec
