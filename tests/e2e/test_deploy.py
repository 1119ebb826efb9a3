"""``deploy/`` on a real control plane: admitted, and the service with exactly its rights."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from autoscaler.errors import Forbidden
from autoscaler.kube.transport import KubeClient
from tests.contract.apiserver.server import GROUP, definition, pump
from tests.deploy.container import deployed_container
from tests.deploy.image import Image, assembled
from tests.deploy.kustomize import BASE, Document, one
from tests.deploy.rights import Right, granted, refused, unused
from tests.e2e.controlplane import AuditEvent, ControlPlane
from tests.e2e.controlplane.binaries import find
from tests.e2e.deployed import (
    ACCOUNT,
    DOCUMENTS,
    NAMESPACE,
    ROLES,
    USER,
    account_kubeconfig,
    apply_base,
)
from tests.e2e.live import running
from tests.e2e.objects import FLYBALL, PAUSE_IMAGE, Objects, until
from tests.e2e.test_definitions import lacks
from tests.e2e.test_service import counts_written
from tests.servers import RedisServer
from tests.servers.process import ServerMissing

KUBECTL_SECONDS = 120
ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
LIST = "jobs"
JOB_LIST = "videos"
AFTER_A_FAILURE = {
    Right("batch", "jobs", "get"): "a job whose creation was not answered is asked for by name",
    Right("flyball.dev", "scaledobjects", "get"): "after a conflict an object is read again",
}
"""What cannot be brought about here with certainty, and when it is needed."""
PUMP = (f"{GROUP}/v1", "Pump")
FOLLOWERS = (
    ("apps/v1", "StatefulSet", "store"),
    ("apps/v1", "ReplicaSet", "batch"),
    (*PUMP, "pump"),
)
COUNTED = {"type": "kubernetes-workload", "metadata": {"podSelector": "app=worker", "value": "1"}}
AUTOSCALER = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
Applied = list[tuple[Document, Document]]


@pytest.fixture
async def applied(control_plane: ControlPlane, client: KubeClient) -> Applied:
    """The base on a control plane of our own; it stays there, as it would."""
    return await apply_base(client)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The image, assembled without a container engine."""
    with assembled() as made:
        yield made


async def test_kubectl_applies_the_base(control_plane: ControlPlane) -> None:
    """``kubectl apply -k`` makes every object, warns of no pod, and has nothing to do again."""
    try:
        program = find("kubectl")
    except ServerMissing as missing:
        pytest.skip(str(missing))
    command: list[str | Path] = [
        program,
        "--kubeconfig",
        control_plane.kubeconfig(),
        "apply",
        "-k",
        BASE,
    ]
    first = await asyncio.to_thread(run, command)
    assert first.returncode == 0, first.stderr
    assert "PodSecurity" not in first.stderr
    assert len(first.stdout.splitlines()) == len(DOCUMENTS)
    again = await asyncio.to_thread(run, command)
    assert (again.returncode, again.stderr) == (0, "")
    assert [line for line in again.stdout.splitlines() if not line.endswith(" unchanged")] == []


async def test_every_object_is_stored_as_written(applied: Applied) -> None:
    """The API server knows every field of every object and drops none."""
    assert len(applied) == len(DOCUMENTS)
    for sent, stored in applied:
        assert lacks(stored, sent, f"{sent['kind']} {sent['metadata']['name']}") == []


async def test_pod_is_admitted_under_the_restricted_standard(
    client: KubeClient, applied: Applied
) -> None:
    """The Deployment's pod is taken where ``restricted`` is enforced, and comes up."""
    there = Objects(client, NAMESPACE)
    admitted = await there.create(pod(), dry_run=True)
    assert admitted["spec"]["serviceAccountName"] == ACCOUNT

    async def is_up() -> bool:
        return await there.ready_replicas("flyball") == 1

    await until("the Deployment's pod is ready", is_up)


@pytest.mark.parametrize(
    ("loosen", "named"),
    [
        (lambda spec: spec["securityContext"].pop("runAsNonRoot"), "runAsNonRoot"),
        (lambda spec: spec["securityContext"].pop("seccompProfile"), "seccompProfile"),
        (
            lambda spec: spec["containers"][0]["securityContext"].pop("capabilities"),
            "unrestricted capabilities",
        ),
    ],
    ids=["root", "seccomp", "capabilities"],
)
async def test_looser_pod_is_refused(
    client: KubeClient, applied: Applied, loosen: Callable[[dict[str, Any]], object], named: str
) -> None:
    """The standard is really enforced: without one of its promises the same pod is refused."""
    body = pod()
    loosen(body["spec"])
    with pytest.raises(Forbidden, match=named):
        await Objects(client, NAMESPACE).create(body, dry_run=True)


