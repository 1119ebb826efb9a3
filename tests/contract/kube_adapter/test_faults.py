"""The reflector against the embedded API server's seeded faults, in virtual time."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.faults import FaultRates
from autoscaler.kube.codec import CustomObject, decode_custom
from autoscaler.kube.reflector import Reflector
from autoscaler.kube.resources import CONFIG_MAPS
from autoscaler.kube.store import Store
from autoscaler.kube.transport import KubeClient
from tests.doubles.clock import LoopClock

pytestmark = pytest.mark.looptime

STORM = FaultRates(
    expired=0.05,
    too_many_requests=0.1,
    server_errors=0.1,
    dropped_watches=0.5,
    stalled_watches=0.1,
    expired_watches=0.3,
    slow=0.2,
    watch_seconds=20.0,
)
STORM_SECONDS = 1800.0
CALM_SECONDS = 700.0
"""Longer than a watch that began to stall in the storm may last."""


def written(cluster: EmbeddedCluster) -> dict[str, str]:
    """Return name and version of every ConfigMap of the cluster."""
    resource = cluster.registry.resource("v1", "ConfigMap")
    return {
        item.value["metadata"]["name"]: str(item.version)
        for item in cluster.store.items(resource.storage, "default")
    }


@pytest.mark.parametrize("seed", range(5))
async def test_after_any_storm_the_store_equals_the_cluster(seed: int) -> None:
    """While faults rage the store stays synced; once they stop it becomes exact again."""
    rng = Random(seed)
    async with EmbeddedCluster(
        clock=LoopClock(), seed=seed, rates=STORM, workloads=False
    ) as cluster:
        client = KubeClient.for_url(cluster.url)
        store: Store[CustomObject] = Store()
        reflector = Reflector(
            client, CONFIG_MAPS, store, decode=decode_custom, namespace="default", rng=rng
        )
        try:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(reflector.run())
                await _live(cluster, rng)
                assert store.has_synced
                cluster.faults.rates = FaultRates()
                await asyncio.sleep(CALM_SECONDS)
                task.cancel()
        finally:
            await client.close()
        kept = {item.metadata.name: item.metadata.resource_version for item in store}
        assert kept == written(cluster)
        assert reflector.stats.errors >= 3


async def _live(cluster: EmbeddedCluster, rng: Random) -> None:
    """Create, change and delete ConfigMaps at random."""
    resource = cluster.registry.resource("v1", "ConfigMap")
    loop = asyncio.get_running_loop()
    end = loop.time() + STORM_SECONDS
    while loop.time() < end:
        name = f"c-{rng.randrange(30)}"
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "default"},
            "data": {"at": str(loop.time())},
        }
        exists = name in written(cluster)
        if not exists:
            cluster.create(body)
        elif rng.random() < 0.5:
            cluster.registry.delete(resource, "default", name)
        else:
            cluster.registry.update(resource, "default", name, body)
        await asyncio.sleep(rng.uniform(0.0, 10.0))
