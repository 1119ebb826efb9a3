"""What a run on the control plane was like: figures, and telemetry to calibrate by."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulations.plant.calibration import fit_delay, fit_service
from simulations.plant.parameters import Plant, StartUp, Termination
from tests.e2e.simulated.cases import LOAD_SECONDS, SERVICE, WAITING, Requests
from tests.e2e.simulated.pods import Life
from tests.e2e.simulated.source import Served

Seconds = NDArray[np.float64]


class Figures(NamedTuple):
    """What a load cost and how it was served.

    Attributes:
        replica_hours: Of pods from their creation to their exit.
        late_ratio: Share of requests that waited longer than the SLO, or left.
        created: Pods made while the load lasted.
        peak: Most pods that were wanted, those being deleted not counted.
    """

    replica_hours: float
    late_ratio: float
    created: float
    peak: float


class Telemetry(msgspec.Struct, kw_only=True):
    """Durations, seconds, one value per pod or request.

    Attributes:
        served: Service times.
        made: From the poll that asked for the pod until it was created.
        started: From its creation until it was Ready.
        drained: From its deletion until it was gone, of pods that had served.
    """

    served: list[float] = msgspec.field(default_factory=list)
    made: list[float] = msgspec.field(default_factory=list)
    started: list[float] = msgspec.field(default_factory=list)
    drained: list[float] = msgspec.field(default_factory=list)

    def note(self, served: Served, lives: Mapping[str, Life], requests: Requests) -> None:
        """Add the pods and requests of a service."""
        self.served += requests.durations
        for life in lives.values():
            poll = bisect.bisect_right(served.polls, life.created_at) - 1
            if poll >= 0:
                self.made.append(life.created_at - served.polls[poll])
            if life.ready_at is not None:
                self.started.append(life.ready_at - life.created_at)
            if life.ready_at and life.deleted_at and life.gone_at:
                self.drained.append(life.gone_at - life.deleted_at)

    def plant(self) -> Plant:
        """Return the plant as the project's calibration fits it."""
        return Plant(
            service=fit_service(np.array(self.served), concurrency=SERVICE.concurrency),
            start_up=StartUp(
                scale_write=fit_delay(np.array(self.made), what="creation of pods"),
                container=fit_delay(np.array(self.started), what="start-up of pods"),
            ),
            waiting=WAITING,
            termination=Termination(drain_seconds=float(np.mean(self.drained))),
        )


def figures_of(served: Served, lives: Mapping[str, Life], requests: Requests) -> Figures:
    """Return the figures of one load on the control plane."""
    begin_at, end_at = served.begin_at, served.begin_at + LOAD_SECONDS
    spans = [(life.created_at, life.deleted_at or end_at) for life in lives.values()]
    seconds = sum(life.seconds(begin_at, end_at) for life in lives.values())
    return Figures(
        replica_hours=seconds / 3600,
        late_ratio=served.queue.late / len(requests.arrive),
        created=sum(begin_at < created <= end_at for created, _ in spans),
        peak=max(sum(a <= at < b for a, b in spans) for at, _ in spans if at <= end_at),
    )
