"""TLS of the external scaler: who is let in, and certificates that change under way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from autoscaler.errors import ConfigError
from autoscaler.external import certificates
from tests.e2e.controlplane.certificates import Authority
from tests.integration.external_world import (
    client_credentials,
    folder_with,
    ref,
    renew,
    serving,
)
from tests.integration.test_external_scaler import inline


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for changed files more often than in production."""
    monkeypatch.setattr(certificates, "CHECK_SECONDS", 0.05)


def plain_credentials(authority: Authority) -> grpc.ChannelCredentials:
    """Return credentials of a client without a certificate."""
    return grpc.ssl_channel_credentials(authority.certificate.crt.read_bytes())


async def served_serial(world, credentials: grpc.ChannelCredentials) -> None:
    """Call once over a connection of its own."""
    async with world.client(credentials) as keda:
        await keda.value(ref(inline(world.source.trigger("jobs"))))


async def test_without_an_authority_for_clients_anybody_may_call_over_tls(tmp_path: Path):
    """As KEDA does with enableTLS and caCert only."""
    authority, folder = folder_with(tmp_path, is_mutual=False)
    async with serving(certificate_folder=str(folder)) as world:
        world.source.values["jobs"] = 42
        async with world.client(plain_credentials(authority)) as keda:
            assert await keda.value(ref(inline(world.source.trigger("jobs")))) == 9


async def test_with_one_only_clients_it_signed_are_served(tmp_path: Path):
    """No certificate, or another authority's: the handshake fails, the server goes on."""
    authority, folder = folder_with(tmp_path)
    stranger = Authority(tmp_path / "stranger", "stranger")
    async with serving(certificate_folder=str(folder)) as world:
        world.source.values["jobs"] = 42
        for credentials in (
            plain_credentials(authority),
            client_credentials(authority, stranger),
            None,
        ):
            async with world.client(credentials) as keda:
                code, _ = await keda.refused(ref(inline(world.source.trigger("jobs"))))
                assert code is grpc.StatusCode.UNAVAILABLE
        async with world.client(client_credentials(authority)) as keda:
            assert await keda.value(ref(inline(world.source.trigger("jobs")))) == 9


async def test_a_renewed_certificate_is_served_without_losing_a_call(tmp_path: Path):
    """Open connections and streams go on; new ones see the new certificate."""
    authority, folder = folder_with(tmp_path)
    async with serving(certificate_folder=str(folder)) as world:
        world.source.values["jobs"] = 42
        credentials = client_credentials(authority)
        async with world.client(credentials) as keda:
            web = ref(inline(world.source.trigger("jobs")))
            stream = keda.activity(web)
            assert (await stream.read()).result is True
            newer = Authority(tmp_path / "newer", "authority")
            (folder / "ca.crt").write_bytes(
                newer.certificate.crt.read_bytes() + authority.certificate.crt.read_bytes()
            )
            renew(newer, folder, "renewed")
            await asyncio.sleep(0.3)
            assert await keda.value(web) == 9
            async with world.client(client_credentials(newer)) as other:
                assert await other.value(web) == 9
            async with world.client(credentials) as old:
                # Its authority no longer signs what is served.
                assert (await old.refused(web))[0] is grpc.StatusCode.UNAVAILABLE
            world.source.values["jobs"] = 0
            assert (await asyncio.wait_for(stream.read(), 5)).result is False
            stream.cancel()


async def test_files_that_cannot_be_used_leave_the_certificate_before_in_place(tmp_path: Path):
    """Half-written or emptied folders do not end the service, nor open it to everybody."""
    authority, folder = folder_with(tmp_path)
    async with serving(certificate_folder=str(folder)) as world:
        world.source.values["jobs"] = 42
        (folder / "tls.crt").write_text("")
        (folder / "ca.crt").unlink()
        await asyncio.sleep(0.3)
        await served_serial(world, client_credentials(authority))
        async with world.client(plain_credentials(authority)) as keda:
            code, _ = await keda.refused(ref(inline(world.source.trigger("jobs"))))
            assert code is grpc.StatusCode.UNAVAILABLE


async def test_an_unusable_folder_is_an_error_at_the_start(tmp_path: Path):
    """Named with the file, before anything is served."""
    with pytest.raises(ConfigError, match=r"tls\.crt: No such file"):
        async with serving(certificate_folder=str(tmp_path)):
            pass
    (tmp_path / "tls.crt").write_text("no PEM")
    (tmp_path / "tls.key").write_text("no PEM")
    with pytest.raises(ConfigError, match=r"tls\.crt: must hold PEM"):
        async with serving(certificate_folder=str(tmp_path)):
            pass
