"""A day at the shop: how many customers come, and how many of them order."""

from __future__ import annotations

import math
from typing import Final

import msgspec

REQUESTS_PER_CUSTOMER_CALL: Final = 0.6
"""Share of page requests that call the REST API."""


class Bump(msgspec.Struct, frozen=True):
    """Extra requests around one moment: ``peak`` per second, ``width`` as a share of the day."""

    at: float
    width: float
    peak: float

    def value(self, moment: float) -> float:
        """Return the extra requests per second at a moment of the day, 0..1."""
        return self.peak * math.exp(-(((moment - self.at) / self.width) ** 2))


class Rush(msgspec.Struct, frozen=True):
    """A crowd that comes all at once and leaves all at once."""

    begins: float
    ends: float
    peak: float

    def value(self, moment: float) -> float:
        """Return the extra requests per second at a moment of the day, 0..1."""
        return self.peak if self.begins <= moment < self.ends else 0.0


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """The load curve: steady growth, a lunch peak, a flash crowd, a quiet night.

    Attributes:
        seconds: Length of the day; everything else is a share of it.
        night_requests: Requests per second when everybody sleeps.
        morning_requests: When the shop opens.
        evening_requests: What the steady growth reaches before the shop closes.
        opens: When the night before is over.
        closes: When the quiet night begins.
        orders_ratio: Orders per request while the shop is open; at night there are none.
    """

    seconds: float = 7_200.0
    night_requests: float = 4.0
    morning_requests: float = 20.0
    evening_requests: float = 90.0
    opens: float = 0.02
    closes: float = 0.76
    lunch: Bump = Bump(0.36, 0.06, 90.0)
    flash_crowd: Rush = Rush(0.58, 0.64, 220.0)
    orders_ratio: float = 0.03

    def moment(self, elapsed_seconds: float) -> float:
        """Return where in the day an instant is, 0..1; days follow each other."""
        return (elapsed_seconds % self.seconds) / self.seconds

    def is_open(self, elapsed_seconds: float) -> bool:
        """Whether the shop takes orders."""
        return self.opens <= self.moment(elapsed_seconds) < self.closes

    def phase(self, elapsed_seconds: float) -> str:
        """Return what is going on at the shop, in words."""
        moment = self.moment(elapsed_seconds)
        if not self.is_open(elapsed_seconds):
            return "quiet night"
        if self.flash_crowd.value(moment):
            return "flash crowd"
        return "lunch peak" if abs(moment - self.lunch.at) < self.lunch.width else "steady growth"

    def requests(self, elapsed_seconds: float) -> float:
        """Return page requests per second."""
        moment = self.moment(elapsed_seconds)
        if not self.opens <= moment < self.closes:
            return self.night_requests
        grown = (moment - self.opens) / (self.closes - self.opens)
        steady = self.morning_requests + grown * (self.evening_requests - self.morning_requests)
        return steady + self.lunch.value(moment) + self.flash_crowd.value(moment)

    def api_calls(self, elapsed_seconds: float) -> float:
        """Return REST calls per second."""
        return self.requests(elapsed_seconds) * REQUESTS_PER_CUSTOMER_CALL

    def orders(self, elapsed_seconds: float) -> float:
        """Return orders per second, each of them an item in the work queue."""
        if not self.is_open(elapsed_seconds):
            return 0.0
        return self.requests(elapsed_seconds) * self.orders_ratio
