"""An autoscaler with a forecast beside its signals."""

from __future__ import annotations

from typing import Final, Protocol

from simulations.engine.view import LaneAutoscaler, LaneView, Values

FORECAST: Final = "forecast"
"""Name of the added signal."""


class Forecaster(Protocol):
    """Learns from the request rate and says what load to be ready for."""

    def start(self) -> None:
        """Forget the run, not what was before it."""
        ...

    def forecast(self, view: LaneView) -> float:
        """Look at a view, and return the requests per second to be ready for; 0 = no opinion."""
        ...


class Foreseeing:
    """Shows an autoscaler a forecast as one more signal.

    Args:
        inner: Decides.
        forecaster: One for all lanes: request rates are the same in all.
    """

    def __init__(self, inner: LaneAutoscaler, forecaster: Forecaster) -> None:
        self._inner = inner
        self._forecaster = forecaster
        self.tick_seconds = inner.tick_seconds

    def start(self, lanes: int) -> None:
        """Forget everything."""
        self._inner.start(lanes)
        self._forecaster.start()

    def decide(self, view: LaneView) -> Values:
        """Return the replicas each lane wants."""
        expected = self._forecaster.forecast(view)
        return self._inner.decide(
            view._replace(
                signals={**view.signals, FORECAST: expected},
                measured_at_ms={**view.measured_at_ms, FORECAST: view.at_ms},
            )
        )
