"""KEDA scales by what ``flyball external-scaler`` says, whatever happens to the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from autoscaler.kube.transport import KubeClient
from tests.deploy.rights import granted, unused
from tests.e2e.controlplane import ControlPlane
from tests.e2e.deployed import ACCOUNT, COMPONENTS, ROLE_KINDS
from tests.e2e.external.audited import histories
from tests.e2e.external.cases import AT_ONCE, moving, rate
from tests.e2e.external.installed import keda_in
from tests.e2e.external.manifests import (
    POLL,
    PUSH,
    authentication,
    inline,
    read_from,
    scaled_object,
    secret,
)
from tests.e2e.external.server import ExternalScaler, MountedCertificates
from tests.e2e.hpa.recorder import Recorder
from tests.e2e.keda.installed import is_ready
from tests.e2e.keda.source import Source
from tests.e2e.objects import Objects, until

COMPONENT = "external-scaler"
"""Of Kustomize: what the server's account may do beside the base's."""
SOURCE = "queue"
TLS = "mtls"
FLAT = "flat"
SLOW = "slow"
EXACT = ("poll", "push", "named", TLS)
"""An inline policy of either kind, one of our objects, and one over mTLS."""
NAMES = (*EXACT, FLAT, SLOW)
"""Flat keys have no room for behavior, so that counts but zero go down after five minutes; the last
one may go up by three each two seconds."""
FOLLOWED_SECONDS = 60.0
"""gRPC waits a little longer after each attempt to connect that failed."""
UNANSWERED_MIN = 2
"""Syncs without a server that every Deployment has to go through unharmed."""


class Stage(NamedTuple):
    """What the test acts on."""

    plane: ControlPlane
    objects: Objects
    source: Source
    recorder: Recorder
    servers: tuple[ExternalScaler, ExternalScaler]
    certificates: MountedCertificates
    mark: int

    def counts(self) -> dict[str, list[int]]:
        """Return all replica counts of every Deployment so far."""
        space = self.objects.namespace
        return {
            name: [point.replicas for point in self.recorder.series[space, name]] for name in NAMES
        }

    async def has_followed(self, replicas: int, **others: int) -> None:
        """Wait until every Deployment has exactly so many replicas, or what is said by name."""

        async def have_followed() -> bool:
            return all(
                counts[-1:] == [others.get(name, replicas)]
                for name, counts in self.counts().items()
            )

        await until(f"{replicas} replicas everywhere", have_followed, FOLLOWED_SECONDS)

    async def step(self, value: float, replicas: int, **others: int) -> None:
        """Change the metric, and wait until all follow."""
        self.source.values[SOURCE] = (value,)
        await self.has_followed(replicas, **others)


@pytest.fixture
async def stage(
    cluster: ControlPlane,
    client: KubeClient,
    objects: Objects,
    service_kubeconfig: Path,
    tmp_path: Path,
) -> AsyncIterator[Stage]:
    """KEDA with an object for each way to name a policy, all on one metric, which is zero."""
    source, recorder = Source(), Recorder(client)
    source.values[SOURCE] = (0.0,)
    certificates = await asyncio.to_thread(MountedCertificates, tmp_path)
    async with (
        source.serving(),
        keda_in(objects, cluster, client, tmp_path),
        ExternalScaler(service_kubeconfig) as plain,
        ExternalScaler(certificates=certificates) as secure,
        _recording(recorder, objects.namespace),
    ):
        mark = cluster.audit_mark()
        await objects.apply(secret(TLS, certificates))
        await objects.create(authentication(TLS))
        for name in NAMES:
            await objects.deploy(name)
        await objects.scale_on("named", *_triggers(source), **_POLICY, mode="shadow")
        for body in _scaled_objects(objects, source, plain, secure):
            await objects.create(body)
        for name in NAMES:
            await until(f"{name} is ready", partial(is_ready, objects, name), FOLLOWED_SECONDS)
        stage = Stage(cluster, objects, source, recorder, (plain, secure), certificates, mark)
        await stage.has_followed(0)
        yield stage


@pytest.mark.slow
@pytest.mark.parametrize("service_kubeconfig", [[COMPONENT]], indirect=True, ids=[""])
async def test_metric_steps_move_replicas_to_the_exact_count_to_zero_and_back(
    stage: Stage,
) -> None:
    """Up, down, to zero and back: from zero KEDA goes to one, and nothing else lies between."""
    await stage.step(95, 10)
    await stage.step(41, 5, flat=10)
    await stage.step(0, 0)
    await stage.step(65, 7)
    counts = stage.counts()
    for name in EXACT:
        # On the way to zero the HPA may come first, which goes to one.
        assert [one for one in counts[name] if one != 1] == [0, 10, 5, 0, 7], name
        assert counts[name][:2] == [0, 1], name
    assert [one for one in counts[FLAT] if one != 1] == [0, 10, 0, 7]


@pytest.mark.slow
@pytest.mark.parametrize("service_kubeconfig", [[COMPONENT]], indirect=True, ids=[""])
async def test_nothing_is_lowered_by_a_new_certificate_or_a_server_that_is_away(
    stage: Stage,
) -> None:
    """The certificate changes, the servers are killed and come back: all later steps are followed."""
    servers, certificates = stage.servers, stage.certificates
    _, secure = servers
    await stage.step(35, 4)
    before = await asyncio.to_thread(secure.shown_certificate)
    assert before == certificates.current
    await asyncio.to_thread(certificates.rotate)

    async def is_shown() -> bool:
        return await asyncio.to_thread(secure.shown_certificate) == certificates.current

    await until("new connections are shown the new certificate", is_shown)
    assert certificates.current != before
    await stage.step(55, 6)
    for server in servers:
        await asyncio.to_thread(server.kill)
    stage.source.values[SOURCE] = (115.0,)
    await until("the HPA misses them", partial(_has_missed, stage), FOLLOWED_SECONDS)
    assert all(series[-1] == 6 for series in stage.counts().values())
    # At once: none may be the first to answer for both.
    await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))
    await stage.has_followed(12)
    counts = stage.counts()
    for name in NAMES:
        assert counts[name] == sorted(counts[name]), f"{name} was lowered: {counts[name]}"
    for name in (*EXACT, FLAT):
        assert [one for one in counts[name] if one != 1] == [0, 4, 6, 12], name
    await stage.step(0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("service_kubeconfig", [[COMPONENT]], indirect=True, ids=[""])
async def test_server_needs_every_right_of_its_component(stage: Stage) -> None:
    """Inline policies, flat keys and one of our objects take all of the component's rights."""
    documents = yaml.safe_load_all((COMPONENTS / COMPONENT / "rights.yaml").read_text())
    rights = granted(one for one in documents if one["kind"] in ROLE_KINDS)
    user = f"system:serviceaccount:{stage.objects.namespace}:{ACCOUNT}"
    events = await asyncio.to_thread(stage.plane.audit_events, user=user)
    assert rights
    assert unused(rights, events) == []


