"""Jobs: the view of them that scaling needs, and creating and deleting them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from autoscaler.core.jobs import JobPod
from autoscaler.errors import Conflict, KubeError, NotFound, shorten
from autoscaler.kube.codec import ObjectMeta, OwnerReference, SlimMeta, decode_list
from autoscaler.kube.resources import JOBS, PODS
from autoscaler.kube.scale import FIELD_MANAGER
from autoscaler.kube.transport import KubeClient

NAME_LABEL: Final = "scaledjob.keda.sh/name"
"""On every job of a ScaledJob, with its name."""
GENERATION: Final = "scaledjob.keda.sh/generation"
"""Annotation of a job: which generation of the ScaledJob it was made from."""
JOB_NAME_LABEL: Final = "job-name"
"""On every pod of a job; the spelling that all versions of Kubernetes set."""
NAMES_PER_REQUEST: Final = 40
FINISHED: Final = ("Complete", "Failed")


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job as stored.

    Attributes:
        generation: Of the ScaledJob it was made from.
        outcome: ``Complete`` or ``Failed``, empty while it is neither.
        finished_at: When it finished, epoch seconds.
        has_begun: One of its pods is ready or has succeeded.
    """

    metadata: SlimMeta
    generation: str = ""
    outcome: str = ""
    finished_at: float | None = None
    has_begun: bool = False

    @property
    def created_at(self) -> float:
        """Creation, epoch seconds."""
        created = self.metadata.creation_timestamp
        return created.timestamp() if created else 0.0

    def belongs_to(self, name: str) -> bool:
        """Whether the ScaledJob ``name`` counts it: no other kind of controller made it."""
        controller = self._controller
        return controller is None or (controller.kind == "ScaledJob" and controller.name == name)

    def is_deletable_by(self, uid: str) -> bool:
        """Whether it is the ScaledJob's own, or nobody's, and not one of a namesake's.

        A ScaledJob created anew, or in another API group, counts the jobs of its namesake, because
        they take the same work; deleting them is up to the namesake.
        """
        return self._controller is None or self._controller.uid == uid

    @property
    def _controller(self) -> OwnerReference | None:
        return next((o for o in self.metadata.owner_references if o.controller), None)


class _Wire(msgspec.Struct, frozen=True, rename="camel"):
    pass


class _Condition(_Wire, frozen=True):
    type: str = ""
    status: str = ""
    last_transition_time: datetime | None = None


class _Uncounted(_Wire, frozen=True):
    succeeded: list[str] = []


class _Status(_Wire, frozen=True):
    conditions: list[_Condition] = []
    completion_time: datetime | None = None
    ready: int = 0
    succeeded: int = 0
    uncounted_terminated_pods: _Uncounted | None = None


class _Job(_Wire, frozen=True):
    metadata: ObjectMeta
    status: _Status = _Status()


class _PodStatus(_Wire, frozen=True):
    phase: str = ""
    conditions: list[_Condition] = []


class _Pod(_Wire, frozen=True):
    metadata: SlimMeta
    status: _PodStatus = _PodStatus()


class PodOfJob(msgspec.Struct, frozen=True):
    """A pod, the job it belongs to, and when its conditions last changed (epoch seconds)."""

    job: str
    pod: JobPod
    changed_at: float


_decode_job = msgspec.json.Decoder(_Job).decode
_decode_pod = msgspec.json.Decoder(_Pod).decode


def decode_job(data: bytes | msgspec.Raw) -> JobView:
    """Decode a job; raises msgspec.MsgspecError."""
    wire = _decode_job(data)
    meta, status = wire.metadata, wire.status
    end = next((c for c in status.conditions if c.type in FINISHED and c.status == "True"), None)
    uncounted = status.uncounted_terminated_pods
    return JobView(
        metadata=SlimMeta(
            name=meta.name,
            namespace=meta.namespace,
            uid=meta.uid,
            resource_version=meta.resource_version,
            labels=meta.labels,
            creation_timestamp=meta.creation_timestamp,
            deletion_timestamp=meta.deletion_timestamp,
            owner_references=meta.owner_references,
        ),
        generation=meta.annotations.get(GENERATION, ""),
        outcome=end.type if end else "",
        finished_at=_epoch(status.completion_time or end.last_transition_time) if end else None,
        has_begun=bool(status.ready or status.succeeded or (uncounted and uncounted.succeeded)),
    )


async def create_job(client: KubeClient, namespace: str, body: Mapping[str, Any]) -> JobView:
    """Create a job and return it as stored.

    Raises:
        Conflict: One of that name exists.
        KubeError: It was not created; after ``Unreachable`` that is not certain.
    """
    path = JOBS.path(namespace)
    answer = await client.request(
        "POST", path, params={"fieldManager": FIELD_MANAGER}, body=msgspec.json.encode(body)
    )
    return _decoded(answer, f"POST {path}")


async def read_job(client: KubeClient, namespace: str, name: str) -> JobView | None:
    """Return a job as it is now, None when there is none; raises KubeError."""
    path = JOBS.path(namespace, name)
    try:
        return _decoded(await client.request("GET", path), f"GET {path}")
    except NotFound:
        return None


async def delete_job(
    client: KubeClient, job: JobView, *, propagation_policy: str = "Background"
) -> None:
    """Delete a job and its pods; one that is gone, or another one of that name, is left alone.

    Args:
        client: Connection.
        job: As last seen.
        propagation_policy: ``Foreground`` keeps the job until its pods are gone.

    Raises:
        KubeError: It could not be deleted.
    """
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": propagation_policy,
        "preconditions": {"uid": job.metadata.uid},
    }
    path = JOBS.path(job.metadata.namespace, job.metadata.name)
    try:
        await client.request("DELETE", path, body=msgspec.json.encode(options))
    except (NotFound, Conflict):
        return


async def pods_of_jobs(client: KubeClient, namespace: str, names: Iterable[str]) -> list[PodOfJob]:
    """Return the pods of some jobs, as the API server's cache has them.

    Raises:
        KubeError: They could not be listed.
    """
    wanted = sorted(names)
    path = PODS.path(namespace)
    found: list[PodOfJob] = []
    for start in range(0, len(wanted), NAMES_PER_REQUEST):
        among = ",".join(wanted[start : start + NAMES_PER_REQUEST])
        # Version 0 spares the store; an older state only makes more jobs count as pending.
        params = {"labelSelector": f"{JOB_NAME_LABEL} in ({among})", "resourceVersion": "0"}
        answer = await client.request("GET", path, params=params)
        try:
            found += [_pod(_decode_pod(raw)) for raw in decode_list(answer).items]
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise KubeError(f"GET {path}: not a list of pods: {shorten(str(exc))}") from exc
    return found


def _pod(wire: _Pod) -> PodOfJob:
    holding = [c for c in wire.status.conditions if c.status == "True"]
    return PodOfJob(
        wire.metadata.labels.get(JOB_NAME_LABEL, ""),
        JobPod(phase=wire.status.phase, conditions=frozenset(c.type for c in holding)),
        max((_epoch(c.last_transition_time) or 0.0 for c in holding), default=0.0),
    )


def _decoded(answer: bytes, what: str) -> JobView:
    try:
        return decode_job(answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise KubeError(f"{what}: not a job: {shorten(str(exc))}") from exc


def _epoch(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
