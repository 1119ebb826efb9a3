"""A real control plane on loopback: etcd, kube-apiserver, its controllers, scheduler and KWOK."""

from tests.e2e.controlplane.audit import AuditEvent
from tests.e2e.controlplane.harness import ADMINISTRATOR, CLEANING_CONTROLLERS, ControlPlane

__all__ = ["ADMINISTRATOR", "CLEANING_CONTROLLERS", "AuditEvent", "ControlPlane"]
