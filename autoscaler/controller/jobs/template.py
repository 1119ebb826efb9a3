"""The job that a ScaledJob creates."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

import msgspec

from autoscaler import __version__
from autoscaler.api.annotations import excluded_labels
from autoscaler.kube.codec import CustomObject
from autoscaler.kube.jobs import GENERATION, NAME_LABEL

NAME_CHARACTERS: Final = 63
"""A job's name is a label value of its pods."""
RESTART_POLICY: Final = "OnFailure"


class Maker(msgspec.Struct, frozen=True):
    """Who creates jobs, as told in their labels."""

    name: str = "flyball"
    version: str = __version__


def job_body(item: CustomObject, maker: Maker = Maker()) -> dict[str, Any]:  # noqa: B008 - frozen
    """Return a new job of a ScaledJob, without a name.

    Labels and annotations of the ScaledJob are handed on, those the job is found by set last: a
    ScaledJob whose labels could hide its jobs would create them for ever.

    Args:
        item: The ScaledJob; its ``spec.jobTargetRef.template`` is a mapping.
        maker: Named in the labels.
    """
    meta = item.metadata
    spec = deepcopy(item.raw["spec"]["jobTargetRef"])
    template = spec["template"]
    of_pods = template["metadata"] = {**(template.get("metadata") or {})}
    of_pods["generateName"] = f"{meta.name}-"
    of_pods["labels"] = {**(of_pods.get("labels") or {}), NAME_LABEL: meta.name}
    pod = template["spec"] = {**(template.get("spec") or {})}
    pod["restartPolicy"] = pod.get("restartPolicy") or RESTART_POLICY
    excluded = excluded_labels(meta.annotations)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "generateName": f"{meta.name}-",
            "namespace": meta.namespace,
            "labels": {
                "app.kubernetes.io/name": meta.name,
                "app.kubernetes.io/version": maker.version,
                "app.kubernetes.io/part-of": meta.name,
                "app.kubernetes.io/managed-by": maker.name,
                **{name: text for name, text in meta.labels.items() if name not in excluded},
                NAME_LABEL: meta.name,
            },
            "annotations": {**meta.annotations, GENERATION: str(meta.generation)},
            "ownerReferences": [
                {
                    "apiVersion": item.raw["apiVersion"],
                    "kind": "ScaledJob",
                    "name": meta.name,
                    "uid": meta.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": spec,
    }


def named(body: dict[str, Any], suffix: str) -> dict[str, Any]:
    """Return a job with a name of its own.

    The name is ours instead of the API server's, so that asking once more for a job whose creation
    was never answered cannot create a second one.
    """
    meta = body["metadata"]
    room = NAME_CHARACTERS - len(suffix) - 1
    name = f"{meta['generateName'].removesuffix('-')[:room].rstrip('-.')}-{suffix}"
    return {**body, "metadata": {**meta, "name": name}}
