"""One scaled workload, step by step, in plain floats: the plant of exact replays.

The arithmetic below is the definition of the plant. The kernel does the same on arrays, in the same
order and with the same operations (+ - * / min max), so that both are equal to the last bit; a test
compares them. Whatever needs an exponential or a logarithm is not here but in what is derived from
a run afterwards.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

import msgspec

from simulations.plant.occupancy import occupancy
from simulations.plant.parameters import Plant


class Served(msgspec.Struct, frozen=True):
    """What a step did to the requests.

    Attributes:
        capacity: Requests that could have been served, all servers busy.
        served: Requests whose service began; more than the capacity where idle servers fill.
        worked: Served requests that the busy servers are worth; utilisation is that of capacity.
        in_service: Requests being served at its end (its mean, where services are short).
        dropped: Given up: waited for the timeout, or found the buffer full.
    """

    capacity: float
    served: float
    worked: float
    in_service: float
    dropped: float


class Tier:
    """Pods and the queue before them.

    Args:
        plant: Parameters.
        delays_ms: Start-up of the n-th created pod.
        step_ms: Length of a step.
        replicas: Serving at the beginning.

    Attributes:
        replicas: Pods there should be; starting and serving ones together.
        serving: Pods that serve.
        starting: Step in which each starting pod will serve, ascending.
        created: Pods created so far.
        backlog: Requests that wait.
        busy: Requests being served; only kept where a service takes a good part of a step.
        drained: Serving pods removed so far; each is paid for while it drains.
    """

    __slots__ = (
        "_concurrency",
        "_delays_ms",
        "_occupancy",
        "_replica_per_step",
        "_step",
        "_step_ms",
        "_step_seconds",
        "_warm_steps",
        "_warming",
        "backlog",
        "busy",
        "created",
        "drained",
        "plant",
        "replicas",
        "serving",
        "starting",
    )

    def __init__(
        self, plant: Plant, delays_ms: Sequence[int], *, step_ms: int, replicas: int
    ) -> None:
        self.plant = plant
        self._delays_ms = delays_ms
        self._step = 0
        self._step_ms = step_ms
        self._step_seconds = step_ms / 1000
        self._replica_per_step = plant.service.requests_per_second * self._step_seconds
        self._concurrency = float(plant.service.concurrency)
        self._occupancy = occupancy(plant.service, self._step_seconds)
        self._warm_steps = round(plant.start_up.warm_up_seconds * 1000 / step_ms)
        self._warming: list[int] = []
        self.replicas = replicas
        self.serving = replicas
        self.starting: list[int] = []
        self.created = 0
        self.backlog = 0.0
        self.busy = 0.0
        self.drained = 0

    def begin(self, step: int) -> None:
        """Let pods serve whose start-up is over."""
        self._step = step
        starting = self.starting
        while starting and starting[0] <= step:
            self.serving += 1
            if self._warm_steps:
                self._warming.append(starting[0])
            del starting[0]
        while self._warming and self._warming[0] <= step - self._warm_steps + 1:
            del self._warming[0]

    def scale(self, step: int, replicas: int, *, wait_ms: Sequence[int] = ()) -> None:
        """Create or remove pods; those furthest from serving go first.

        Args:
            step: Now.
            replicas: Pods there should be.
            wait_ms: How long each new pod waits for a node before its start-up begins.
        """
        change = replicas - self.replicas
        self.replicas = replicas
        for index in range(change):
            delay_ms = self._delays_ms[self.created % len(self._delays_ms)]
            delay_ms += wait_ms[index] if wait_ms else 0
            insort(self.starting, step + max(1, -(-delay_ms // self._step_ms)))
            self.created += 1
        if change < 0:
            cancelled = min(-change, len(self.starting))
            del self.starting[len(self.starting) - cancelled :]
            self._stop(-change - cancelled)

    def crash(self, step: int, pods: int) -> None:
        """Let serving pods start again."""
        pods = min(pods, self.serving)
        self.replicas -= pods
        self._stop(pods)
        self.scale(step, self.replicas + pods)

    def serve(self, arrivals: float, limit: float) -> Served:
        """Serve one step.

        Args:
            arrivals: Expected arrivals, retries included.
            limit: Most requests that may wait: those young enough, as far as the buffer goes.
        """
        replicas, servers = self.effective_replicas(), self._occupancy
        capacity = could = replicas * self._replica_per_step
        busy = self.busy
        if servers is not None:
            slots = replicas * self._concurrency
            busy = min(busy, slots)
            could = capacity + (slots - busy) * servers.fills
        queue = self.backlog + arrivals
        served = min(queue, could)
        rest = queue - served
        self.backlog = min(rest, limit)
        if servers is None:
            in_service = served * self.plant.service.mean_seconds / self._step_seconds
            worked = served
        else:
            self.busy = in_service = busy * servers.stays + served * servers.joins
            worked = served + busy - in_service
        return Served(capacity, served, worked, in_service, rest - self.backlog)

    def effective_replicas(self) -> float:
        """Return the serving replicas, those warming up counted by the share they have reached."""
        if not self._warming:
            return float(self.serving)
        warm = self._warm_steps
        lacking = sum(warm - 1 - (self._step - since) for since in self._warming)
        return (self.serving * warm - lacking) / warm

    def _stop(self, pods: int) -> None:
        self.serving -= pods
        self.drained += pods
        if pods and self._warming:
            del self._warming[max(0, len(self._warming) - pods) :]