@pytest.mark.real("redis-server")
async def test_service_needs_every_right_it_has_and_no_other(
    control_plane: ControlPlane, applied: Applied, objects: Objects, redis_server: RedisServer
) -> None:
    """As the base's account it scales a target from zero to five and back, and uses all else, too.

    The audit log then shows no refused request, and no right that no request needed but those for
    failures.
    """
    rights = [right for right in granted(ROLES) if right not in AFTER_A_FAILURE]
    assert len(rights) == len(granted(ROLES)) - len(AFTER_A_FAILURE)
    mark = control_plane.audit_mark()
    kubeconfig = await account_kubeconfig(control_plane)

    async def asked() -> list[AuditEvent]:
        return await asyncio.to_thread(control_plane.audit_events, user=USER, since=mark)

    async def all_are_used() -> bool:
        return not unused(rights, await asked())

    async with running(kubeconfig):
        await every_kind_of_target(objects, redis_server)
        await take_over(objects)
        # The second round repeats the events of the first, which are counted up then.
        for _ in range(2):
            redis_server.send("RPUSH", LIST, *map(str, range(50)))
            redis_server.send("RPUSH", JOB_LIST, "one", "two")
            await until("there is a job", partial(has_a_job, objects))
            await until("five pods are ready", partial(is_ready, objects, "worker", 5))
            for api, kind, name in FOLLOWERS:
                await until(f"{kind} follows", partial(asks_for, objects, api, kind, name, 5))
            redis_server.flush()
            await until("no pod is left", partial(is_ready, objects, "worker", 0))
        with contextlib.suppress(AssertionError):
            await until("every right was needed", all_are_used)
    events = await asked()
    assert refused(events) == []
    assert unused(rights, events) == []
    of_worker = [event for event in events if event.object_ref.name == "worker"]
    assert counts_written(of_worker, objects.namespace) == [5, 0, 5, 0]


@pytest.mark.real("redis-server")
async def test_image_works_in_the_cluster(
    control_plane: ControlPlane,
    applied: Applied,
    objects: Objects,
    redis_server: RedisServer,
    image: Image,
) -> None:
    """The process of the image finds the cluster by its pod's account and scales a target.

    It ends with status 0, and was refused nothing.
    """
    if not image.is_confined:
        pytest.skip("needs root and mount namespaces: the account's token has a fixed place")
    mark = control_plane.audit_mark()
    image.mount(ACCOUNT_FOLDER, account_files(await account_kubeconfig(control_plane)))
    address = urlsplit(control_plane.url)
    where = {
        "KUBERNETES_SERVICE_HOST": str(address.hostname),
        "KUBERNETES_SERVICE_PORT": str(address.port),
    }
    async with deployed_container(image, where) as service:
        await objects.deploy("worker")
        length = {"address": redis_server.address, "listName": LIST, "listLength": "10"}
        trigger = {"type": "redis", "metadata": length}
        await objects.scale_on("worker", trigger, cooldownPeriod=2)
        redis_server.send("RPUSH", LIST, *map(str, range(50)))
        await until("five pods are ready", partial(is_ready, objects, "worker", 5))
        redis_server.flush()
        await until("no pod is left", partial(is_ready, objects, "worker", 0))
    assert service.exit_code == 0
    events = await asyncio.to_thread(control_plane.audit_events, user=USER, since=mark)
    assert refused(events) == []
    assert counts_written(events, objects.namespace) == [5, 0]


async def every_kind_of_target(objects: Objects, server: RedisServer) -> None:
    """Create targets, triggers and references such that each part of the service has work."""
    there = Objects(objects.client, NAMESPACE)
    await objects.apply(secret("redis", address=server.address))
    await there.apply(config_map("redis", address=server.address))
    await objects.create(authentication("TriggerAuthentication", "secretTargetRef"))
    await there.apply(authentication("ClusterTriggerAuthentication", "configMapTargetRef"))
    length = {"listName": LIST, "listLength": "10"}
    own = {"type": "redis", "metadata": length, "authenticationRef": {"name": "redis"}}
    shared = {**own, "authenticationRef": {"name": "redis", "kind": "ClusterTriggerAuthentication"}}

    await objects.deploy("worker")
    await objects.scale_on("worker", own, cooldownPeriod=2)
    await objects.deploy("web", 1)
    cpu = {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "50"}}
    await objects.scale_on("web", cpu, minReplicaCount=1)
    await objects.create(workload("StatefulSet", "store", serviceName="store"))
    await objects.scale_on("store", shared, **target("apps/v1", "StatefulSet", "store"))
    await objects.create(workload("ReplicaSet", "batch"))
    await objects.scale_on("batch", COUNTED, **target("apps/v1", "ReplicaSet", "batch"))
    await objects.apply(definition())
    await until("the definition is served", partial(is_served, objects))
    await objects.create(pump("pump", replicas=1))
    address = f"http://pressure.{objects.namespace}.svc:8080/"
    pressure = {
        "url": address,
        "valueLocation": "bar",
        "targetValue": "1",
        "aggregateFromKubeServiceEndpoints": "true",
    }
    measured = {"type": "metrics-api", "metadata": pressure}
    await objects.scale_on("pump", measured, COUNTED, **target(*PUMP, "pump"))
    await objects.create(scaled_job("video", server.address))
    for kind in ("Deployment", "StatefulSet", "ReplicaSet"):
        # What no watch has shown is asked for by name before it is said not to exist.
        name = f"no-{kind.lower()}"
        await objects.scale_on(name, COUNTED, **target("apps/v1", kind, name))


