"""Where the webhook's certificate comes from, against the embedded API server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from autoscaler.demo.apierrors import ApiError
from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.objects import JsonObject
from autoscaler.demo.resources import custom
from autoscaler.errors import ConfigError
from autoscaler.kube.transport import KubeClient
from autoscaler.kube.webhook_configuration import trust
from autoscaler.runtime.clock import ManualClock
from autoscaler.web.certificate_sources import CertificateFolder, CertificateSecret
from autoscaler.web.certificates import LIFETIME, RENEW_BEFORE, inspect

NAMES = ("flyball-webhook.flyball-system.svc",)
CONFIGURATION = "flyball"
SECRET = "certificate"
WEBHOOKS = custom(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    namespaced=False,
)
RENEW_SECONDS = (LIFETIME - RENEW_BEFORE).total_seconds()


class World:
    """A cluster and replicas of the service."""

    def __init__(self, cluster: EmbeddedCluster, client: KubeClient) -> None:
        self.cluster = cluster
        self.client = client
        self.clock = ManualClock()

    def source(self, *more_names: str) -> CertificateSecret:
        return CertificateSecret(
            self.client,
            namespace="default",
            secret=SECRET,
            configuration=CONFIGURATION,
            names=(*NAMES, *more_names),
            clock=self.clock,
        )

    def install(self, count: int = 1) -> None:
        webhooks = [
            {"name": f"w{n}.flyball.dev", "clientConfig": {"service": {"name": "x"}}}
            for n in range(count)
        ]
        self.cluster.create(
            {
                "apiVersion": WEBHOOKS.api_version,
                "kind": WEBHOOKS.kind,
                "metadata": {"name": CONFIGURATION},
                "webhooks": webhooks,
            }
        )

    def configuration(self) -> JsonObject:
        return self.cluster.registry.get(WEBHOOKS, "", CONFIGURATION).value

    def bundles(self) -> list[bytes]:
        configs = [webhook["clientConfig"] for webhook in self.configuration()["webhooks"]]
        return [base64.b64decode(config.get("caBundle", "")) for config in configs]

    def secret(self) -> dict[str, bytes]:
        resource = self.cluster.registry.resource("v1", "Secret")
        data = self.cluster.registry.get(resource, "default", SECRET).value["data"]
        return {key: base64.b64decode(value) for key, value in data.items()}

    def store_secret(self, data: dict[str, bytes] | None) -> None:
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "labels": {"made-by": "kustomize"}},
        }
        if data is not None:
            body["data"] = {key: base64.b64encode(text).decode() for key, text in data.items()}
        resource = self.cluster.registry.resource("v1", "Secret")
        with contextlib.suppress(ApiError):
            self.cluster.registry.delete(resource, "default", SECRET)
        self.cluster.create(body)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A cluster that serves webhook configurations."""
    async with EmbeddedCluster() as cluster:
        cluster.registry.serve(WEBHOOKS)
        client = KubeClient.for_url(cluster.url)
        try:
            yield World(cluster, client)
        finally:
            await client.close()


async def test_the_first_look_makes_a_certificate_and_publishes_it(world: World) -> None:
    """The Secret holds it, every webhook of the configuration trusts its authority."""
    world.install(count=2)
    serving = await world.source().current()
    stored = world.secret()
    assert serving.is_trusted
    assert serving.certificate_pem == stored["tls.crt"]
    assert world.bundles() == [stored["ca.crt"]] * 2
    facts = inspect(stored["tls.crt"], stored["tls.key"], stored["ca.crt"])
    assert facts.is_trusted
    assert facts.names == set(NAMES)
    assert facts.expires_at == serving.expires_at


async def test_later_looks_and_other_replicas_find_the_same(world: World) -> None:
    """Nothing is written while the certificate is good."""
    world.install()
    first = await world.source().current()
    version = world.cluster.store.version
    world.clock.advance(RENEW_SECONDS - 1)
    for _ in range(3):
        assert (await world.source().current()).is_same(first)
    assert world.cluster.store.version == version


async def test_an_empty_secret_from_the_manifests_is_filled(world: World) -> None:
    """The service needs no right to create Secrets, and leaves the rest of this one alone."""
    world.install()
    for data in (None, {}, {"other": b"kept"}):
        world.store_secret(data)
        assert (await world.source().current()).is_trusted
        assert (data or {}).items() <= world.secret().items()
    resource = world.cluster.registry.resource("v1", "Secret")
    stored = world.cluster.registry.get(resource, "default", SECRET).value
    assert stored["metadata"]["labels"] == {"made-by": "kustomize"}


