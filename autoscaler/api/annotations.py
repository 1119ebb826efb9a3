"""KEDA's annotations, read as KEDA reads them.

A switch annotation is off when it is absent or spells a false value (``false``, ``0``, ``f``); any
other text, even an empty one, switches it on: whoever writes ``paused: "yes please"`` means it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from autoscaler.api.problems import Path, Problem, invalid
from autoscaler.core.model import INT32_MAX, Pause

PAUSED: Final = "autoscaling.keda.sh/paused"
PAUSED_REPLICAS: Final = "autoscaling.keda.sh/paused-replicas"
PAUSED_SCALE_IN: Final = "autoscaling.keda.sh/paused-scale-in"
PAUSED_SCALE_OUT: Final = "autoscaling.keda.sh/paused-scale-out"
FORCE_ACTIVATION: Final = "autoscaling.keda.sh/force-activation"
TRANSFER_HPA_OWNERSHIP: Final = "scaledobject.keda.sh/transfer-hpa-ownership"
TRANSFER_OWNERSHIP: Final = "flyball.dev/transfer-hpa-ownership"
"""Our spelling of the same."""
HPA_EXCLUDED_LABELS: Final = "scaledobject.keda.sh/hpa-excluded-labels"
JOB_EXCLUDED_LABELS: Final = "scaledjob.keda.sh/job-excluded-labels"
HPA_OWNERSHIP_CHECK: Final = "validations.keda.sh/hpa-ownership"
ADOPT: Final = "flyball.dev/adopt"
"""On a ``keda.sh`` object: ``"true"`` hands it over to us, ``"false"`` never does."""

KNOWN: Final = frozenset(
    {
        PAUSED,
        PAUSED_REPLICAS,
        PAUSED_SCALE_IN,
        PAUSED_SCALE_OUT,
        FORCE_ACTIVATION,
        TRANSFER_HPA_OWNERSHIP,
        HPA_EXCLUDED_LABELS,
        JOB_EXCLUDED_LABELS,
        HPA_OWNERSHIP_CHECK,
        TRANSFER_OWNERSHIP,
        ADOPT,
    }
)
PREFIXES: Final = (
    "autoscaling.keda.sh/",
    "scaledobject.keda.sh/",
    "scaledjob.keda.sh/",
    "validations.keda.sh/",
)

_FALSE: Final = frozenset({"0", "f", "F", "false", "False", "FALSE"})
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,10}")


def is_on(annotations: Mapping[str, str], name: str) -> bool:
    """Return whether a switch annotation is on."""
    return name in annotations and annotations[name] not in _FALSE


def takes_over(annotations: Mapping[str, str]) -> bool:
    """Return whether an existing autoscaler is to be taken over, in either spelling."""
    return is_on(annotations, TRANSFER_HPA_OWNERSHIP) or is_on(annotations, TRANSFER_OWNERSHIP)


def pause_of(annotations: Mapping[str, str]) -> Pause:
    """Return what the pause annotations ask for.

    ``paused-replicas`` wins over ``paused`` whatever that says. A count that is no replica count
    still pauses, where the workload stands.
    """
    return Pause(
        paused=PAUSED_REPLICAS in annotations or is_on(annotations, PAUSED),
        replicas=_paused_replicas(annotations),
        scale_in=is_on(annotations, PAUSED_SCALE_IN),
        scale_out=is_on(annotations, PAUSED_SCALE_OUT),
    )


def excluded_labels(annotations: Mapping[str, str], name: str = JOB_EXCLUDED_LABELS) -> set[str]:
    """Return the labels an annotation keeps from being handed on to created objects."""
    return {label.strip() for label in annotations.get(name, "").split(",") if label.strip()}


def validate_annotations(annotations: Mapping[str, str]) -> list[Problem]:
    """Return the annotations whose value cannot be used."""
    text = annotations.get(PAUSED_REPLICAS)
    if text is None or _paused_replicas(annotations) is not None:
        return []
    path = Path(("metadata", "annotations", PAUSED_REPLICAS))
    return [invalid(path, f"must be a replica count, 0 to {INT32_MAX}", text)]


def _paused_replicas(annotations: Mapping[str, str]) -> int | None:
    text = annotations.get(PAUSED_REPLICAS, "")
    count = int(text) if _INTEGER.fullmatch(text) else -1
    return count if 0 <= count <= INT32_MAX else None
