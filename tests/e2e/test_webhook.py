"""The admission webhook behind a real API server, with the rights and manifests of ``deploy/``."""

from __future__ import annotations

import asyncio
import copy
import random
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import yaml

from autoscaler.cli.webhook import add_webhook
from autoscaler.controller.service import Service
from autoscaler.errors import Invalid, KubeError, NotFound
from autoscaler.kube.transport import KubeClient
from autoscaler.plugins import ScalerRegistry
from autoscaler.runtime.clock import SystemClock
from autoscaler.settings import load_settings
from autoscaler.web.admission_server import CertificateTimes
from tests.deploy.kustomize import PROJECT
from tests.deploy.rights import granted, refused, unused
from tests.e2e.controlplane import AuditEvent, ControlPlane
from tests.e2e.controlplane.binaries import find
from tests.e2e.deployed import NAMESPACE, USER, account_kubeconfig, apply_base
from tests.e2e.live import QUICK
from tests.e2e.objects import MERGE, Objects, own_namespace, until
from tests.servers.process import ServerMissing
from tests.webhook_cases import (
    ACCEPTED,
    ALONE,
    BESIDE,
    FLYBALL,
    REDIS,
    UTILIZED,
    Case,
    Manifest,
    autoscaler,
    scaled_object,
    workload,
)

COMPONENT = PROJECT / "deploy" / "kustomize" / "components" / "webhook"
EXAMPLES = sorted((PROJECT / "deploy" / "examples").glob("*.yaml"))
ROLE_KINDS = {"ClusterRole", "Role"}
SECRET = "flyball-webhook-certificate"
CONFIGURATION = ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "flyball")
TIMES = CertificateTimes(check_seconds=0.5, untrusted_seconds=0.2, settle_seconds=1.0)
BAD = scaled_object("probe", triggers=[])


def documents() -> list[Manifest]:
    """Return what the component adds to the base."""
    names = yaml.safe_load((COMPONENT / "kustomization.yaml").read_text())["resources"]
    return [
        document
        for name in names
        for document in yaml.safe_load_all((COMPONENT / name).read_text())
    ]


DOCUMENTS = documents()
RIGHTS = granted(document for document in DOCUMENTS if document["kind"] in ROLE_KINDS)


class Webhook:
    """A service with a webhook, and a namespace it reviews."""

    def __init__(self, objects: Objects, service: Service, task: asyncio.Future[None]) -> None:
        self.objects = objects
        self.system = Objects(objects.client, NAMESPACE)
        self.service = service
        self.task = task

    async def stop(self) -> None:
        """End the service, as a pod that is deleted."""
        self.service.stop()
        await self.task

    async def is_refusing(self) -> bool:
        """Return whether a bad object is refused, for its own sake."""
        try:
            await self.objects.create(BAD, dry_run=True)
        except Invalid as error:
            return "spec.triggers: needs at least one trigger" in str(error)
        return False

    async def secret(self) -> dict[str, str]:
        """Return the entries of the certificate's Secret."""
        return dict((await self.system.get("v1", "Secret", SECRET)).get("data", {}))


@asynccontextmanager
async def reviewing(
    plane: ControlPlane, objects: Objects, failure_policy: str = "Fail"
) -> AsyncIterator[Webhook]:
    """Run the service as the base's account, and have one namespace reviewed by it."""
    system = Objects(objects.client, NAMESPACE)
    await apply_base(objects.client)
    for document in DOCUMENTS:
        if document["kind"] != CONFIGURATION[1]:
            await system.apply(document)
    kubeconfig = await account_kubeconfig(plane)
    chosen = {"is_enabled": True, "host": "127.0.0.1", "port": 0, "names": ("127.0.0.1",)}
    clients = [await KubeClient.connect(str(kubeconfig), in_cluster=False) for _ in range(2)]
    service = Service(clients[0], ScalerRegistry(), settings=QUICK, rng=random.Random(1))
    server = add_webhook(
        service,
        load_settings({"webhook": chosen}),
        client=clients[1],
        registry=ScalerRegistry(),
        clock=SystemClock(),
        times=TIMES,
    )
    task = asyncio.ensure_future(service.run())
    webhook = Webhook(objects, service, task)
    try:
        url = f"https://127.0.0.1:{await server.port()}/validate"
        await objects.create(configuration(url, objects.namespace, failure_policy))
        await until("the webhook is asked and knows the cluster", webhook.is_refusing)
        yield webhook
    finally:
        await webhook.stop()
        await objects.delete(*CONFIGURATION)
        for client in clients:
            await client.close()


