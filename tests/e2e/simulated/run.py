"""One run on the control plane: all loads at the same time, each on its own Deployment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from autoscaler.kube.transport import KubeClient
from tests.e2e.live import QUICK, running
from tests.e2e.objects import Objects, until
from tests.e2e.simulated.cases import LOAD_SECONDS, POLL_SECONDS, Case
from tests.e2e.simulated.pods import Pods
from tests.e2e.simulated.source import Served, serving

PODS_READY_SECONDS = 60.0


async def run_all(
    cases: Sequence[Case],
    services: Mapping[str, Served],
    *,
    objects: Objects,
    client: KubeClient,
    kubeconfig: Path,
) -> Pods:
    """Put all loads on the control plane.

    Args:
        cases: What to run.
        services: What is served, by name of the case.
        objects: An empty namespace.
        client: Of a user who may do everything.
        kubeconfig: Of the service under test.

    Returns:
        The pods there were.
    """
    pods = Pods(services)
    settings = msgspec.structs.replace(QUICK, namespace=objects.namespace)
    async with asyncio.TaskGroup() as tasks, serving(services) as url:
        recording = tasks.create_task(pods.record(client, objects.namespace))
        for case in cases:
            await objects.deploy(case.name, case.replicas)
        for case in cases:
            await until("pods serve", partial(_serve, pods, case), PODS_READY_SECONDS)
        async with running(kubeconfig, settings):
            for case in cases:
                await objects.create(case.scaled_object(f"{url}/{case.name}"))
            for case in cases:
                await until("the object is Ready", partial(_is_ready, objects, case.name))
            async with asyncio.timeout(2 * POLL_SECONDS):
                for served in services.values():
                    served.arm()
                for served in services.values():
                    await served.begun.wait()
            await asyncio.sleep(LOAD_SECONDS)
        recording.cancel()
    for served in services.values():
        served.queue.advance(float("inf"))
    return pods


async def _serve(pods: Pods, case: Case) -> bool:
    return pods.ready(case.name) == case.replicas


async def _is_ready(objects: Objects, name: str) -> bool:
    return (await objects.condition(name))[0] == "True"
