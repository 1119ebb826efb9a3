"""How soon a push by our server has KEDA wake a Deployment."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from autoscaler.kube.transport import KubeClient
from tests.e2e.controlplane import ControlPlane
from tests.e2e.external.cases import AT_ONCE
from tests.e2e.external.installed import external_scaler
from tests.e2e.external.manifests import PUSH, inline, read_from, scaled_object
from tests.e2e.hpa.recorder import Recorder
from tests.e2e.keda.installed import is_ready
from tests.e2e.keda.source import Source
from tests.e2e.objects import Objects, own_namespace, until

TRIES = 10
MEDIAN_SECONDS_MAX = 1.0
NEVER_SECONDS = 600
"""KEDA's polling interval: what wakes the Deployments is the push."""
SEED = 7


class Woken(NamedTuple):
    """How long it took until the API server had replicas, as heard from a watch.

    Attributes:
        changed_seconds: Since the metric changed.
        read_seconds: Since the server read that.
    """

    changed_seconds: float
    read_seconds: float


@pytest.mark.slow
async def test_a_push_wakes_a_deployment_within_a_second(
    cluster: ControlPlane,
    client: KubeClient,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ten Deployments at zero; our policy polls each second, KEDA not at all: the median."""
    source, recorder, rng = Source(), Recorder(client), Random(SEED)
    names = [f"sleeper-{number}" for number in range(TRIES)]
    took = []
    async with (
        own_namespace(client) as objects,
        source.serving(),
        external_scaler(objects, cluster, client, tmp_path) as server,
        asyncio.TaskGroup() as group,
    ):
        recording = group.create_task(recorder.record_replicas(objects.namespace))
        for name in names:
            source.values[name] = (0.0,)
            await objects.deploy(name)
            await objects.create(_sleeper(name, server.address, source.url))
        for name in names:
            await until(f"{name} is ready", partial(is_ready, objects, name), 60.0)
            await until(f"{name} is polled", partial(_is_polled, source, name))
        for name in names:
            # Somewhere between two polls.
            await asyncio.sleep(rng.uniform(0.5, 1.5))
            took.append(await _woken(name, source, recorder, objects))
        recording.cancel()
    median = statistics.median(one.changed_seconds for one in took)
    since_read = statistics.median(one.read_seconds for one in took)
    with capsys.disabled():
        each = " ".join(f"{one.changed_seconds:.2f}" for one in took)
        sys.stdout.write(
            f"\nfrom zero through push: {each} s, median {median:.2f} s; "
            f"since the metric was read: median {since_read:.2f} s\n"
        )
    assert median < MEDIAN_SECONDS_MAX, took


def _sleeper(name: str, address: str, url: str) -> dict[str, object]:
    trigger = {"type": "metrics-api", "metadata": read_from(f"{url}/{name}/0")}
    policy = {"pollingInterval": 1, "cooldownPeriod": 0, **AT_ONCE, "triggers": [trigger]}
    metadata = inline(policy)
    return scaled_object(name, address, metadata, kind=PUSH, polling_seconds=NEVER_SECONDS)


async def _is_polled(source: Source, name: str) -> bool:
    return any(read.name == name for read in source.reads)


async def _woken(name: str, source: Source, recorder: Recorder, objects: Objects) -> Woken:
    """Change a metric and wait for replicas."""
    series = recorder.series[objects.namespace, name]
    assert [point.replicas for point in series] == [0], series
    source.values[name] = (30.0,)
    changed_at = time.monotonic()

    async def is_awake() -> bool:
        return series[-1].replicas > 0

    await until(f"{name} is awake", is_awake)
    read_at = next(read.at for read in source.reads if read.name == name and read.value)
    ago_seconds = time.time() - read_at - (time.monotonic() - series[1].at)
    return Woken(series[1].at - changed_at, ago_seconds)
