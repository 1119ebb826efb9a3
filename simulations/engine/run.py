"""What came out of a run: one value per step and tier."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulations.plant.parameters import Plant

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class Change(msgspec.Struct, frozen=True):
    """A change of the replicas.

    Attributes:
        step: When.
        before: Replicas before.
        after: Replicas wanted.
        succeeded: Whether the scale could be written.
        why: The autoscaler's derivation, for people; empty when it gives none.
    """

    step: int
    before: int
    after: int
    succeeded: bool = True
    why: str = ""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The history of one tier.

    Attributes:
        name: Of the tier.
        plant: Parameters it ran with.
        start_at: Beginning of step 0, epoch seconds.
        step_seconds: Length of a step.
        known: Whether the load of the step is known; others are not scored.
        arrivals: Expected arrivals, retries included.
        retries: Those of them that had given up before.
        capacity: Requests that could have been served, all servers busy.
        served: Requests whose service began.
        dropped: Requests given up.
        backlog: Requests that wait at the end of the step.
        replicas: Pods there should be, after the step's decision.
        serving: Pods that serve.
        pods: Pods that are paid for without those that drain.
        nodes: Nodes that are paid for.
        drained: Serving pods removed in the step.
        created: Pods created in the step.
        changes: In order.
        decisions: How often the autoscaler decided.
    """

    name: str
    plant: Plant
    start_at: float
    step_seconds: float
    known: NDArray[np.bool_]
    arrivals: Floats
    retries: Floats
    capacity: Floats
    served: Floats
    dropped: Floats
    backlog: Floats
    replicas: Counts
    serving: Counts
    pods: Counts
    nodes: Counts
    drained: Counts
    created: Counts
    changes: tuple[Change, ...] = ()
    decisions: int = 0

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.arrivals)

    @property
    def requests(self) -> Floats:
        """Expected arrivals that are the first attempt."""
        return self.arrivals - self.retries
