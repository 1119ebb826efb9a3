"""KEDA's two programs: the operator, and the adapter that the HPA asks for metrics."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from tests.e2e.controlplane.programs import LOOPBACK, Program, SecureProgram, probed
from tests.servers.process import free_port


class KedaOperator(Program):
    """The operator: polls, activates, makes HPAs and serves metrics to the adapter.

    Args:
        kubeconfig: Of a user who may do everything.
        certificates: Folder with ``ca.crt``, ``tls.crt`` and ``tls.key``.
        environment: Namespaces it works in and for.
    """

    name: ClassVar[str] = "keda-operator"

    def __init__(
        self, kubeconfig: Path, certificates: Path, environment: Mapping[str, str]
    ) -> None:
        super().__init__()
        self.metrics_port = free_port()
        self._prometheus_port = free_port()
        self._kubeconfig = kubeconfig
        self._certificates = certificates
        self._environment = environment

    @override
    def command(self) -> list[str]:
        return [
            *_with(self._environment),
            str(self.path),
            f"--kubeconfig={self._kubeconfig}",
            f"--cert-dir={self._certificates}",
            f"--ca-dir={self._certificates}",
            f"--health-probe-bind-address={self.address}",
            f"--metrics-bind-address={LOOPBACK}:{self._prometheus_port}",
            f"--metrics-service-bind-address={LOOPBACK}:{self.metrics_port}",
            # As the control plane's other programs: twenty objects polled each second need more
            # than the 20 requests per second it allows itself.
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        ]

    @override
    def answers(self) -> bool:
        return probed(f"http://{self.address}/readyz") is not None


class KedaAdapter(SecureProgram):
    """The metrics adapter behind the API server.

    Args:
        kubeconfig: Of a user who may do everything.
        certificates: As the operator's.
        operator: Which it asks.
        environment: As the operator's.
        tls: To talk to it with.
    """

    name: ClassVar[str] = "keda-adapter"

    def __init__(
        self,
        kubeconfig: Path,
        certificates: Path,
        operator: KedaOperator,
        *,
        environment: Mapping[str, str],
        tls: ssl.SSLContext,
    ) -> None:
        arguments: Sequence[str] = (
            *(
                f"--{flag}={kubeconfig}"
                for flag in (
                    "kubeconfig",
                    "authentication-kubeconfig",
                    "authorization-kubeconfig",
                    "lister-kubeconfig",
                )
            ),
            f"--cert-dir={certificates}",
            f"--client-ca-file={certificates / 'ca.crt'}",
            f"--tls-cert-file={certificates / 'tls.crt'}",
            f"--tls-private-key-file={certificates / 'tls.key'}",
            f"--metrics-service-address=localhost:{operator.metrics_port}",
            f"--port={free_port()}",
        )
        super().__init__(arguments, tls=tls)
        self._environment = environment

    @override
    def command(self) -> list[str]:
        return [*_with(self._environment), *super().command()]


def _with(environment: Mapping[str, str]) -> list[str]:
    """Return how a command line begins that sets variables of its own."""
    return ["env", *(f"{name}={value}" for name, value in environment.items())]