def configuration(url: str, namespace: str, failure_policy: str) -> Manifest:
    """Return the component's configuration for a service outside the cluster."""
    (found,) = (d for d in DOCUMENTS if d["kind"] == CONFIGURATION[1])
    body: Manifest = copy.deepcopy(found)
    (webhook,) = body["webhooks"]
    webhook["clientConfig"] = {"url": url}
    webhook["failurePolicy"] = failure_policy
    # Other tests share the control plane.
    webhook["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return body


@pytest.fixture
async def webhook(control_plane: ControlPlane, objects: Objects) -> AsyncIterator[Webhook]:
    """A webhook without which nothing can be created."""
    async with reviewing(control_plane, objects) as running:
        yield running


async def refusal(objects: Objects, case: Case) -> str:
    """Return how the API server refuses the object of a case.

    The webhook hears of neighbours a moment after they were created, so that an object may still
    be accepted then.
    """
    raw, text = case.manifest, ""

    async def is_refused() -> bool:
        nonlocal text
        try:
            await objects.create(raw)
        except Invalid as error:
            text = str(error)
            return True
        await objects.delete(raw["apiVersion"], raw["kind"], raw["metadata"]["name"])
        return not case.others

    await until(f"{case.rule} is refused", is_refused, seconds=10)
    return text


async def test_bad_manifests_are_refused_and_the_field_named(webhook: Webhook) -> None:
    """Whatever KEDA's webhook refuses is refused by the API server, for the right field.

    What the definitions' schemas refuse already never reaches the webhook; the author cannot tell.
    """
    objects, asked = webhook.objects, 0
    for case in (*ALONE, *BESIDE):
        for other in case.others:
            await objects.create(other)
        text = await refusal(objects, case)
        is_ours = "admission webhook" in text
        # A rule of the schema over two fields is reported where both are, in words.
        named = case.field if is_ours else case.field.rpartition(".")[2]
        assert named in text, (case.rule, text)
        asked += is_ours
        for other in case.others:
            await objects.delete(other["apiVersion"], other["kind"], other["metadata"]["name"])
    assert asked > len(BESIDE) + len(ALONE) // 2


async def test_good_manifests_are_accepted_in_any_order(webhook: Webhook) -> None:
    """Examples and neighbours that do not clash are stored, before their targets exist."""
    objects = webhook.objects
    for path in EXAMPLES:
        for manifest in yaml.safe_load_all(path.read_text()):
            body = copy.deepcopy(manifest)
            body["metadata"]["namespace"] = objects.namespace
            await objects.create(body)
            await objects.delete(body["apiVersion"], body["kind"], body["metadata"]["name"])
    for case in ACCEPTED:
        async with own_namespace(objects.client) as empty:
            for other in case.others:
                await empty.create(other)
            await empty.create(case.manifest)


async def test_accepted_neighbours_stay_accepted_once_they_are_known(webhook: Webhook) -> None:
    """Waiting until the webhook knows the neighbours changes no verdict."""
    objects = webhook.objects
    for case in ACCEPTED:
        for other in case.others:
            await objects.create(other)
        # A clash that is reported shows that the watches are current.
        clash = autoscaler("clash", target="probe")
        await objects.create(clash)
        probe = Case("clash", scaled_object("probe"), "spec.scaleTargetRef", (clash,))
        assert "clash" in await refusal(objects, probe)
        await objects.create(case.manifest)
        for one in (case.manifest, clash, *case.others):
            await objects.delete(one["apiVersion"], one["kind"], one["metadata"]["name"])


async def test_the_author_reads_causes_and_warnings(
    control_plane: ControlPlane, webhook: Webhook, tmp_path: Path
) -> None:
    """The output of kubectl has every cause of a refusal, and warnings about what is accepted."""
    try:
        kubectl = find("kubectl")
    except ServerMissing as missing:
        pytest.skip(str(missing))

    async def apply(manifest: Manifest) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "manifest.yaml"
        await asyncio.to_thread(path.write_text, yaml.safe_dump(manifest))
        command = [kubectl, "--kubeconfig", control_plane.kubeconfig(), "apply"]
        command += ["--namespace", webhook.objects.namespace, "-f", path]
        return await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=False, timeout=60
        )

    bad = scaled_object(triggers=[{"type": "rediss", "name": "a"}, {**REDIS, "name": "a"}])
    answer = await apply(bad)
    assert answer.returncode == 1
    for field in ("spec.triggers[0].type", "spec.triggers[1].name"):
        assert f"* {field}: " in answer.stderr
    answer = await apply(scaled_object(minReplicaCount=1, cooldownPeriod=60))
    assert answer.returncode == 0
    assert "Warning: spec.cooldownPeriod: has no effect" in answer.stderr