async def take_over(objects: Objects) -> None:
    """Hand a Deployment over from a HorizontalPodAutoscaler."""
    await objects.deploy("taken", 1)
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "taken"},
        "maxReplicas": 3,
    }
    metadata = {"name": "taken"}
    await objects.create({**AUTOSCALER, "metadata": metadata, "spec": spec})
    await objects.scale_on(
        "taken",
        COUNTED,
        advanced={"horizontalPodAutoscalerConfig": {"name": "taken"}},
    )
    annotations = {"flyball.dev/transfer-hpa-ownership": "true"}
    change = {"metadata": {"annotations": annotations}}
    await objects.patch(FLYBALL, "ScaledObject", "taken", change)

    async def is_handed_over() -> bool:
        return await objects.find(AUTOSCALER["apiVersion"], AUTOSCALER["kind"]) == []

    await until("the autoscaler is gone", is_handed_over)


def account_files(kubeconfig: Path) -> dict[str, str]:
    """Return what a pod of an account finds mounted, from the account's kubeconfig."""
    content = yaml.safe_load(kubeconfig.read_text())
    authority = content["clusters"][0]["cluster"]["certificate-authority"]
    return {
        "token": content["users"][0]["user"]["token"],
        "ca.crt": Path(authority).read_text(),
        "namespace": NAMESPACE,
    }


def run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        command, capture_output=True, text=True, timeout=KUBECTL_SECONDS, check=False
    )


def pod() -> dict[str, Any]:
    """Return the Deployment's pod as a pod by itself."""
    template = copy.deepcopy(one(DOCUMENTS, "Deployment")["spec"]["template"])
    metadata = {"name": "admitted", **template["metadata"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def secret(name: str, **entries: str) -> dict[str, Any]:
    """Return a Secret."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "stringData": entries,
    }


def config_map(name: str, **entries: str) -> dict[str, Any]:
    """Return a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": entries}


def authentication(kind: str, reference: str) -> dict[str, Any]:
    """Return an authentication that takes the address of Redis from an object called ``redis``."""
    entry = {"parameter": "address", "name": "redis", "key": "address"}
    return {
        "apiVersion": FLYBALL,
        "kind": kind,
        "metadata": {"name": "redis"},
        "spec": {reference: [entry]},
    }


def workload(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    """Return a workload of no pods."""
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": PAUSE_IMAGE}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template, **spec},
    }


def scaled_job(name: str, address: str) -> dict[str, Any]:
    """Return a ScaledJob whose jobs end soon and are not kept."""
    template = {
        "metadata": {"annotations": {"e2e.flyball.dev/runs-for": "1s"}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": PAUSE_IMAGE}],
        },
    }
    metadata = {"address": address, "listName": JOB_LIST, "listLength": "1"}
    spec = {
        "jobTargetRef": {"template": template},
        "pollingInterval": 1,
        "maxReplicaCount": 2,
        "successfulJobsHistoryLimit": 0,
        "triggers": [{"type": "redis", "metadata": metadata}],
    }
    return {
        "apiVersion": FLYBALL,
        "kind": "ScaledJob",
        "metadata": {"name": name},
        "spec": spec,
    }


def target(api: str, kind: str, name: str) -> dict[str, Any]:
    """Return the part of a ScaledObject's spec that names a target of any kind."""
    return {"scaleTargetRef": {"apiVersion": api, "kind": kind, "name": name}}


async def is_served(objects: Objects) -> bool:
    """Return whether the API server serves Pumps; raises NotFound as long as it does not."""
    await objects.client.request("GET", f"/apis/{GROUP}/v1/pumps")
    return True


async def is_ready(objects: Objects, name: str, count: int) -> bool:
    """Return whether so many pods are asked for and ready."""
    return (await objects.replicas(name), await objects.ready_replicas(name)) == (count, count)


async def has_a_job(objects: Objects) -> bool:
    """Return whether a job runs."""
    return bool(await objects.find("batch/v1", "Job"))


async def asks_for(objects: Objects, api: str, kind: str, name: str, count: int) -> bool:
    """Return whether a target of any kind was told to have so many replicas."""
    return bool((await objects.get(api, kind, name))["spec"]["replicas"] == count)
