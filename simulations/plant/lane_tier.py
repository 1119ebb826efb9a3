"""The plant of :mod:`simulations.plant.tier` over many lanes at once, equal to the last bit.

A lane is one run: its own policy, its own start-up delays. Counts of pods are kept as floats (whole
numbers), so that no operation has to convert; changes of the replicas are rare and are made only
for the lanes that change.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulations.plant.occupancy import occupancy
from simulations.plant.parameters import Plant

Values = NDArray[np.float64]
Indices = NDArray[np.int64]


def unsupported(plant: Plant) -> str:
    """Say what of a plant lanes cannot do, empty = they can; exact replay does it all."""
    if plant.nodes is not None:
        return "nodes"
    if plant.waiting.retry_ratio > 0:
        return "retries"
    if plant.start_up.warm_up_seconds > 0:
        return "warm-up"
    if plant.faults.crashes_per_pod_hour > 0:
        return "crashes"
    if plant.faults.scale_outages:
        return "scale outages"
    return ""


class LaneTier:
    """Pods and queues of all lanes.

    Args:
        plant: Parameters; all lanes serve alike.
        delays_ms: Start-up of the n-th created pod, one row per kind of lane.
        rows: Which row each lane takes.
        step_ms: Length of a step.
        replicas: Serving at the beginning, per lane.

    Attributes:
        replicas: Pods there should be.
        serving: Pods that serve.
        backlog: Requests that wait.
        created: Pods created so far.
        drained: Serving pods removed so far.
        busy: Requests being served; only kept where a service takes a good part of a step.
        capacity: Requests the last step could have served, all servers busy.
        served: Requests whose service began in it.
        worked: Served requests that the busy servers were worth.
        dropped: Requests it gave up.
    """

    def __init__(
        self,
        plant: Plant,
        delays_ms: NDArray[np.int64],
        rows: Indices,
        *,
        step_ms: int,
        replicas: Values,
    ) -> None:
        lanes = len(rows)
        self._delay_steps = np.maximum(1, -(-delays_ms // step_ms))
        self._rows = rows
        self._step_seconds = step_ms / 1000
        self._replica_per_step = plant.service.requests_per_second * self._step_seconds
        self._concurrency = float(plant.service.concurrency)
        self._mean_seconds = plant.service.mean_seconds
        self._occupancy = occupancy(plant.service, self._step_seconds)
        self._slots = int(self._delay_steps.max()) + 1
        self._starting = np.zeros((self._slots, lanes))
        self._due = [0] * self._slots
        self.replicas = replicas.astype(np.float64)
        self.serving = self.replicas.copy()
        self.backlog = np.zeros(lanes)
        self.created = np.zeros(lanes, dtype=np.int64)
        self.drained = np.zeros(lanes)
        self.capacity = np.zeros(lanes)
        self.served = np.zeros(lanes)
        # Nobody tells them apart where services are short.
        self.worked = self.served if self._occupancy is None else np.zeros(lanes)
        self.busy = np.zeros(lanes)
        self.dropped = np.zeros(lanes)

    def begin(self, step: int) -> None:
        """Let pods serve whose start-up is over."""
        slot = step % self._slots
        if self._due[slot]:
            self.serving += self._starting[slot]
            self._starting[slot] = 0.0
            self._due[slot] = 0

    def scale(self, step: int, lanes: Indices, replicas: Values) -> None:
        """Create or remove pods.

        Args:
            step: Now.
            lanes: Those whose replicas change.
            replicas: Pods there should be in them.
        """
        change = replicas - self.replicas[lanes]
        starting = self.replicas[lanes] - self.serving[lanes]
        self.replicas[lanes] = replicas
        grows = change > 0
        if grows.any():
            self._create(step, lanes[grows], change[grows].astype(np.int64))
        shrinks = change < 0
        if shrinks.any():
            lanes, removed = lanes[shrinks], -change[shrinks]
            cancelled = np.minimum(removed, starting[shrinks])
            if cancelled.any():
                some = cancelled > 0
                self._cancel(step, lanes[some], cancelled[some])
            stopped = removed - cancelled
            self.serving[lanes] -= stopped
            self.drained[lanes] += stopped

    def serve(self, arrivals: float, limit: float) -> None:
        """Serve one step.

        Args:
            arrivals: Expected arrivals, the same in every lane.
            limit: Most requests that may wait.
        """
        servers = self._occupancy
        np.multiply(self.serving, self._replica_per_step, out=self.capacity)
        could = self.capacity
        if servers is not None:
            slots = self.serving * self._concurrency
            np.minimum(self.busy, slots, out=self.busy)
            np.subtract(slots, self.busy, out=slots)
            np.multiply(slots, servers.fills, out=slots)
            could = np.add(self.capacity, slots, out=slots)
        queue = self.backlog
        np.add(queue, arrivals, out=queue)
        np.minimum(queue, could, out=self.served)
        np.subtract(queue, self.served, out=self.dropped)
        np.minimum(self.dropped, limit, out=queue)
        np.subtract(self.dropped, queue, out=self.dropped)
        if servers is not None:
            np.add(self.served, self.busy, out=self.worked)
            np.multiply(self.busy, servers.stays, out=self.busy)
            self.busy += self.served * servers.joins
            np.subtract(self.worked, self.busy, out=self.worked)

    def in_service(self) -> Values:
        """Return the requests being served after a step (its mean, where services are short)."""
        if self._occupancy is None:
            return self.served * self._mean_seconds / self._step_seconds
        return self.busy.copy()

    def _create(self, step: int, lanes: Indices, pods: Indices) -> None:
        owners = np.repeat(lanes, pods)
        first = np.repeat(np.cumsum(pods) - pods, pods)
        ordinals = np.repeat(self.created[lanes], pods) + np.arange(len(owners)) - first
        self.created[lanes] += pods
        delays = self._delay_steps[self._rows[owners], ordinals % self._delay_steps.shape[1]]
        slots = (step + delays) % self._slots
        np.add.at(self._starting, (slots, owners), 1.0)
        for slot in np.unique(slots).tolist():
            self._due[slot] += 1

    def _cancel(self, step: int, lanes: Indices, pods: Values) -> None:
        """Remove starting pods, those that would serve last first."""
        latest_first = (step - 1 - np.arange(self._slots - 1)) % self._slots
        where = np.ix_(latest_first, lanes)
        starting = self._starting[where]
        before = np.cumsum(starting, axis=0) - starting
        self._starting[where] = starting - np.clip(pods - before, 0.0, starting)
