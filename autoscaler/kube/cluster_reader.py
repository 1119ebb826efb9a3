"""The reads a scaler may do in the cluster it runs in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from autoscaler.errors import KubeError, MetricMalformed, shorten
from autoscaler.kube.metric_errors import as_metric_error
from autoscaler.kube.resources import ENDPOINT_SLICES, PODS, Resource
from autoscaler.kube.transport import KubeClient
from autoscaler.sdk.scaler import ClusterPod

PAGE_ITEMS: Final = 500
PAGES_MAX: Final = 1000


class _Wire(msgspec.Struct, frozen=True, rename="camel"):
    pass


class _ListMeta(_Wire, frozen=True):
    continue_: str = msgspec.field(name="continue", default="")


class _Meta(_Wire, frozen=True):
    name: str = ""


class _PodSpec(_Wire, frozen=True):
    node_name: str = ""


class _PodStatus(_Wire, frozen=True):
    phase: str = ""


class _Pod(_Wire, frozen=True):
    metadata: _Meta = _Meta()
    spec: _PodSpec = _PodSpec()
    status: _PodStatus = _PodStatus()


class _PodList(_Wire, frozen=True):
    items: list[_Pod]
    metadata: _ListMeta = _ListMeta()


class _Conditions(_Wire, frozen=True):
    # Absent means ready: the slice's maker does not know better.
    ready: bool | None = None


class _Endpoint(_Wire, frozen=True):
    addresses: list[str] = []
    conditions: _Conditions = _Conditions()


class _Port(_Wire, frozen=True):
    port: int | None = None


class _Slice(_Wire, frozen=True):
    endpoints: list[_Endpoint] | None = None
    ports: list[_Port] | None = None


class _SliceList(_Wire, frozen=True):
    items: list[_Slice]
    metadata: _ListMeta = _ListMeta()


_decode_pods = msgspec.json.Decoder(_PodList).decode
_decode_slices = msgspec.json.Decoder(_SliceList).decode


class KubeClusterReader:
    """Implements ``sdk.ClusterReader`` over the API."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def list_pods(self, namespace: str, selector: str) -> Sequence[ClusterPod]:
        """Return the pods matching a label selector; raises MetricError."""
        found: list[ClusterPod] = []
        token = ""
        for _ in range(PAGES_MAX):
            body = await self._page(PODS, namespace, selector, token)
            try:
                page = _decode_pods(body)
            except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
                raise _malformed(PODS, namespace, exc) from exc
            found.extend(
                ClusterPod(name=p.metadata.name, phase=p.status.phase, node=p.spec.node_name)
                for p in page.items
            )
            token = page.metadata.continue_
            if not token:
                return found
        raise MetricMalformed(f"the list of pods in {namespace!r} goes on after {PAGES_MAX} pages")

    async def service_endpoints(self, namespace: str, service: str) -> Sequence[str]:
        """Return ``host:port`` of the ready endpoints behind a Service; raises MetricError."""
        selector = f"kubernetes.io/service-name={service}"
        body = await self._page(ENDPOINT_SLICES, namespace, selector, "")
        try:
            slices = _decode_slices(body).items
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise _malformed(ENDPOINT_SLICES, namespace, exc) from exc
        found = {
            f"[{address}]:{port.port}" if ":" in address else f"{address}:{port.port}"
            for piece in slices
            for endpoint in piece.endpoints or ()
            if endpoint.conditions.ready is not False
            for address in endpoint.addresses
            for port in piece.ports or ()
            if port.port is not None
        }
        return sorted(found)

    async def _page(self, resource: Resource, namespace: str, selector: str, token: str) -> bytes:
        params = {"limit": str(PAGE_ITEMS)}
        if selector:
            params["labelSelector"] = selector
        if token:
            params["continue"] = token
        try:
            return await self._client.request("GET", resource.path(namespace), params=params)
        except KubeError as exc:
            raise as_metric_error(exc) from exc


def _malformed(resource: Resource, namespace: str, exc: Exception) -> MetricMalformed:
    return MetricMalformed(
        f"list of {resource.plural} in namespace {namespace!r}: {shorten(str(exc))}"
    )
