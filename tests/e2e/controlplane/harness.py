"""A control plane of one's own: started in a temporary folder, stopped with everything in it."""

from __future__ import annotations

import shutil
import ssl
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import yaml

from tests.e2e.controlplane.administrator import Administrator, RequestRefused
from tests.e2e.controlplane.audit import AuditEvent, read_audit_log
from tests.e2e.controlplane.binaries import MODULES_FOLDER
from tests.e2e.controlplane.certificates import Authority, Certificate, new_key, public_half
from tests.e2e.controlplane.programs import (
    Etcd,
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    Kwok,
    Program,
)

ADMINISTRATOR = "e2e-administrator"
ISSUER = "https://kubernetes.default.svc"
STAGES = MODULES_FOLDER / "kwok" / "stages.yaml"
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.05
NODE_CAPACITY = {"cpu": "1000", "memory": "1Ti", "pods": "10000"}
CLEANING_CONTROLLERS = ("garbage-collector-controller", "namespace-controller")
"""What makes a bare API server behave: dependents follow their owner, namespaces empty."""


class ControlPlane:
    """etcd, kube-apiserver and, as wished, controllers, scheduler and nodes, on loopback.

    RBAC decides, every request is in the audit log, and users are told apart by client
    certificates or service account tokens. Use ``with``, or the asynchronous form inside an event
    loop; the other methods block, so call them through ``asyncio.to_thread`` there.

    Args:
        controllers: For kube-controller-manager; empty = none is started, ``("*",)`` = its own
            choice.
        controller_arguments: Further flags of kube-controller-manager, e.g. those of the HPA.
        nodes: With nodes there are a scheduler and KWOK, and bound pods become ready.
        pods_ready_seconds: How long a pod takes for that: least and most, evenly spread.
        pods_gone_seconds: How long a running pod takes to go once it is deleted.
        apiserver_arguments: Further flags of kube-apiserver.

    Raises:
        ServerMissing: A program is not there; the message names it.
    """

    def __init__(
        self,
        *,
        controllers: Sequence[str] = ("*",),
        controller_arguments: Sequence[str] = (),
        nodes: int = 3,
        pods_ready_seconds: tuple[float, float] = (0.0, 0.0),
        pods_gone_seconds: float = 0.0,
        apiserver_arguments: Sequence[str] = (),
    ) -> None:
        self._controllers = tuple(controllers)
        self._controller_arguments = tuple(controller_arguments)
        self._nodes = nodes
        self._pods_ready_seconds = pods_ready_seconds
        self._pods_gone_seconds = pods_gone_seconds
        self._apiserver_arguments = tuple(apiserver_arguments)
        self._closing = ExitStack()
        for program in self._needed():
            program.check_available()

    def start(self) -> None:
        """Start everything and wait until it is ready."""
        self.folder = Path(tempfile.mkdtemp(prefix="flyball-controlplane-"))
        self._closing.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._audit_log = self.folder / "audit.log"
        self._make_certificates()
        self.etcd = self._running(Etcd())
        self.apiserver = self._make_apiserver()
        self._running(self.apiserver)
        if self._controllers:
            self.controller_manager = self._running(self._make_controller_manager())
        if self._nodes:
            self.scheduler = self._running(self._make_scheduler())
            self.kwok = self._running(self._make_kwok())
            for number in range(self._nodes):
                self.add_node(f"node-{number}")
            self._wait("nodes are ready", self._nodes_are_ready)

    def close(self) -> None:
        """Stop everything and remove the folder."""
        self._closing.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Of the API server; it stays the same over restarts."""
        return self.apiserver.url

    def restart_apiserver(self, *, down_seconds: float = 0.0) -> None:
        """Kill the API server, leave it away for a while, and wait until it is back."""
        self.apiserver.kill()
        time.sleep(down_seconds)
        self.apiserver.start()

    def restart_etcd(self, *, down_seconds: float = 0.0) -> None:
        """Kill etcd, leave it away for a while, and wait until the API server can work again."""
        self.etcd.kill()
        time.sleep(down_seconds)
        self.etcd.start()
        self._wait("the API server finds etcd again", self._apiserver_works)

    def compact_etcd(self) -> int:
        """Make etcd forget its history; returns the oldest version that can still be read.

        The API server goes on answering from its own cache of the last changes until it restarts.
        """
        return self.etcd.compact()

    def kubeconfig(
        self, user: str = ADMINISTRATOR, groups: Sequence[str] = (), *, namespace: str = "default"
    ) -> Path:
        """Write the kubeconfig of a user with a client certificate and return its path.

        Args:
            user: The administrator, or anybody with no rights but those that RBAC gives.
            groups: Of the user; the administrator's are set.
            namespace: Of the context.
        """
        certificate = self._certificate(user, tuple(groups))
        path = self.folder / f"{_file_name(user, *groups)}.kubeconfig"
        login = {"client-certificate": str(certificate.crt), "client-key": str(certificate.key)}
        return self._write_kubeconfig(path, user, login, namespace)

    def account_kubeconfig(
        self, namespace: str, account: str, *, valid_seconds: int = 3600
    ) -> Path:
        """Write the kubeconfig of a service account with a fresh token and return its path."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        body = {"spec": {"expirationSeconds": valid_seconds}}
        token = self.administrator.create(path, body)["status"]["token"]
        user = f"system:serviceaccount:{namespace}:{account}"
        target = self.folder / f"{_file_name(user)}.kubeconfig"
        return self._write_kubeconfig(target, user, {"token": token}, namespace)

    def tls(self, user: str = ADMINISTRATOR, groups: Sequence[str] = ()) -> ssl.SSLContext:
        """Return a context that trusts the API server and proves to be a user."""
        context = ssl.create_default_context(cafile=str(self._authority.certificate.crt))
        context.load_cert_chain(*self._certificate(user, tuple(groups)))
        return context

    @property
    def serving(self) -> Certificate:
        """The API server's certificate, for others on loopback that stand in for it."""
        return self._serving

    @property
    def trusted(self) -> Path:
        """Certificate of the authority that signed everybody's."""
        return self._authority.certificate.crt

    @property
    def administrator(self) -> Administrator:
        """Who may do everything."""
        return Administrator(self.url, self.tls())

    def add_node(self, name: str, **labels: str) -> None:
        """Register a node; KWOK makes it ready."""
        capacity = {"capacity": NODE_CAPACITY, "allocatable": NODE_CAPACITY}
        metadata = {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}}
        self.administrator.create("/api/v1/nodes", {"metadata": metadata, "status": capacity})

    def audit_mark(self) -> int:
        """Return where the audit log ends now, for :meth:`audit_events`."""
        return self._audit_log.stat().st_size if self._audit_log.exists() else 0

    def audit_events(self, *, user: str | None = None, since: int = 0) -> list[AuditEvent]:
        """Return what was asked of the API server, oldest first.

        Args:
            user: Only of this user; None = of everybody.
            since: An earlier :meth:`audit_mark`.
        """
        events = read_audit_log(self._audit_log, offset=since)
        return [event for event in events if user in {None, event.user.username}]

    def _needed(self) -> list[type[Program]]:
        needed: list[type[Program]] = [Etcd, KubeApiserver]
        needed += [KubeControllerManager] if self._controllers else []
        needed += [KubeScheduler, Kwok] if self._nodes else []
        return needed

    def _running(self, program: Any) -> Any:
        self._closing.callback(program.close)
        program.start()
        return program

    def _make_certificates(self) -> None:
        folder = self.folder / "certificates"
        self._certificates: dict[tuple[str, tuple[str, ...]], Certificate] = {}
        self._authority = Authority(folder, "ca")
        self._front = Authority(folder, "front-proxy-ca")
        self._proxy = self._front.issue("front-proxy", common_name="front-proxy")
        self._serving = self._authority.issue(
            "serving",
            common_name="kube-apiserver",
            alternatives=("DNS:localhost", "DNS:kubernetes.default.svc", "IP:127.0.0.1"),
        )
        self._account_key = folder / "service-accounts.key"
        new_key(self._account_key)
        self._account_public = folder / "service-accounts.pub"
        public_half(self._account_key, self._account_public)

    def _certificate(self, user: str, groups: tuple[str, ...]) -> Certificate:
        if user == ADMINISTRATOR:
            groups = ("system:masters",)
        known = self._certificates.get((user, groups))
        if known is None:
            known = self._authority.issue(
                _file_name(user, *groups), common_name=user, organizations=groups
            )
            self._certificates[user, groups] = known
        return known

    def _make_apiserver(self) -> KubeApiserver:
        front, proxy = self._front.certificate, self._proxy
        arguments = [
            f"--etcd-servers={self.etcd.url}",
            f"--tls-cert-file={self._serving.crt}",
            f"--tls-private-key-file={self._serving.key}",
            f"--client-ca-file={self._authority.certificate.crt}",
            "--authorization-mode=RBAC",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={self._account_public}",
            f"--service-account-signing-key-file={self._account_key}",
            "--service-cluster-ip-range=10.77.0.0/16",
            # Nothing outside this machine reaches it, so there is no address to advertise.
            "--advertise-address=192.0.2.1",
            "--endpoint-reconciler-type=none",
            f"--audit-policy-file={MODULES_FOLDER / 'audit-policy.yaml'}",
            f"--audit-log-path={self._audit_log}",
            # An answered request is in the log, and the log is one file.
            "--audit-log-mode=blocking",
            "--audit-log-maxsize=10000",
            f"--proxy-client-cert-file={proxy.crt}",
            f"--proxy-client-key-file={proxy.key}",
            f"--requestheader-client-ca-file={front.crt}",
            "--requestheader-allowed-names=front-proxy",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--profiling=false",
            *self._apiserver_arguments,
        ]
        return KubeApiserver(arguments, tls=self.tls(), settled=self._apiserver_works)

    def _make_controller_manager(self) -> KubeControllerManager:
        kubeconfig = self.kubeconfig()
        arguments = [
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--leader-elect=false",
            f"--controllers={','.join(self._controllers)}",
            f"--service-account-private-key-file={self._account_key}",
            f"--root-ca-file={self._authority.certificate.crt}",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            *self._controller_arguments,
        ]
        return KubeControllerManager(arguments, tls=any_server())

    def _make_scheduler(self) -> KubeScheduler:
        kubeconfig = self.kubeconfig()
        arguments = [
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--leader-elect=false",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        ]
        return KubeScheduler(arguments, tls=any_server())

    def _make_kwok(self) -> Kwok:
        least, most = self._pods_ready_seconds
        text = STAGES.read_text()
        for name, seconds in (
            ("PODS_READY_LEAST_MILLISECONDS", least),
            ("PODS_READY_MOST_MILLISECONDS", most),
            ("PODS_GONE_MILLISECONDS", self._pods_gone_seconds),
        ):
            text = text.replace(name, str(round(seconds * 1000)))
        stages = self.folder / "stages.yaml"
        stages.write_text(text)
        return Kwok(
            [
                f"--kubeconfig={self.kubeconfig()}",
                f"--config={stages}",
                "--manage-all-nodes=true",
                "--node-lease-duration-seconds=40",
            ]
        )

    def _apiserver_works(self) -> bool:
        try:
            return self.administrator.exists("/api/v1/namespaces/default")
        except (RequestRefused, OSError):
            return False

    def _nodes_are_ready(self) -> bool:
        nodes = self.administrator.get("/api/v1/nodes")["items"]
        ready = [
            node
            for node in nodes
            if not node["spec"].get("taints")
            and any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in node["status"].get("conditions", ())
            )
        ]
        return len(ready) == self._nodes

    def _wait(self, what: str, holds: Callable[[], bool]) -> None:
        give_up_at = time.monotonic() + WAIT_SECONDS
        while not holds():
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"{what}: not within {WAIT_SECONDS:g} s")
            time.sleep(POLL_SECONDS)

    def _write_kubeconfig(
        self, path: Path, user: str, login: dict[str, str], namespace: str
    ) -> Path:
        cluster = {
            "server": self.url,
            "certificate-authority": str(self._authority.certificate.crt),
        }
        context = {"cluster": "e2e", "user": user, "namespace": namespace}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "e2e", "cluster": cluster}],
            "users": [{"name": user, "user": login}],
            "contexts": [{"name": "e2e", "context": context}],
            "current-context": "e2e",
        }
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path


def _file_name(*parts: str) -> str:
    return "user-" + "-".join(parts).replace(":", "-").replace("/", "-")


def any_server() -> ssl.SSLContext:
    """Return a context for programs that sign their own certificate, asked for their health."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
