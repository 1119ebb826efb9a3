"""What a pod requests of a resource, which utilization is measured against."""

from __future__ import annotations

from autoscaler.core.model import Container, Pod


class MissingRequest(Exception):
    """A pod does not say what it requests, so its utilization is undefined."""


def request_milli(pod: Pod, resource: str, container: str | None) -> int:
    """Return a pod's request in thousandths.

    Args:
        pod: With its containers in spec order.
        resource: ``cpu`` or ``memory``.
        container: Only this container's request; None = the whole pod's.

    Raises:
        MissingRequest: The container does not exist, or a request that counts is not set.
    """
    if container is not None:
        return _of_container(pod, resource, container)
    if pod.requests_milli:
        return _of_pod_level(pod, resource)
    total = 0
    for part in pod.containers:
        if not part.is_init:
            total += _required(pod, part, resource)
    return total


def _of_container(pod: Pod, resource: str, container: str) -> int:
    for part in pod.containers:
        if part.name == container and not part.is_init:
            return _required(pod, part, resource)
    raise MissingRequest(f"pod {pod.name} has no container {container}")


def _required(pod: Pod, part: Container, resource: str) -> int:
    amount = part.requests_milli.get(resource)
    if amount is None:
        raise MissingRequest(f"container {part.name} of pod {pod.name} requests no {resource}")
    return amount


def _of_pod_level(pod: Pod, resource: str) -> int:
    """Return the pod-level request, else what the scheduler would reserve for the containers."""
    assert pod.requests_milli is not None
    amount = pod.requests_milli.get(resource)
    if amount is not None:
        return amount
    if not any(resource in part.requests_milli for part in pod.containers):
        raise MissingRequest(f"pod {pod.name} requests no {resource}, at pod level or below")
    running = sidecars = initial = 0
    for part in pod.containers:
        own = part.requests_milli.get(resource, 0)
        if part.is_init:
            initial = max(initial, own + sidecars)
        elif part.is_sidecar:
            sidecars += own
            initial = max(initial, sidecars)
        else:
            running += own
    return max(running + sidecars, initial)
