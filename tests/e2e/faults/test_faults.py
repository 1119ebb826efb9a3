"""Faults of the API server: nothing is lowered by an error, nothing lost, all is soon as before."""

from __future__ import annotations

import asyncio
import statistics
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from autoscaler.kube.transport import KubeClient
from tests.e2e.controlplane import ControlPlane
from tests.e2e.faults.episode import RECOVERY_SECONDS, Outcome, begun
from tests.e2e.faults.kinds import FAULTS
from tests.servers import RedisServer

pytestmark = pytest.mark.real("redis-server")

EPISODES_AT_ONCE = 5
LISTS_MAX = 2
"""How often each collection may be listed because of a fault: once when a watch could not go on,
once more where the first list came too early."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", FAULTS)
async def test_nothing_is_lowered_or_lost_by(
    fault: str,
    *,
    control_plane: ControlPlane,
    client: KubeClient,
    definitions: None,
    redis_server: RedisServer,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Replicas only rise while work does, and within two polling intervals all is as it should."""
    seeds = range(request.config.getoption("--fault-seeds"))
    outcomes: list[Outcome] = []
    for batch in [seeds[i : i + EPISODES_AT_ONCE] for i in range(0, len(seeds), EPISODES_AT_ONCE)]:
        async with AsyncExitStack() as stack:
            begin = [begun(seed, control_plane, client, redis_server, tmp_path) for seed in batch]
            episodes = [await stack.enter_async_context(one) for one in begin]
            await FAULTS[fault](control_plane, episodes, Random(f"{fault} {batch[0]}"))
            async with asyncio.TaskGroup() as tasks:
                waiting = [tasks.create_task(episode.outcome()) for episode in episodes]
            outcomes += [task.result() for task in waiting]
    took = [one.recovery_seconds for one in outcomes]
    with capsys.disabled():
        sys.stdout.write(
            f"\n{fault}: {len(outcomes)} episodes, recovery median {statistics.median(took):.1f} s, "
            f"longest {max(took):.1f} s, lists {sum(one.lists for one in outcomes)} "
            f"(at start {sum(one.lists_at_start for one in outcomes)})\n"
        )
    assert [one for one in outcomes if one.lowered] == []
    assert [one for one in outcomes if one.recovery_seconds > RECOVERY_SECONDS] == []
    assert [one for one in outcomes if one.lists > LISTS_MAX * one.lists_at_start] == []
