"""Certificates of the webhook's own making.

Each serving certificate has an authority of its own, whose key is forgotten as soon as it has
signed: there is no authority's key that could be stolen, and renewing means making both anew.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from typing_extensions import override

from autoscaler.errors import ConfigError, shorten

LIFETIME: Final = timedelta(days=365)
RENEW_BEFORE: Final = LIFETIME / 3
CLOCK_SKEW: Final = timedelta(minutes=5)
"""Certificates are valid this long before they were made, for API servers whose clocks are late."""

_KEY_USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


class Issued(msgspec.Struct, frozen=True):
    """A serving certificate with its key and the authority that signed it, all PEM."""

    authority_pem: bytes
    certificate_pem: bytes
    key_pem: bytes

    @override
    def __repr__(self) -> str:
        """Return a text without the key."""
        return "Issued(…)"


class CertificateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a serving certificate says.

    Attributes:
        names: DNS names and IP addresses it is for.
        expires_at: Epoch seconds.
        renew_at: From when on it should be replaced, epoch seconds.
        is_trusted: Signed by one of the authorities it was inspected with.
    """

    names: frozenset[str]
    expires_at: float
    renew_at: float
    is_trusted: bool


def issue(names: Sequence[str], at: float) -> Issued:
    """Make a certificate.

    Args:
        names: DNS names and IP addresses it is for; at least one.
        at: Now, epoch seconds.
    """
    now = datetime.fromtimestamp(at, UTC)
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    # A name of its own, so that an old and a new authority in one bundle are told apart.
    title = f"flyball webhook authority {now:%Y-%m-%d %H:%M:%S}"
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = (
        _builder(authority_name, authority_name, authority_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(identifier, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "flyball webhook")])
    certificate = (
        _builder(subject, authority_name, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return Issued(
        authority_pem=authority.public_bytes(pem),
        certificate_pem=certificate.public_bytes(pem),
        key_pem=key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def inspect(
    certificate_pem: bytes, key_pem: bytes, authorities_pem: bytes = b""
) -> CertificateFacts:
    """Read a serving certificate.

    Raises:
        ConfigError: It, its key or the authorities cannot be read, or the key is another one's.
    """
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        key = serialization.load_pem_private_key(key_pem, None)
        authorities = _load_all(authorities_pem)
        names = _names_of(certificate)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"no PEM certificate with its key: {shorten(str(error))}") from None
    if key.public_key() != certificate.public_key():
        raise ConfigError("the key does not belong to the certificate")
    expires = certificate.not_valid_after_utc
    lifetime = expires - certificate.not_valid_before_utc
    return CertificateFacts(
        names=names,
        expires_at=expires.timestamp(),
        renew_at=(expires - min(RENEW_BEFORE, lifetime / 3)).timestamp(),
        is_trusted=any(_has_signed(authority, certificate) for authority in authorities),
    )


def bundle(newest_pem: bytes, others_pem: bytes, at: float) -> bytes:
    """Return authorities to trust: the newest one, and the latest of the others if still valid.

    The other one is for replicas that have not taken over the newest certificate yet.

    Args:
        newest_pem: One certificate.
        others_pem: Any number of certificates, latest first; unreadable ones count as none.
        at: Now, epoch seconds.
    """
    try:
        others = _load_all(others_pem)
    except ValueError:
        others = []
    now = datetime.fromtimestamp(at, UTC)
    valid = [one for one in others if one.not_valid_after_utc > now]
    kept = [one.public_bytes(serialization.Encoding.PEM) for one in valid[:1]]
    return b"".join([newest_pem, *kept])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
    )


def _usage(*wanted: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in wanted for usage in _KEY_USAGES})


def _general_names(names: Iterable[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _names_of(certificate: x509.Certificate) -> frozenset[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset()
    names = extension.value
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    return frozenset({*names.get_values_for_type(x509.DNSName), *addresses})


def _load_all(pem: bytes) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem) if pem.strip() else []


def _has_signed(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