async def test_a_certificate_is_renewed_in_time_and_the_old_one_stays_trusted(world: World) -> None:
    """With a third of its life left there is a new one; both authorities are in the bundle."""
    world.install()
    first = await world.source().current()
    old = world.secret()
    world.clock.advance(RENEW_SECONDS + 1)
    second = await world.source().current()
    assert not second.is_same(first)
    assert second.expires_at > first.expires_at
    (bundle,) = world.bundles()
    for certificate, key in (
        (first.certificate_pem, first.key_pem),
        (second.certificate_pem, second.key_pem),
    ):
        assert inspect(certificate, key, bundle).is_trusted
    assert old["ca.crt"] in bundle


async def test_an_emptied_secret_leaves_what_is_served_trusted(world: World) -> None:
    """A replica remembers the authority it serves under and keeps it in the new bundle."""
    world.install()
    source = world.source()
    first = await source.current()
    world.store_secret({})
    second = await source.current()
    assert not second.is_same(first)
    (bundle,) = world.bundles()
    assert inspect(first.certificate_pem, first.key_pem, bundle).is_trusted


@pytest.mark.parametrize("damage", ["tls.crt", "tls.key", "ca.crt"])
async def test_a_damaged_secret_is_made_anew(world: World, damage: str) -> None:
    """Garbage, a missing entry or a foreign authority is repaired, not served."""
    world.install()
    for damaged in (b"garbage", b"", None):
        await world.source().current()
        stored = world.secret()
        good = dict(stored)
        if damaged is None:
            del stored[damage]
        else:
            stored[damage] = damaged
        world.store_secret(stored)
        again = await world.source().current()
        assert again.certificate_pem != good["tls.crt"]
        assert again.certificate_pem == world.secret()["tls.crt"]


async def test_a_new_name_needs_a_new_certificate(world: World) -> None:
    """A changed setting takes effect without anybody deleting the Secret."""
    world.install()
    await world.source().current()
    serving = await world.source("127.0.0.1").current()
    assert inspect(serving.certificate_pem, serving.key_pem).names == {*NAMES, "127.0.0.1"}


async def test_replicas_that_start_together_agree(world: World) -> None:
    """Five of them make one certificate that all serve."""
    world.install()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(world.source().current()) for _ in range(5)]
    assert len({task.result().certificate_pem for task in tasks}) == 1
    assert tasks[0].result().certificate_pem == world.secret()["tls.crt"]


async def test_without_a_configuration_there_is_a_certificate_all_the_same(world: World) -> None:
    """It is not trusted yet; that is caught up on when the configuration appears."""
    source = world.source()
    serving = await source.current()
    assert not serving.is_trusted
    world.install()
    again = await source.current()
    assert again.is_trusted
    assert again.is_same(serving)
    assert world.bundles() == [world.secret()["ca.crt"]]


async def test_only_the_bundle_of_a_configuration_is_changed(world: World) -> None:
    """Everything else stays, and a second look changes nothing."""
    world.install(count=2)
    before = world.configuration()
    assert await trust(world.client, CONFIGURATION, b"authority")
    after = world.configuration()
    for webhook in after["webhooks"]:
        assert base64.b64decode(webhook["clientConfig"].pop("caBundle")) == b"authority"
    assert after["webhooks"] == before["webhooks"]
    assert not await trust(world.client, CONFIGURATION, b"authority")
    assert await trust(world.client, CONFIGURATION, b"another")


async def test_a_folder_is_read_each_time(tmp_path: Path) -> None:
    """What cert-manager puts there later counts; a missing or endless file is named."""
    source = CertificateFolder(tmp_path)
    with pytest.raises(ConfigError, match=r"tls\.crt: No such file"):
        await source.current()
    (tmp_path / "tls.crt").write_bytes(b"a certificate")
    with pytest.raises(ConfigError, match=r"tls\.key: No such file"):
        await source.current()
    (tmp_path / "tls.key").write_bytes(b"a key")
    first = await source.current()
    assert (first.certificate_pem, first.key_pem) == (b"a certificate", b"a key")
    (tmp_path / "tls.crt").write_bytes(b"another")
    assert not (await source.current()).is_same(first)
    (tmp_path / "tls.key").write_bytes(b"x" * 300_000)
    with pytest.raises(ConfigError, match="longer than"):
        await source.current()
