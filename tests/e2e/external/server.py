"""``flyball external-scaler`` as a process, and the certificates it is given."""

from __future__ import annotations

import socket
import ssl
import sys
from pathlib import Path
from typing import ClassVar, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from typing_extensions import override

from tests.e2e.controlplane.certificates import Authority, Certificate
from tests.servers.process import Server

ANSWER_SECONDS: Final = 5.0
LOOPBACK: Final = "127.0.0.1"
NAMES: Final = ("DNS:localhost", "IP:127.0.0.1")


class MountedCertificates:
    """A folder as the kubelet mounts a Secret: all of its files change in one moment.

    Args:
        folder: Made; also holds the authority and its client's certificate.

    Attributes:
        authority: Who signs both sides' certificates.
        client: Certificate of a client that is served.
    """

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "authority", "ca")
        self.client = self.authority.issue("client", common_name="keda-operator")
        self.folder = folder / "mounted"
        self.folder.mkdir()
        self._versions = 0
        self._current = self._put()
        for name in ("tls.crt", "tls.key", "ca.crt"):
            (self.folder / name).symlink_to(f"..data/{name}")

    @property
    def current(self) -> bytes:
        """The server's certificate (DER)."""
        return ssl.PEM_cert_to_DER_cert(self._current.crt.read_text())

    def rotate(self) -> None:
        """Put a new server certificate in place of the old one."""
        self._current = self._put()

    def _put(self) -> Certificate:
        self._versions += 1
        version = f"..version-{self._versions}"
        issued = self.authority.issue(
            f"server-{self._versions}", common_name="flyball", alternatives=NAMES
        )
        place = self.folder / version
        place.mkdir()
        trusted = self.authority.certificate.crt
        for name, path in (("tls.crt", issued.crt), ("tls.key", issued.key), ("ca.crt", trusted)):
            (place / name).write_bytes(path.read_bytes())
        link = self.folder / "..data-next"
        link.symlink_to(version)
        link.replace(self.folder / "..data")
        return issued


class ExternalScaler(Server):
    """The server under test.

    Args:
        kubeconfig: Of the account it runs as; None = it needs no cluster.
        certificates: For mTLS; None = it speaks without TLS.
    """

    name: ClassVar[str] = "flyball-external-scaler"

    def __init__(
        self, kubeconfig: Path | None = None, certificates: MountedCertificates | None = None
    ) -> None:
        super().__init__()
        self._kubeconfig = kubeconfig
        self._certificates = certificates

    @classmethod
    @override
    def check_available(cls) -> None:
        return

    @override
    def command(self) -> list[str]:
        cluster = ["--kubeconfig", str(self._kubeconfig)] if self._kubeconfig else ["--no-cluster"]
        certificates = self._certificates
        tls = ["--certificate-folder", str(certificates.folder)] if certificates else []
        return [
            *(sys.executable, "-m", "autoscaler", "external-scaler"),
            *("--listen", self.address, "--http-listen", f"{LOOPBACK}:0"),
            *cluster,
            *tls,
        ]

    @override
    def answers(self) -> bool:
        request = health_pb2.HealthCheckRequest()
        with self._channel() as channel:
            try:
                found = health_pb2_grpc.HealthStub(channel).Check(request, timeout=ANSWER_SECONDS)
            except grpc.RpcError:
                return False
        return bool(found.status == health_pb2.HealthCheckResponse.SERVING)

    def shown_certificate(self) -> bytes:
        """Return the certificate that a new connection is shown (DER)."""
        certificates = self._certificates
        assert certificates, "it speaks without TLS"
        context = ssl.create_default_context(cafile=str(certificates.authority.certificate.crt))
        context.load_cert_chain(*certificates.client)
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection((LOOPBACK, self.port), ANSWER_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=LOOPBACK) as secure,
        ):
            shown = secure.getpeercert(binary_form=True)
        assert shown, "the server shows no certificate"
        return shown

    def _channel(self) -> grpc.Channel:
        if self._certificates is None:
            return grpc.insecure_channel(self.address)
        trusted = self._certificates.authority.certificate.crt
        client = self._certificates.client
        credentials = grpc.ssl_channel_credentials(
            trusted.read_bytes(), client.key.read_bytes(), client.crt.read_bytes()
        )
        return grpc.secure_channel(self.address, credentials)
