"""What the tests on a real control plane share: connections, definitions, a namespace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from autoscaler.kube.transport import KubeClient, TransportLimits
from tests.deploy.rights import refused
from tests.e2e.controlplane import ControlPlane
from tests.e2e.fixtures import Cluster
from tests.e2e.live import account_of_the_service
from tests.e2e.objects import Objects, define, own_namespace

CRD_FOLDER = Path(__file__).parents[2] / "deploy" / "crds"
# The tests ask often while they wait; the service under test has limits of its own.
UNHURRIED = TransportLimits(queries_per_second=500.0, burst=500)
# The first test also starts the control plane.
TEST_SECONDS = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give these tests the time a real control plane takes."""
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[KubeClient]:
    """A connection of a user who may do everything."""
    connected = await KubeClient.connect(
        str(cluster.kubeconfig()), in_cluster=False, limits=UNHURRIED
    )
    try:
        yield connected
    finally:
        await connected.close()


@pytest.fixture
async def definitions(client: KubeClient) -> None:
    """The definitions of ``deploy/crds``, installed and served; those that were there are updated.

    They stay: on a cluster of the user's they may have been there before, with objects.
    """
    objects = Objects(client)
    for path in sorted(CRD_FOLDER.glob("*.yaml")):
        for body in yaml.safe_load_all(path.read_text()):
            await define(objects, body)


@pytest.fixture
async def objects(client: KubeClient, definitions: None) -> AsyncIterator[Objects]:
    """An empty namespace on a cluster that knows our kinds."""
    async with own_namespace(client) as empty:
        yield empty


@pytest.fixture
async def keda_definitions(client: KubeClient) -> AsyncIterator[None]:
    """KEDA's kinds, shaped as ours; they are removed again."""
    objects, names = Objects(client), []
    for path in sorted(CRD_FOLDER.glob("*.yaml")):
        body = yaml.safe_load(path.read_text().replace("flyball.dev", "keda.sh"))
        names.append(body["metadata"]["name"])
        await define(objects, body)
    try:
        yield
    finally:
        for name in names:
            await objects.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)


@pytest.fixture
async def service_kubeconfig(
    request: pytest.FixtureRequest, cluster: Cluster, objects: Objects
) -> AsyncIterator[Path]:
    """For the service under test: with the rights of ``deploy/kustomize/base`` and no others.

    Indirect parameters name components whose rights come on top. A request that is refused fails
    the test. On a cluster of the user's the service is that user.
    """
    if not isinstance(cluster, ControlPlane):
        yield cluster.kubeconfig()
        return
    components = getattr(request, "param", ())
    user, kubeconfig = await account_of_the_service(cluster, objects, *components)
    mark = cluster.audit_mark()
    yield kubeconfig
    events = await asyncio.to_thread(cluster.audit_events, user=user, since=mark)
    assert refused(events) == []
