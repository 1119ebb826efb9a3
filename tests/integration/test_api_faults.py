"""An API server that misbehaves delays scaling but never leads it astray."""

from __future__ import annotations

import pytest

from autoscaler.controller.settings import ControllerSettings
from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.faults import FaultRates
from tests.integration.test_bad_input import cron
from tests.integration.test_service import want
from tests.integration.world import running

RATES = FaultRates(
    conflicts=0.3,
    expired=0.05,
    too_many_requests=0.05,
    server_errors=0.15,
    lost_replies=0.1,
    dropped_watches=0.5,
    expired_watches=0.2,
    slow=0.1,
    slow_seconds=0.3,
    watch_seconds=2.0,
)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_replicas_converge_under_faults(seed: int) -> None:
    """With every third write refused, watches cut and answers lost, targets get their counts."""
    settings = ControllerSettings(retry_seconds=0.5, status_seconds=1.0, refresh_seconds=5.0)
    async with (
        EmbeddedCluster(seed=seed, rates=RATES) as cluster,
        running(settings, cluster=cluster) as world,
    ):
        for index in range(5):
            world.deploy(f"web-{index}", 0)
            world.scale_on(f"web-{index}", cron(desiredReplicas=str(index + 1)))
        for index in range(5):
            name = f"web-{index}"
            await world.until(lambda n=name, c=index + 1: world.replicas(n) == c, 30)  # type: ignore[misc]
        for index in range(5):
            want(world, f"web-{index}", 10 + index)
        for index in range(5):
            name = f"web-{index}"
            await world.until(lambda n=name, c=index + 10: world.replicas(n) == c, 30)  # type: ignore[misc]
            assert world.history[name] == [0, index + 1, index + 10]
