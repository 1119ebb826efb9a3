"""The programs of a control plane, each started, asked whether it is up, killed and restarted."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from tests.e2e.controlplane.binaries import find
from tests.servers.process import Server, free_port

LOOPBACK = "127.0.0.1"
ANSWER_SECONDS = 5.0


class Program(Server):
    """A program that was found by name; what it needs is checked when it is constructed.

    Args:
        folder: Of the control plane; the program's log is there.
    """

    start_seconds: ClassVar[float] = 60.0

    def __init__(self) -> None:
        self.path = find(self.name)
        super().__init__()

    @classmethod
    @override
    def check_available(cls) -> None:
        find(cls.name)

    @property
    def log(self) -> Path:
        """What the program printed."""
        return self.folder / "output.log"


class Etcd(Program):
    """etcd with its data in its own folder, so that a kill loses nothing that was written."""

    name: ClassVar[str] = "etcd"

    def __init__(self) -> None:
        super().__init__()
        self._peer_port = free_port()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"http://{self.address}"

    @override
    def command(self) -> list[str]:
        peers = f"http://{LOOPBACK}:{self._peer_port}"
        return [
            str(self.path),
            *("--name", "e2e", "--data-dir", str(self.folder / "data")),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
            *("--initial-cluster", f"e2e={peers}", "--log-level", "warn"),
            # The kernel keeps what a killed process wrote; only a power cut would lose it.
            "--unsafe-no-fsync",
        ]

    @override
    def answers(self) -> bool:
        found = probed(f"{self.url}/health")
        return bool(found and json.loads(found).get("health") == "true")

    def compact(self) -> int:
        """Forget all history up to now; returns the revision that is the oldest from now on."""
        status = self._call("maintenance/status", {})
        revision = int(status["header"]["revision"])
        self._call("kv/compaction", {"revision": str(revision), "physical": True})
        return revision

    def _call(self, method: str, body: dict[str, object]) -> dict[str, dict[str, str]]:
        request = urllib.request.Request(
            f"{self.url}/v3/{method}", json.dumps(body).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            found: dict[str, dict[str, str]] = json.load(answer)
            return found


class SecureProgram(Program):
    """A program that serves https.

    Args:
        arguments: Everything but the port.
        tls: To talk to it with.
        settled: Asked after ``/readyz`` says ok; what is still missing then.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        tls: ssl.SSLContext,
        settled: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__()
        self._arguments = tuple(arguments)
        self._tls = tls
        self._settled = settled

    probe: ClassVar[str] = "/healthz"

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"https://{self.address}"

    @override
    def command(self) -> list[str]:
        return [
            str(self.path),
            f"--secure-port={self.port}",
            f"--bind-address={LOOPBACK}",
            *self._arguments,
        ]

    @override
    def answers(self) -> bool:
        return probed(self.url + self.probe, self._tls) == b"ok" and self._settled()


class KubeApiserver(SecureProgram):
    """kube-apiserver."""

    name: ClassVar[str] = "kube-apiserver"
    probe: ClassVar[str] = "/readyz"


class KubeControllerManager(SecureProgram):
    """kube-controller-manager."""

    name: ClassVar[str] = "kube-controller-manager"


class KubeScheduler(SecureProgram):
    """kube-scheduler."""

    name: ClassVar[str] = "kube-scheduler"


class Kwok(Program):
    """KWOK: nodes that are ready, and pods that become ready on them, without a kubelet.

    Args:
        arguments: Everything but the port.
    """

    name: ClassVar[str] = "kwok"

    def __init__(self, arguments: Sequence[str]) -> None:
        super().__init__()
        self._arguments = tuple(arguments)

    @override
    def command(self) -> list[str]:
        return [str(self.path), f"--server-address={self.address}", *self._arguments]

    @override
    def answers(self) -> bool:
        return probed(f"http://{self.address}/healthz") is not None


def probed(url: str, tls: ssl.SSLContext | None = None) -> bytes | None:
    """Return what a probe answers, None for an error; raises OSError when nobody does."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS, context=tls) as answer:
            text: bytes = answer.read()
            return text
    except urllib.error.HTTPError as error:
        error.close()
        return None
