"""The real HPA controller and we scale the same Deployments on the same metrics."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml

from autoscaler.kube.transport import KubeClient
from tests.e2e.conftest import CRD_FOLDER
from tests.e2e.controlplane import ControlPlane
from tests.e2e.fixtures import quick_plane
from tests.e2e.hpa.cases import random_cases
from tests.e2e.hpa.report import counts, mismatches
from tests.e2e.hpa.run import Namespaces, run_all
from tests.e2e.hpa.timing import DOWNSCALE_SECONDS, SYNC_SECONDS
from tests.e2e.objects import Objects, define, own_namespace

CHANGES_MIN = 5
"""Of an object on average; with fewer, equality would say little."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """A control plane whose HPA looks more often."""
    yield from quick_plane(SYNC_SECONDS, DOWNSCALE_SECONDS)


@pytest.fixture
async def namespaces(client: KubeClient, objects: Objects) -> AsyncIterator[Namespaces]:
    """Two, on a cluster that knows objects of both groups."""
    for path in sorted(CRD_FOLDER.glob("*.yaml")):
        body = yaml.safe_load(path.read_text().replace("flyball.dev", "keda.sh"))
        await define(objects, body)
    async with own_namespace(client) as other:
        yield Namespaces(in_step=objects, at_once=other)


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.parametrize("service_kubeconfig", [["watch-keda"]], indirect=True, ids=[""])
async def test_replica_series_equal_the_hpas_up_to_one_sync_period(
    namespaces: Namespaces,
    client: KubeClient,
    service_kubeconfig: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """For thirty random specs and series, every change has its counterpart within one period."""
    cases = random_cases()
    results, start_at = await run_all(
        cases, namespaces, client=client, kubeconfig=service_kubeconfig, folder=tmp_path
    )
    with capsys.disabled():
        sys.stdout.write(f"\n{counts(results)}\n")
    assert len(results) == 30
    differing = mismatches(results, start_at)
    assert not differing, f"{counts(results)}\n\n{differing}"
    assert sum(one.verdict.changes for one in results) >= CHANGES_MIN * len(results)
