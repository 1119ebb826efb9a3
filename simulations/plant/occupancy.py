"""Servers fill and empty over a service time: what a step leaves of the requests in service.

Services that end at the rate 1 / mean let the busy servers move towards what the arrivals ask for
like a charging capacitor (the fluid limit of M(t)/M/infinity, Eick, Massey and Whitt 1993). Within
a step of m mean service times, started requests coming evenly:

- of those in service exp(-m) still are at its end;
- of those started (1 - exp(-m)) / m are;
- while there are idle servers more can start than end: m / (exp(m) - 1) for each of them, which
  fills the last one exactly at the end of the step.

When a step takes :data:`SETTLED_SERVICES` service times nothing of that can be seen.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from simulations.plant.parameters import Service

SETTLED_SERVICES: Final = 10.0


class Occupancy(msgspec.Struct, frozen=True):
    """Shares of requests, for steps of one length.

    Attributes:
        stays: Of those in service before the step, which still are after it.
        joins: Of those started in it, which are in service after it.
        fills: Requests that can start for each server that was idle, besides what capacity allows.
    """

    stays: float
    joins: float
    fills: float


def occupancy(service: Service, step_seconds: float) -> Occupancy | None:
    """Return what steps do to servers, None when services are too short for it to matter."""
    services = step_seconds / service.mean_seconds
    if services >= SETTLED_SERVICES:
        return None
    stays = math.exp(-services)
    joins = -math.expm1(-services) / services
    return Occupancy(stays, joins, stays / joins)
