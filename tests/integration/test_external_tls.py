"""TLS of the external scaler: who is let in, and certificates that change under way."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from structlog.testing import capture_logs

from autoscaler.errors import ConfigError
from autoscaler.external import certificates
from autoscaler.external.certificates import CertificateFolder
from autoscaler.runtime.clock import ManualClock
from tests.e2e.controlplane.certificates import Authority
from tests.integration.external_world import (
    client_credentials,
    eventually,
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


GARBAGE = "-----BEGIN {0}-----\ngarbage\n-----END {0}-----\n"
UNUSABLE = [
    ("tls.crt", "no PEM", "must hold certificates as PEM"),
    ("tls.crt", GARBAGE.format("CERTIFICATE"), "must hold certificates as PEM"),
    ("tls.key", "", "must hold a private key as PEM"),
    ("tls.key", GARBAGE.format("PRIVATE KEY"), "must hold a private key as PEM"),
    ("tls.key", "another's", "is not the key of the certificate in tls.crt"),
    ("tls.key", "encrypted", "must hold a private key that is not encrypted"),
    ("ca.crt", "", "must hold certificates as PEM"),
    ("ca.crt", GARBAGE.format("CERTIFICATE"), "must hold certificates as PEM"),
]


def spoil(folder: Path, name: str, content: str) -> None:
    """Put something unusable into a file of a certificate folder."""
    if content in {"another's", "encrypted"}:
        made = ec.generate_private_key(ec.SECP256R1())
        how = BestAvailableEncryption(b"secret") if content == "encrypted" else NoEncryption()
        content = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how).decode()
    (folder / name).write_text(content)


@pytest.mark.parametrize(("name", "content", "why"), UNUSABLE)
async def test_what_tls_cannot_be_spoken_with_is_an_error_that_names_the_file(
    tmp_path: Path, name: str, content: str, why: str
):
    """At the start: nothing is said about the address, which is not the cause."""
    _, folder = folder_with(tmp_path)
    spoil(folder, name, content)
    with pytest.raises(ConfigError, match=rf"{name}: {why}"):
        async with serving(certificate_folder=str(folder)):
            pass


@pytest.mark.parametrize(("name", "content", "why"), UNUSABLE)
async def test_what_tls_cannot_be_spoken_with_is_not_taken_over(
    tmp_path: Path, name: str, content: str, why: str
):
    """Afterwards: it is said that the certificate was not renewed, and the one before is served."""
    authority, folder = folder_with(tmp_path)
    with capture_logs() as logs:
        async with serving(certificate_folder=str(folder)) as world:
            world.source.values["jobs"] = 42
            spoil(folder, name, content)
            await eventually(
                lambda: any(
                    entry["event"] == "external_scaler_certificate_not_renewed"
                    and f"{name}: {why}" in entry["error"]
                    for entry in logs
                )
            )
            await served_serial(world, client_credentials(authority))
    assert "external_scaler_certificate_taken_over" not in events(logs)


async def test_an_authority_for_clients_that_comes_later_needs_a_restart(tmp_path: Path):
    """It is asked for from the start or never; a log that said otherwise would lie."""
    authority, folder = folder_with(tmp_path, is_mutual=False)
    with capture_logs() as logs:
        async with serving(certificate_folder=str(folder)) as world:
            world.source.values["jobs"] = 42
            (folder / "ca.crt").write_bytes(authority.certificate.crt.read_bytes())
            await eventually(lambda: "external_scaler_needs_restart" in events(logs))
            assert world.scaler.server._certificates.wants_clients is False
            await served_serial(world, plain_credentials(authority))
            assert "external_scaler_certificate_taken_over" not in events(logs)
            renew(authority, folder, "renewed")
            await eventually(lambda: "external_scaler_certificate_taken_over" in events(logs))
            (folder / "ca.crt").unlink()
            await asyncio.sleep(0.2)
    assert events(logs).count("external_scaler_needs_restart") == 1
    assert next(e for e in logs if e["event"] == "external_scaler_needs_restart")["log_level"] == (
        "error"
    )


async def test_an_expired_certificate_is_served_with_a_warning(tmp_path: Path):
    """Clients will refuse it; only they can say why nothing works, so the log says it, too."""
    _, folder = folder_with(tmp_path)
    with capture_logs() as logs:
        CertificateFolder(folder, ManualClock(time.time()))
        assert logs == []
        CertificateFolder(folder, ManualClock(time.time() + 3 * 86_400))
    (said,) = logs
    assert said["event"] == "external_scaler_certificate_expired"
    assert said["file"].endswith("tls.crt")


def events(logs: list[Any]) -> list[str]:
    """Return the names of what was logged."""
    return [entry["event"] for entry in logs]
