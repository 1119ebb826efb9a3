"""The real KEDA and we scale the same Deployments by the same objects on the same series."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from autoscaler.api.annotations import ADOPT
from autoscaler.controller.objects import WatchKeda
from autoscaler.core.model import HpaSettings
from autoscaler.kube.transport import KubeClient
from tests.e2e.controlplane import ControlPlane
from tests.e2e.fixtures import quick_plane
from tests.e2e.hpa.compare import Verdict, compare, side_by_side
from tests.e2e.hpa.recorder import Recorder
from tests.e2e.keda.cases import (
    CASES,
    DOWNSCALE_SECONDS,
    PAUSED,
    POLL_SECONDS,
    SYNC_SECONDS,
    Case,
)
from tests.e2e.keda.installed import is_ready, keda_for
from tests.e2e.keda.source import Source
from tests.e2e.live import QUICK, running
from tests.e2e.objects import Objects, own_namespace, until
from tests.servers.process import ServerMissing

KEDA = "keda.sh/v1alpha1"
SETTINGS = msgspec.structs.replace(
    QUICK,
    watch_keda=WatchKeda.ANNOTATED,
    hpa=HpaSettings(
        sync_period_seconds=float(SYNC_SECONDS),
        downscale_stabilization_seconds=float(DOWNSCALE_SECONDS),
    ),
)
ANSWER_SECONDS = 1.0
"""For a read, a write, and being told of it, on a busy machine."""
APART_SECONDS = POLL_SECONDS + SYNC_SECONDS + ANSWER_SECONDS
"""Two KEDAs with the same object differ by as much: each polls, and after that its HPA looks, at a
moment of its own."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """A control plane whose HPA looks more often."""
    yield from quick_plane(SYNC_SECONDS, DOWNSCALE_SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.parametrize("service_kubeconfig", [["watch-keda"]], indirect=True, ids=[""])
async def test_replica_series_equal_kedas(
    *,
    cluster: ControlPlane,
    client: KubeClient,
    objects: Objects,
    service_kubeconfig: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ten objects, with us and with KEDA: the same counts in the same order at the same times."""
    source, recorder = Source(), Recorder(client)
    settings = msgspec.structs.replace(SETTINGS, namespace=objects.namespace)
    async with own_namespace(client) as theirs, source.serving():
        try:
            async with (
                keda_for(theirs.namespace, cluster, client, tmp_path),
                running(service_kubeconfig, settings),
            ):
                start_at, end_at = await _run(theirs, objects, source, recorder)
        except ServerMissing as missing:
            pytest.skip(str(missing))
        finally:
            for side in (theirs, objects):
                await side.delete_ours(KEDA)
    verdicts: list[Verdict] = []
    tables = []
    for case in CASES:
        given = recorder.series[theirs.namespace, case.name]
        ours = recorder.series[objects.namespace, case.name]
        verdict = compare(given, ours, period_seconds=APART_SECONDS, end_at=end_at)
        verdicts.append(verdict)
        if verdict.mismatch or given[-1].replicas != case.ends_at:
            said = verdict.mismatch or f"ends at {given[-1].replicas}, not {case.ends_at}"
            tables.append(f"{case.name}: {said}\n{side_by_side(given, ours, start_at)}")
        if max(point.replicas for point in given) != case.highest:
            tables.append(f"{case.name}: never reached {case.highest}")
    changes = sum(one.changes for one in verdicts)
    lag = max(one.lag_seconds for one in verdicts)
    summary = (
        f"{len(CASES)} objects, {changes} replica changes of KEDA matched, at most {lag:.1f} s "
        f"apart, {len(tables)} mismatches"
    )
    with capsys.disabled():
        sys.stdout.write(f"\n{summary}\n")
    assert not tables, summary + "\n\n" + "\n\n".join(tables)


async def _run(
    theirs: Objects, ours: Objects, source: Source, recorder: Recorder
) -> tuple[float, float]:
    """Create everything, drive all series at once; returns start and end, monotonic."""
    for case in CASES:
        source.values[case.name] = case.series[0].values
        for side in (theirs, ours):
            await side.deploy(case.name, case.replicas)
    async with asyncio.TaskGroup() as tasks:
        recording = [
            tasks.create_task(recorder.record_replicas(side.namespace)) for side in (theirs, ours)
        ]
        for case in CASES:
            for side in (theirs, ours):
                await side.create(_scaled_object(case, source.url, is_ours=side is ours))
        for side in (theirs, ours):
            for case in CASES:
                await until(f"{case.name} is ready", partial(is_ready, side, case.name), 60.0)
        start_at = time.monotonic()
        async with asyncio.TaskGroup() as drivers:
            for case in CASES:
                drivers.create_task(_drive(case, source, (theirs, ours)))
        await asyncio.sleep(2 * APART_SECONDS)
        end_at = time.monotonic()
        for task in recording:
            task.cancel()
    return start_at, end_at


async def _drive(case: Case, source: Source, sides: tuple[Objects, Objects]) -> None:
    for step in case.series:
        source.values[case.name] = step.values
        if step.resumed:
            change = {"metadata": {"annotations": {PAUSED: None}}}
            for side in sides:
                await side.patch(KEDA, "ScaledObject", case.name, change)
        await asyncio.sleep(step.seconds)


def _scaled_object(case: Case, url: str, *, is_ours: bool) -> dict[str, Any]:
    """Return the object of a case; the only difference between the sides is who acts on it."""
    names = "ab"[: len(case.series[0].values)]
    triggers = [
        {
            "type": "metrics-api",
            "name": name,
            "metadata": {
                "url": f"{url}/{case.name}/{index}",
                "valueLocation": "value",
                **case.trigger,
            },
        }
        for index, name in enumerate(names)
    ]
    annotations = dict(case.annotations) | ({ADOPT: "true"} if is_ours else {})
    return {
        "apiVersion": KEDA,
        "kind": "ScaledObject",
        "metadata": {"name": case.name, "annotations": annotations},
        "spec": {
            "scaleTargetRef": {"name": case.name},
            "pollingInterval": POLL_SECONDS,
            **case.spec,
            "triggers": triggers,
        },
    }
