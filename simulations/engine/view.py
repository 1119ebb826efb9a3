"""What an autoscaler gets to see, and what the engines ask of it.

An autoscaler sees replicas and the values of its signals as the metric-lag model shows them, and
nothing else: neither the load nor the queue nor the time of any event that a real one would not
know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


class Measured(NamedTuple):
    """A signal's newest visible value.

    Attributes:
        value: None = missing.
        at_ms: When it was measured, milliseconds after the start.
    """

    value: float | None
    at_ms: int


class View(msgspec.Struct, frozen=True):
    """What one autoscaler sees at one instant.

    Attributes:
        at_ms: Milliseconds after the start of the run.
        at: Epoch seconds.
        replicas: Pods there should be.
        serving: Pods that serve.
        signals: By name.
    """

    at_ms: int
    at: float
    replicas: int
    serving: int
    signals: Mapping[str, Measured]


class Autoscaler(Protocol):
    """Decides for one workload."""

    @property
    def tick_seconds(self) -> float:
        """How often it decides; whole steps."""
        ...

    def decide(self, view: View) -> int:
        """Return the replicas it wants."""
        ...

    def applied(self, at: float, *, succeeded: bool) -> None:
        """Hear what became of a decision that changed the replicas."""
        ...


class LaneView(NamedTuple):
    """What many runs of one autoscaler see at one instant; one element per lane.

    Attributes:
        at_ms: Milliseconds after the start of the run.
        at: Epoch seconds.
        replicas: Pods there should be; whole numbers.
        serving: Pods that serve; whole numbers.
        signals: By name; NaN = missing. A signal of the load alone is one number for all lanes
            unless their counted arrivals differ.
        measured_at_ms: By name, when the value was measured.
    """

    at_ms: int
    at: float
    replicas: Values
    serving: Values
    signals: Mapping[str, Values | float]
    measured_at_ms: Mapping[str, int]

    def of_lanes(self, lanes: NDArray[np.int64] | slice) -> LaneView:
        """Return what some of the lanes see."""
        return LaneView(
            self.at_ms,
            self.at,
            self.replicas[lanes],
            self.serving[lanes],
            {
                name: value if isinstance(value, float) else value[lanes]
                for name, value in self.signals.items()
            },
            self.measured_at_ms,
        )


class LaneAutoscaler(Protocol):
    """Decides for many independent runs at once."""

    @property
    def tick_seconds(self) -> float:
        """How often it decides; whole steps."""
        ...

    def start(self, lanes: int) -> None:
        """Forget everything and get ready for so many lanes."""
        ...

    def decide(self, view: LaneView) -> Values:
        """Return the replicas each lane wants, whole numbers; the view's arrays stay as they are.

        Every change is made; there are no failing writes in lanes.
        """
        ...