async def test_updates_are_reviewed_for_what_they_change(webhook: Webhook) -> None:
    """A bad change is refused; a label on an object that has become bad is not."""
    objects = webhook.objects
    await objects.create(scaled_object())
    await objects.create(autoscaler())
    with pytest.raises(Invalid, match=r"spec\.triggers"):
        await objects.patch(FLYBALL, "ScaledObject", "worker", {"spec": {"triggers": []}})

    async def is_bad_now() -> bool:
        try:
            change = {"spec": {"maxReplicaCount": 7}}
            path = await objects.path(scaled_object(), "worker")
            await objects.client.request(
                "PATCH",
                path,
                params={"dryRun": "All"},
                body=msgspec.json.encode(change),
                content_type=MERGE,
            )
        except Invalid:
            return True
        return False

    await until("the autoscaler is known", is_bad_now)
    change = {"metadata": {"labels": {"team": "shop"}, "finalizers": ["example.com/keep"]}}
    await objects.patch(FLYBALL, "ScaledObject", "worker", change)
    await objects.patch(FLYBALL, "ScaledObject", "worker", {"metadata": {"finalizers": []}})


async def test_deletion_works_while_the_webhook_is_down(webhook: Webhook) -> None:
    """Even where nothing can be written without it, objects and their finalizers can go."""
    objects = webhook.objects
    held = scaled_object()
    held["metadata"]["finalizers"] = ["example.com/keep"]
    await objects.create(held)
    await webhook.stop()
    with pytest.raises(KubeError, match="failed calling webhook"):
        await objects.create(scaled_object("another"))
    await objects.delete(FLYBALL, "ScaledObject", "worker")
    await objects.patch(FLYBALL, "ScaledObject", "worker", {"metadata": {"finalizers": []}})
    with pytest.raises(NotFound):
        await objects.get(FLYBALL, "ScaledObject", "worker")


async def test_without_the_webhook_objects_are_accepted(
    control_plane: ControlPlane, objects: Objects
) -> None:
    """The manifests' failurePolicy lets everything through while the service is down."""
    (shipped,) = (d for d in DOCUMENTS if d["kind"] == CONFIGURATION[1])
    policy = shipped["webhooks"][0]["failurePolicy"]
    assert policy == "Ignore"
    async with reviewing(control_plane, objects, policy) as webhook:
        with pytest.raises(Invalid):
            await objects.create(scaled_object("worker", triggers=[]))
        await webhook.stop()
        await objects.create(scaled_object("worker", triggers=[]))


async def test_a_new_certificate_leaves_no_gap(webhook: Webhook) -> None:
    """With the Secret emptied, a new certificate is trusted and served; every review happens."""
    before = await webhook.secret()
    gone = dict.fromkeys(before)
    await webhook.system.patch("v1", "Secret", SECRET, {"data": gone})
    first = (await webhook.objects.get(*CONFIGURATION))["webhooks"][0]["clientConfig"]["caBundle"]
    loop = asyncio.get_running_loop()
    until_at = loop.time() + TIMES.check_seconds * 2 + TIMES.settle_seconds + 1.5
    reviews = 0
    while loop.time() < until_at:
        assert await webhook.is_refusing()
        reviews += 1
    after = await webhook.secret()
    assert set(after) == {"tls.crt", "tls.key", "ca.crt"}
    assert after["tls.crt"] != before["tls.crt"]
    served = (await webhook.objects.get(*CONFIGURATION))["webhooks"][0]["clientConfig"]["caBundle"]
    assert served == after["ca.crt"] != first
    assert reviews > 20


async def test_it_needs_every_right_it_has_and_no_other(
    control_plane: ControlPlane, objects: Objects
) -> None:
    """The audit log shows no refused request, and no right of the component's never used."""
    mark = control_plane.audit_mark()

    async def asked() -> list[AuditEvent]:
        return await asyncio.to_thread(control_plane.audit_events, user=USER, since=mark)

    async def all_are_used() -> bool:
        return not unused(RIGHTS, await asked())

    async with reviewing(control_plane, objects) as webhook:
        await webhook.system.patch("v1", "Secret", SECRET, {"data": {"tls.crt": None}})
        await objects.create(workload())
        with pytest.raises(Invalid):
            await objects.create(UTILIZED)
        await until("every right was needed", all_are_used)
    assert refused(await asked()) == []
    assert unused(RIGHTS, await asked()) == []
