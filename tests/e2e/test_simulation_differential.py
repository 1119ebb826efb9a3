"""A real control plane under load costs and serves what the simulation says it does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoscaler.kube.transport import KubeClient
from tests.e2e.controlplane import ControlPlane
from tests.e2e.fixtures import own_plane
from tests.e2e.objects import Objects
from tests.e2e.simulated.cases import (
    CASES,
    GONE_SECONDS,
    READY_SECONDS,
    SERVICE,
    WAITING,
    requests_of,
)
from tests.e2e.simulated.measured import Telemetry, figures_of
from tests.e2e.simulated.queue import Queue
from tests.e2e.simulated.report import Compared, fitted, is_eventful, table
from tests.e2e.simulated.run import run_all
from tests.e2e.simulated.simulate import simulated
from tests.e2e.simulated.source import Served


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """A control plane whose pods take a while to start and to end."""
    yield from own_plane(
        lambda: ControlPlane(pods_ready_seconds=READY_SECONDS, pods_gone_seconds=GONE_SECONDS)
    )


@pytest.mark.slow
@pytest.mark.timeout(420)
async def test_replica_hours_and_late_requests_are_as_simulated(
    client: KubeClient,
    objects: Objects,
    service_kubeconfig: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Three loads: replica-hours within 5 %, late requests within 2 points of the simulation."""
    loads = {case.name: case.load() for case in CASES}
    requests = {name: requests_of(load) for name, load in loads.items()}
    services = {
        name: Served(load, Queue(requests[name], concurrency=SERVICE.concurrency, waiting=WAITING))
        for name, load in loads.items()
    }
    pods = await run_all(
        CASES, services, objects=objects, client=client, kubeconfig=service_kubeconfig
    )
    telemetry = Telemetry()
    for name, served in services.items():
        telemetry.note(served, pods.lives[name], requests[name])
    plant = telemetry.plant()
    compared = [
        Compared(
            case,
            figures_of(services[case.name], pods.lives[case.name], requests[case.name]),
            *simulated(case, loads[case.name], plant),
        )
        for case in CASES
    ]
    shown = f"{fitted(plant)}\n{table(compared)}"
    with capsys.disabled():
        sys.stdout.write(f"\n{shown}\n")
    assert is_eventful(compared), shown
    assert all(one.agrees for one in compared), shown
