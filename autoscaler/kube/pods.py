"""Pods: from the API's JSON to the core's view, built once when a pod arrives."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final

import msgspec

from autoscaler.core.model import Container, Pod
from autoscaler.core.quantity import to_milli
from autoscaler.errors import QuantityError
from autoscaler.kube.codec import SlimMeta

POD_LEVEL_RESOURCES: Final = ("cpu", "memory")
HUGE_PAGES: Final = "hugepages-"


class PodView(msgspec.Struct, frozen=True, kw_only=True):
    """A pod as stored: its metadata, and the core's view of it."""

    metadata: SlimMeta
    pod: Pod
    node: str = ""

    @property
    def is_ready(self) -> bool:
        """Running with Ready=True, terminating or not, as the HPA counts ready pods."""
        return self.pod.phase == "Running" and self.pod.ready == "True"


class _Wire(msgspec.Struct, frozen=True, rename="camel"):
    pass


class _Resources(_Wire, frozen=True):
    requests: dict[str, str | int | float] = {}


class _Container(_Wire, frozen=True):
    name: str = ""
    resources: _Resources | None = None
    restart_policy: str = ""


class _Spec(_Wire, frozen=True):
    node_name: str = ""
    containers: list[_Container] = []
    init_containers: list[_Container] = []
    resources: _Resources | None = None


class _Condition(_Wire, frozen=True):
    type: str = ""
    status: str = ""
    last_transition_time: datetime | None = None


class _Status(_Wire, frozen=True):
    phase: str = ""
    conditions: list[_Condition] = []
    start_time: datetime | None = None


class _Pod(_Wire, frozen=True):
    metadata: SlimMeta
    spec: _Spec = _Spec()
    status: _Status = _Status()


_decode = msgspec.json.Decoder(_Pod).decode


def decode_pod(data: bytes | msgspec.Raw) -> PodView:
    """Decode a pod; raises msgspec.MsgspecError."""
    wire = _decode(data)
    ready = next((c for c in wire.status.conditions if c.type == "Ready"), None)
    return PodView(
        metadata=wire.metadata,
        node=wire.spec.node_name,
        pod=Pod(
            name=wire.metadata.name,
            phase=wire.status.phase,
            ready=ready.status if ready else None,
            ready_changed_at=_epoch(ready.last_transition_time) if ready else None,
            started_at=_epoch(wire.status.start_time),
            is_terminating=wire.metadata.deletion_timestamp is not None,
            containers=(
                *(_container(c, is_init=False) for c in wire.spec.containers),
                *(_container(c, is_init=True) for c in wire.spec.init_containers),
            ),
            requests_milli=_pod_level_requests(wire.spec.resources),
        ),
    )


def _container(wire: _Container, *, is_init: bool) -> Container:
    is_sidecar = is_init and wire.restart_policy == "Always"
    requests = wire.resources.requests if wire.resources else {}
    return Container(
        name=wire.name,
        requests_milli={
            name: amount
            for name in POD_LEVEL_RESOURCES
            if (amount := _milli(requests.get(name))) is not None
        },
        is_sidecar=is_sidecar,
        is_init=is_init and not is_sidecar,
    )


def _pod_level_requests(resources: _Resources | None) -> Mapping[str, int] | None:
    """Return the requests of the pod itself, None when it makes none that count as such."""
    if resources is None:
        return None
    found = {
        name: amount
        for name, text in resources.requests.items()
        if (name in POD_LEVEL_RESOURCES or name.startswith(HUGE_PAGES))
        and (amount := _milli(text)) is not None
    }
    return found or None


def _milli(quantity: str | float | None) -> int | None:
    """Return thousandths; None for no quantity or one the API server would not have accepted."""
    return None if quantity is None else _parse(str(quantity))


@lru_cache(maxsize=4096)
def _parse(text: str) -> int | None:
    try:
        return to_milli(text)
    except QuantityError:
        return None


def _epoch(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
