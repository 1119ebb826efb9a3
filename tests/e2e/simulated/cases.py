"""Three loads, who scales them, and what serves them."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from simulations.plant.parameters import Service, Signal, SignalKind, Waiting
from simulations.policies.objects import TriggerModel
from simulations.workload.generators import DAY, Burst, Diurnal, Ramp, Shape
from simulations.workload.load import Load, load_of
from tests.e2e.objects import FLYBALL

LOAD_SECONDS: Final = 180
SEED: Final = 7
STEP_SECONDS: Final = 0.25
POLL_SECONDS: Final = 5
WINDOW_SECONDS: Final = 15.0
READY_SECONDS: Final = (10.0, 25.0)
"""From the binding of a pod until it is Ready: least and most."""
GONE_SECONDS: Final = 4.0
"""From the deletion of a running pod until it is gone."""

SERVICE: Final = Service(mean_seconds=0.2, concurrency=4)
WAITING: Final = Waiting(slo_seconds=0.5)

RATE: Final = Signal(
    name="rate",
    kind=SignalKind.REQUEST_RATE,
    lag_seconds=0.0,
    window_seconds=WINDOW_SECONDS,
    scrape_seconds=STEP_SECONDS,
)
"""Measured when it is read, and so are the others."""
QUEUE: Final = Signal(
    name="queue", kind=SignalKind.QUEUE_LENGTH, lag_seconds=0.0, scrape_seconds=STEP_SECONDS
)
SIGNALS: Final = (RATE, QUEUE)


class Case(NamedTuple):
    """A scenario.

    Attributes:
        name: Of the Deployment, its object and the load.
        shape: What arrives.
        speed: How many seconds of the shape pass in one.
        targets: What a replica shall have of each signal.
        replicas: At the beginning.
        window_seconds: Of stabilisation on the way down.
    """

    name: str
    shape: Shape
    targets: dict[str, float]
    replicas: int
    window_seconds: int
    speed: float = 1.0

    def load(self) -> Load:
        """Return what arrives in every step."""
        trace = msgspec.structs.replace(
            self.shape.trace(), step_seconds=self.shape.step_seconds / self.speed
        )
        return load_of(trace, step_seconds=STEP_SECONDS, seed=SEED, name=self.name)

    def scaled_object(self, url: str) -> dict[str, Any]:
        """Return the object.

        Args:
            url: Where the signals are read.
        """
        triggers = [
            {
                "type": "metrics-api",
                "name": name,
                "metadata": {"url": url, "valueLocation": name, "targetValue": f"{target:g}"},
            }
            for name, target in self.targets.items()
        ]
        behavior = {"scaleDown": {"stabilizationWindowSeconds": self.window_seconds}}
        return {
            "apiVersion": FLYBALL,
            "kind": "ScaledObject",
            "metadata": {"name": self.name},
            "spec": {
                "scaleTargetRef": {"name": self.name},
                "pollingInterval": POLL_SECONDS,
                "minReplicaCount": 2,
                "maxReplicaCount": 80,
                "triggers": triggers,
                "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior}},
            },
        }

    @property
    def measured(self) -> dict[str, TriggerModel]:
        """What each trigger measures, for the simulation."""
        return {name: TriggerModel(signal=name) for name in self.targets}


CASES: Final = (
    Case(
        name="day",
        shape=Diurnal(mean_per_second=320.0, swing_ratio=0.8, step_seconds=DAY / LOAD_SECONDS),
        speed=DAY / LOAD_SECONDS,
        targets={"rate": 9.5},
        replicas=19,
        window_seconds=20,
    ),
    Case(
        name="ramp",
        shape=Ramp(
            before_per_second=200.0,
            after_per_second=600.0,
            from_seconds=30.0,
            to_seconds=45.0,
            duration_seconds=LOAD_SECONDS,
            step_seconds=1.0,
        ),
        targets={"rate": 10.0},
        replicas=20,
        window_seconds=30,
    ),
    Case(
        name="bursts",
        shape=Burst(
            base_per_second=200.0,
            burst_per_second=600.0,
            every_seconds=75.0,
            length_seconds=12.0,
            duration_seconds=LOAD_SECONDS,
            step_seconds=1.0,
        ),
        targets={"rate": 10.0, "queue": 100.0},
        replicas=20,
        window_seconds=20,
    ),
)


class Requests(NamedTuple):
    """Single requests, in order of arrival.

    Attributes:
        arrive: Seconds after the start.
        durations: Service times, seconds.
    """

    arrive: list[float]
    durations: list[float]


def requests_of(load: Load) -> Requests:
    """Return single requests as the steps of a load count them."""
    random = np.random.default_rng([SEED, 0x4C51])
    steps = np.repeat(np.arange(load.steps), load.counted)
    arrive = np.sort((steps + random.random(len(steps))) * load.step_seconds)
    durations = random.exponential(SERVICE.mean_seconds, len(arrive))
    return Requests(arrive.tolist(), durations.tolist())
