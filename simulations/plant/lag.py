"""How the waits that chance makes follow a load that changes, where services take long.

The share of requests that wait is known for loads that stay (:mod:`simulations.plant.lateness`).
Two things keep it behind a load that changes:

- servers fill over a service time. The load that counts is the one which would keep as many of
  infinitely many servers busy now (modified offered load: Jennings, Mandelbaum, Massey and Whitt
  1996);
- the queue of that load builds up over a time in proportion to the relaxation time of the limiting
  diffusion, service time * (1 + cv2) / (servers (1 - utilisation)^2). :data:`PACE`, the proportion,
  was fitted to the referee (bursts of 30 s and two minutes to 0.95 to 1.6 times the capacity, 5 and
  20 s services on 10 to 40 servers, SLOs of 0.1 to 1 service).

Where a step takes many services both are over within it.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulations.plant.occupancy import Occupancy, occupancy
from simulations.plant.parameters import Service

Values = NDArray[np.float64]

PACE: Final = 0.03


class Lag:
    """Follows loads of services that take a good part of a step.

    Args:
        service: Of the plant.
        servers: What a step does to them.
        step_seconds: Length of a step.
    """

    def __init__(self, service: Service, servers: Occupancy, step_seconds: float) -> None:
        self._stays = servers.stays
        self._per_server = service.mean_seconds
        self._concurrency = service.concurrency
        spread = service.mean_seconds * (1.0 + service.squared_variation)
        self._haste = step_seconds / (PACE * spread)

    def offered(self, before: float, arrivals_per_second: float) -> float:
        """Return the modified offered load after a step, requests per second."""
        return arrivals_per_second + (before - arrivals_per_second) * self._stays

    def aims(
        self, replicas: NDArray[np.int64], offered_per_second: Values | float, highest: Values
    ) -> tuple[Values, Values]:
        """Return where utilisations move to, and how far of the way they come within a step.

        Args:
            replicas: That serve.
            offered_per_second: Modified offered load.
            highest: Utilisation up to which queues become stationary.
        """
        servers = np.maximum(1, replicas) * self._concurrency
        aim = np.minimum(offered_per_second * self._per_server / servers, highest)
        return aim, -np.expm1(-self._haste * servers * (1.0 - aim) ** 2)


class Follower(msgspec.Struct):
    """Where the lanes of a run are; all zero where they begin, without requests.

    Attributes:
        offered: Modified offered load, requests per second; the same in every lane.
        utilisation: That waits go by, per lane.
    """

    offered: float
    utilisation: Values


def lag(service: Service, step_seconds: float) -> Lag | None:
    """Return how waits follow the load, None when they are there at once."""
    servers = occupancy(service, step_seconds)
    return None if servers is None else Lag(service, servers, step_seconds)


def followed(
    lag: Lag, replicas: NDArray[np.int64], arrivals_per_second: Values, highest: Values
) -> Values:
    """Return the utilisations that waits go by, of every step of a run that begins empty."""
    offered = np.fromiter(
        accumulate(arrivals_per_second.tolist(), lag.offered, initial=0.0), dtype=np.float64
    )[1:]
    aims, shares = lag.aims(replicas, offered, highest)
    utilisations = accumulate(
        zip(aims.tolist(), shares.tolist(), strict=True),
        lambda before, step: before + (step[0] - before) * step[1],
        initial=0.0,
    )
    return np.fromiter(utilisations, dtype=np.float64)[1:]
