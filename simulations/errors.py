"""What a simulation refuses, and why."""

from __future__ import annotations

from autoscaler.errors import ConfigError


class SimulationError(ConfigError):
    """A scenario, trace or policy cannot be simulated as written; ``field`` says where."""

    reason = "SimulationError"
