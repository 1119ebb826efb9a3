"""Certificates of the webhook's own making."""

from __future__ import annotations

import ssl
import time

import pytest
from cryptography import x509

from autoscaler.errors import ConfigError
from autoscaler.web.certificate_sources import Serving
from autoscaler.web.certificates import (
    CLOCK_SKEW,
    LIFETIME,
    RENEW_BEFORE,
    Issued,
    bundle,
    inspect,
    issue,
)

AT = 1_790_000_000.0
NAMES = ("flyball-webhook.flyball-system.svc", "127.0.0.1")


@pytest.fixture(scope="module")
def issued() -> Issued:
    """A certificate made at ``AT``."""
    return issue(NAMES, AT)


def handshake(serving: Serving, authorities_pem: bytes, name: str) -> None:
    """Speak TLS in memory; raises ssl.SSLError where the client does not trust the server."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_into(server_context)
    client_context = ssl.create_default_context(cadata=authorities_pem.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.version() is not None
    client.getpeercert()


def test_a_certificate_says_whose_it_is_and_how_long(issued: Issued) -> None:
    """Names, expiry and the time to renew it can be read back; its authority has signed it."""
    facts = inspect(issued.certificate_pem, issued.key_pem, issued.authority_pem)
    assert facts.names == frozenset(NAMES)
    assert facts.expires_at == AT + LIFETIME.total_seconds()
    assert facts.renew_at == facts.expires_at - RENEW_BEFORE.total_seconds()
    assert facts.is_trusted
    certificate = x509.load_pem_x509_certificate(issued.certificate_pem)
    assert certificate.not_valid_before_utc.timestamp() == AT - CLOCK_SKEW.total_seconds()


def test_another_authority_does_not_count(issued: Issued) -> None:
    """A certificate is trusted through the authority that signed it only."""
    other = issue(NAMES, AT)
    assert not inspect(issued.certificate_pem, issued.key_pem, other.authority_pem).is_trusted
    assert not inspect(issued.certificate_pem, issued.key_pem).is_trusted
    both = other.authority_pem + issued.authority_pem
    assert inspect(issued.certificate_pem, issued.key_pem, both).is_trusted


@pytest.mark.parametrize("name", NAMES)
def test_tls_works_with_it(name: str) -> None:
    """A client that trusts the authority accepts the server under each of its names."""
    # Validity is checked against the machine's clock.
    now = issue(NAMES, time.time())
    serving = Serving(certificate_pem=now.certificate_pem, key_pem=now.key_pem)
    handshake(serving, now.authority_pem, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(serving, now.authority_pem, "other.example.com")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(serving, issue(NAMES, time.time()).authority_pem, name)


def test_an_authority_cannot_be_used_for_anything_else(issued: Issued) -> None:
    """It may sign certificates of servers only, and nobody has its key."""
    authority = x509.load_pem_x509_certificate(issued.authority_pem)
    usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature
    assert issued.key_pem not in issued.authority_pem
    leaf = x509.load_pem_x509_certificate(issued.certificate_pem)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.parametrize(
    ("certificate", "key"),
    [(b"", b""), (b"x", b"y"), (b"\xff", b"\xff"), (None, b"z"), (b"z", None)],
)
def test_what_is_no_certificate_is_said_to_be_none(
    issued: Issued, certificate: bytes | None, key: bytes | None
) -> None:
    """Anything else than a PEM certificate with its key is a configuration error."""
    with pytest.raises(ConfigError, match="certificate"):
        inspect(
            issued.certificate_pem if certificate is None else certificate,
            issued.key_pem if key is None else key,
        )


def test_a_key_of_another_certificate_is_noticed(issued: Issued) -> None:
    """A mix-up in a Secret does not become a server nobody can talk to."""
    other = issue(NAMES, AT)
    with pytest.raises(ConfigError, match="does not belong"):
        inspect(issued.certificate_pem, other.key_pem)
    mixed = Serving(certificate_pem=issued.certificate_pem, key_pem=other.key_pem)
    with pytest.raises(ConfigError, match="no PEM certificate with its key"):
        mixed.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def test_a_bundle_has_the_newest_authority_and_one_more() -> None:
    """The one before is kept for replicas that are late, as long as it is valid."""
    first, second, third = (issue(NAMES, AT + n).authority_pem for n in range(3))
    assert bundle(first, b"", AT) == first
    assert bundle(second, first, AT) == second + first
    assert bundle(third, second + first, AT) == third + second
    late = AT + 2 * LIFETIME.total_seconds()
    assert bundle(third, second, late) == third
    assert bundle(third, b"garbage", AT) == third


def test_keys_are_not_shown(issued: Issued) -> None:
    """The text form of neither has the key in it."""
    serving = Serving(certificate_pem=issued.certificate_pem, key_pem=issued.key_pem)
    assert "PRIVATE" not in f"{issued!r}{serving!r}{issued}{serving}"
