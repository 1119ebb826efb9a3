"""An edit of a policy in trigger metadata: another text about the same target."""

from __future__ import annotations

import asyncio

from autoscaler.demo.cluster import EmbeddedCluster
from tests.integration.external_world import eventually, ref, serving
from tests.integration.test_external_scaler import deployment, inline, keda_object

SLOW_RATE = {
    "horizontalPodAutoscalerConfig": {
        "behavior": {
            "scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]},
        }
    }
}


async def test_an_edit_ends_no_cooldown():
    """The work that was seen before the edit counts after it, too."""
    async with serving() as world, world.client() as keda:
        world.source.values["jobs"] = 20
        trigger = world.source.trigger("jobs")
        before = ref(inline(trigger, cooldownPeriod=300))
        await keda.until(before, 4)
        world.source.values["jobs"] = 0
        (served,) = world.scaler.policies.all()
        await eventually(lambda: not served.tracked.journal.latest.decision.is_active)
        edited = ref(inline(trigger, cooldownPeriod=301))
        for _ in range(3):
            assert await keda.value(edited) == await keda.value(before) == 4
            assert await keda.is_active(edited) is True
            await asyncio.sleep(0.7)


async def test_an_edit_ends_no_scale_down_window():
    """What was wanted before it still holds the count, for a target in a cluster as elsewhere."""
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url) as world,
        world.client() as keda,
    ):
        cluster.create(deployment(20))
        cluster.create(keda_object("web"))
        world.source.values["jobs"] = 100
        trigger = world.source.trigger("jobs")
        before = ref(inline(trigger, cooldownPeriod=300))
        await keda.until(before, 20)
        world.source.values["jobs"] = 0
        (served,) = world.scaler.policies.all()
        await eventually(lambda: not served.tracked.journal.latest.decision.is_active)
        edited = ref(inline(trigger, cooldownPeriod=300, maxReplicaCount=60))
        world.source.values["jobs"] = 5
        for _ in range(3):
            assert await keda.value(edited) == 20
            await asyncio.sleep(0.7)


async def test_an_edit_ends_no_rate():
    """Replicas added before it count towards what the period allows."""
    async with serving() as world, world.client() as keda:
        world.source.values["jobs"] = 10
        trigger = world.source.trigger("jobs")
        before = ref(inline(trigger, advanced=SLOW_RATE))
        await keda.until(before, 2)
        world.source.values["jobs"] = 100
        edited = ref(inline(trigger, advanced=SLOW_RATE, maxReplicaCount=60))
        for _ in range(3):
            assert await keda.value(edited) == 2
            await asyncio.sleep(0.7)


async def test_an_edit_that_made_nonsense_in_between_loses_nothing():
    """The policy that works again goes on from the last one that did."""
    async with serving(objects=2) as world, world.client() as keda:
        world.source.values["jobs"] = 20
        trigger = world.source.trigger("jobs")
        await keda.until(ref(inline(trigger, cooldownPeriod=300)), 4)
        world.source.values["jobs"] = 0
        (served,) = world.scaler.policies.all()
        await eventually(lambda: not served.tracked.journal.latest.decision.is_active)
        await keda.refused(ref(inline({"type": "nonsense", "metadata": {}})))
        repaired = ref(inline(trigger, cooldownPeriod=301))
        for _ in range(3):
            assert await keda.value(repaired) == 4
            assert await keda.is_active(repaired) is True
            await asyncio.sleep(0.7)
