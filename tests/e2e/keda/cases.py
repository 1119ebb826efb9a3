"""Ten specs of KEDA with the series each is run on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

POLL_SECONDS: Final = 2
SYNC_SECONDS: Final = 4
"""Of the HPA, and of ours for objects of ``keda.sh``."""
DOWNSCALE_SECONDS: Final = 10
"""Controller-wide down window on both sides."""
SHORT_COOLDOWN_SECONDS: Final = 2
"""Over before the down window lets the HPA go down: at most a cooldown and a poll after the last
active poll, while the HPA waits the window from a look at most one sync period earlier."""
LONG_COOLDOWN_SECONDS: Final = 24
"""Lasts until the HPA has gone down: the window, a sync period and a poll are over before."""
PAUSED: Final = "autoscaling.keda.sh/paused-replicas"
Values = tuple[float | None, ...]
"""One per trigger; None = the source fails."""


class Step(NamedTuple):
    """Values that stay for a time; ``resumed`` takes the pause annotation away first."""

    seconds: float
    values: Values
    resumed: bool = False


class Case(NamedTuple):
    """One object and its series.

    Attributes:
        spec: Of the ScaledObject, without target and triggers.
        series: The first values ask for the replicas there are: KEDA's HPA looks for the first time
            some seconds after it was made, and that is not the subject.
        trigger: Metadata of every trigger beside the address.
        ends_at: Replicas at the end, so that two sides that both do nothing are no success.
    """

    name: str
    spec: Mapping[str, Any]
    series: Sequence[Step]
    ends_at: int
    highest: int
    trigger: Mapping[str, str] = {"targetValue": "10"}
    replicas: int = 0
    annotations: Mapping[str, str] = {}


def steps(*pairs: tuple[float, float | None]) -> tuple[Step, ...]:
    """Return the series of a single trigger."""
    return tuple(Step(seconds, (value,)) for seconds, value in pairs)


BEHAVIOR: Final = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "policies": [{"type": "Pods", "value": 2, "periodSeconds": 2}],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": 6,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 2}],
    },
}
SUM: Final = {"scalingModifiers": {"formula": "a + b", "target": "10"}}
CASES: Final = (
    Case(
        "zero-slowly",
        {"minReplicaCount": 0, "cooldownPeriod": LONG_COOLDOWN_SECONDS},
        steps((10, 0), (24, 50), (46, 0), (20, 30), (46, 0)),
        ends_at=0,
        highest=5,
    ),
    Case(
        "zero-quickly",
        {"minReplicaCount": 0, "cooldownPeriod": SHORT_COOLDOWN_SECONDS},
        steps((10, 0), (24, 70), (20, 0), (24, 25), (20, 0)),
        ends_at=0,
        highest=7,
    ),
    Case(
        "idle",
        {
            "idleReplicaCount": 0,
            "minReplicaCount": 2,
            "maxReplicaCount": 8,
            "cooldownPeriod": LONG_COOLDOWN_SECONDS,
        },
        steps((10, 0), (26, 60), (50, 0), (20, 5)),
        ends_at=2,
        highest=6,
    ),
    Case(
        "minimum",
        {"minReplicaCount": 2, "maxReplicaCount": 20},
        steps((12, 15), (28, 130), (32, 30), (24, 95), (30, 0)),
        ends_at=2,
        highest=13,
        replicas=2,
    ),
    Case(
        "maximum",
        {"minReplicaCount": 1, "maxReplicaCount": 4},
        steps((12, 10), (20, 200), (30, 20), (20, 90)),
        ends_at=4,
        highest=4,
        replicas=1,
    ),
    Case(
        "fallback",
        {"minReplicaCount": 1, "fallback": {"failureThreshold": 2, "replicas": 6}},
        steps((12, 10), (16, 20), (36, None), (34, 20), (20, 40)),
        ends_at=4,
        highest=6,
        replicas=1,
    ),
    Case(
        "no-fallback",
        {"minReplicaCount": 1},
        steps((12, 10), (16, 60), (40, None), (30, 20)),
        ends_at=2,
        highest=6,
        replicas=1,
    ),
    Case(
        "modifiers",
        {
            "minReplicaCount": 0,
            "cooldownPeriod": SHORT_COOLDOWN_SECONDS,
            "advanced": SUM,
        },
        (
            Step(10, (0, 0)),
            Step(24, (30, 25)),
            Step(32, (20, 0)),
            Step(20, (0, 45)),
            Step(20, (0, 0)),
        ),
        ends_at=0,
        highest=6,
    ),
    Case(
        "activation",
        {"minReplicaCount": 0, "cooldownPeriod": SHORT_COOLDOWN_SECONDS},
        steps((16, 20), (24, 50), (20, 25), (20, 40)),
        ends_at=4,
        highest=5,
        trigger={"targetValue": "10", "activationTargetValue": "30"},
    ),
    Case(
        "behavior-after-pause",
        {
            "minReplicaCount": 1,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": BEHAVIOR}},
        },
        (
            Step(24, (80,)),
            Step(36, (80,), resumed=True),
            Step(50, (20,)),
        ),
        ends_at=2,
        highest=8,
        replicas=1,
        annotations={PAUSED: "3"},
    ),
)