_POLICY: dict[str, Any] = {"cooldownPeriod": 0, **AT_ONCE}
_SLOW: dict[str, Any] = moving(rate("Pods", 3, 2), {})


def _triggers(source: Source) -> list[dict[str, Any]]:
    return [{"type": "metrics-api", "metadata": read_from(f"{source.url}/{SOURCE}/0")}]


def _scaled_objects(
    objects: Objects, source: Source, plain: ExternalScaler, secure: ExternalScaler
) -> Iterable[dict[str, Any]]:
    triggers = _triggers(source)
    policy = inline({"pollingInterval": 1, **_POLICY, "triggers": triggers})
    slow = inline({"pollingInterval": 1, **_POLICY, **_SLOW, "triggers": triggers})
    flat = {
        "type": "metrics-api",
        "pollingInterval": "1",
        "cooldownPeriod": "0",
        **triggers[0]["metadata"],
    }
    yield scaled_object("poll", plain.address, policy, kind=POLL)
    yield scaled_object("push", plain.address, policy, kind=PUSH)
    named = {"scaledObject": f"{objects.namespace}/named"}
    yield scaled_object("named", plain.address, named, kind=PUSH)
    yield scaled_object(FLAT, plain.address, flat, kind=POLL)
    yield scaled_object(SLOW, plain.address, slow, kind=PUSH)
    yield scaled_object(TLS, secure.address, policy, kind=PUSH, authentication=TLS)


async def _has_missed(stage: Stage) -> bool:
    """Say whether the HPA has got no answer for any Deployment, more than once."""
    happened = await histories(stage.plane, stage.objects.namespace, stage.mark)
    return all(
        sum(not sync.is_answered for sync in happened[name].syncs[-4:]) >= UNANSWERED_MIN
        for name in NAMES
    )


@asynccontextmanager
async def _recording(recorder: Recorder, namespace: str) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(recorder.record_replicas(namespace))
        yield
        task.cancel()
