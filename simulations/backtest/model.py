"""What a backtest is told about the service, beside the object itself."""

from __future__ import annotations

from pathlib import Path

import msgspec

from simulations.errors import SimulationError
from simulations.plant.parameters import (
    NotNegative,
    Plant,
    Prices,
    Service,
    StartUp,
    Termination,
    Waiting,
)
from simulations.scenario.read import read_yaml


class ServiceModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The plant of a backtest: without it there are replicas and costs, but no violations.

    Attributes:
        service: Concurrency and service time of a replica.
        start_up: From the decision to a serving pod.
        waiting: SLO and timeout.
        termination: Drain.
        prices: Per replica hour.
        lag_seconds: From an instant until the Prometheus gives the value it will later be said to
            have had then: how long a scrape takes, and a remote write where samples come by one.
            The age of samples and rules is in the record already.
    """

    service: Service
    start_up: StartUp
    waiting: Waiting
    lag_seconds: NotNegative
    termination: Termination = Termination()
    prices: Prices = Prices()

    @property
    def plant(self) -> Plant:
        """What a tier of the simulator is made of."""
        return Plant(
            service=self.service,
            start_up=self.start_up,
            waiting=self.waiting,
            termination=self.termination,
            prices=self.prices,
        )


def read_service(path: Path) -> ServiceModel:
    """Read the service of a backtest.

    Raises:
        SimulationError: The file is none.
    """
    try:
        return msgspec.convert(read_yaml(path), ServiceModel)
    except msgspec.ValidationError as error:
        raise SimulationError(f"{path}: {error}") from error
