"""One run: all cases side by side, under the HPA and under us."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from autoscaler.controller.objects import WatchKeda
from autoscaler.controller.snapshots import SnapshotSettings
from autoscaler.core.model import HpaSettings
from autoscaler.kube.transport import KubeClient
from tests.e2e.aggregation import put_behind
from tests.e2e.hpa.adapter import Adapter
from tests.e2e.hpa.cases import LOOKS, Case
from tests.e2e.hpa.compare import compare
from tests.e2e.hpa.manifests import (
    GROUPS,
    autoscaler,
    deployment,
    scaled_object,
)
from tests.e2e.hpa.recorder import Recorder
from tests.e2e.hpa.report import Result
from tests.e2e.hpa.series import Course
from tests.e2e.hpa.timing import (
    DOWNSCALE_SECONDS,
    START_AFTER_SECONDS,
    SYNC_SECONDS,
)
from tests.e2e.live import QUICK, running
from tests.e2e.objects import Objects, until

HPA = HpaSettings(downscale_stabilization_seconds=DOWNSCALE_SECONDS)
SERVICE = msgspec.structs.replace(QUICK, hpa=HPA, snapshots=SnapshotSettings(is_enabled=False))
IN_STEP = msgspec.structs.replace(
    SERVICE,
    watch_keda=WatchKeda.ALL,
    hpa=msgspec.structs.replace(HPA, sync_period_seconds=float(SYNC_SECONDS)),
)
RUN_SECONDS = (LOOKS + 4) * SYNC_SECONDS * 1.2


class Namespaces(NamedTuple):
    """Where cases are, by when we look at them; each namespace has a service of its own.

    Attributes:
        in_step: Once per sync period, shortened with the HPA's.
        at_once: Whenever something changes.
    """

    in_step: Objects
    at_once: Objects

    def of(self, case: Case) -> Objects:
        """Return where a case is."""
        return self.at_once if case.is_at_once else self.in_step


async def run_all(
    cases: Sequence[Case],
    namespaces: Namespaces,
    *,
    client: KubeClient,
    kubeconfig: Path,
    folder: Path,
) -> tuple[list[Result], float]:
    """Run all cases at the same time and compare.

    Args:
        cases: What to run.
        namespaces: Empty ones.
        client: Of a user who may do everything.
        kubeconfig: Of the service under test.
        folder: For certificates.

    Returns:
        A result per case, and when the run began on the monotonic clock.
    """
    courses = {case.number: Course(case.series) for case in cases}
    recorder = Recorder(client)
    adapter = Adapter(cases, courses, recorder.pods)
    async with adapter.serving(folder):
        await put_behind(namespaces.in_step, adapter.port, GROUPS)
        await _deploy(cases, namespaces)
        async with _recording(recorder, namespaces), _services(kubeconfig, namespaces):
            start_at = time.monotonic()
            async with asyncio.timeout(RUN_SECONDS), asyncio.TaskGroup() as group:
                for case in cases:
                    group.create_task(_start(case, namespaces.of(case), adapter.url, len(cases)))
                for course in courses.values():
                    group.create_task(course.done.wait())
            await asyncio.sleep(2 * SYNC_SECONDS)
            end_at = time.monotonic()
    results = []
    for case in cases:
        namespace = namespaces.of(case).namespace
        theirs, ours = (
            recorder.series[namespace, case.theirs],
            recorder.series[namespace, case.ours],
        )
        verdict = compare(theirs, ours, period_seconds=SYNC_SECONDS, end_at=end_at)
        results.append(Result(case, theirs, ours, verdict, courses[case.number].looks))
    return results, start_at


async def _deploy(cases: Sequence[Case], namespaces: Namespaces) -> None:
    """Create the Deployments and wait until all their pods are ready."""
    for case in cases:
        for name in (case.theirs, case.ours):
            await namespaces.of(case).create(deployment(name, case.replicas))
    for case in cases:
        for name in (case.theirs, case.ours):
            ready = partial(_is_ready, namespaces.of(case), name, case.replicas)
            await until("all pods are ready", ready, 60.0)


async def _is_ready(objects: Objects, name: str, replicas: int) -> bool:
    return await objects.ready_replicas(name) == replicas


async def _start(case: Case, objects: Objects, adapter_url: str, of: int) -> None:
    """Create HPA and object of a case; the looks at all the cases spread over a period."""
    await asyncio.sleep(SYNC_SECONDS * case.number / of)
    await objects.create(autoscaler(case))
    await asyncio.sleep(START_AFTER_SECONDS)
    await objects.create(scaled_object(case, adapter_url))


@asynccontextmanager
async def _recording(recorder: Recorder, namespaces: Namespaces) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(recorder.record_replicas(one.namespace)) for one in namespaces]
        # Only there are cases of cpu.
        tasks.append(group.create_task(recorder.record_pods(namespaces.in_step.namespace)))
        yield
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def _services(kubeconfig: Path, namespaces: Namespaces) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for objects, settings in zip(namespaces, (IN_STEP, SERVICE), strict=True):
            own = msgspec.structs.replace(settings, namespace=objects.namespace)
            await stack.enter_async_context(running(kubeconfig, own))
        yield
