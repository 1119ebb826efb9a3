"""Both sides' figures, beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from simulations.plant.parameters import Plant
from tests.e2e.simulated.cases import Case
from tests.e2e.simulated.measured import Figures
from tests.e2e.simulated.simulate import RUNS

REPLICA_HOURS_RATIO: Final = 0.05
LATE_RATIO: Final = 0.02
"""How far apart the two may be."""

PODS_MIN: Final = 20
LATE_MIN: Final = 0.1
"""What has to happen, so that agreement says something: in every case, and in one of them."""


class Compared(NamedTuple):
    """A case on both sides.

    Attributes:
        simulated: Mean of the simulated runs.
        spread: Their standard deviation.
    """

    case: Case
    live: Figures
    simulated: Figures
    spread: Figures

    @property
    def replica_hours_apart(self) -> float:
        """By how much the simulation says more, relative to what really was."""
        return self.simulated.replica_hours / self.live.replica_hours - 1.0

    @property
    def late_apart(self) -> float:
        """By how much larger a share of the requests the simulation says is late."""
        return self.simulated.late_ratio - self.live.late_ratio

    @property
    def agrees(self) -> bool:
        """Whether both figures are close enough."""
        return (
            abs(self.replica_hours_apart) <= REPLICA_HOURS_RATIO
            and abs(self.late_apart) <= LATE_RATIO
        )


def is_eventful(compared: Sequence[Compared]) -> bool:
    """Return whether enough happened on the control plane."""
    return (
        min(one.live.created for one in compared) >= PODS_MIN
        and max(one.live.late_ratio for one in compared) >= LATE_MIN
    )


def fitted(plant: Plant) -> str:
    """Return what calibration made of the pods."""
    start_up, made = plant.start_up.container, plant.start_up.scale_write
    assert made is not None
    return (
        f"calibrated: pods created {made.median_seconds:.2f} s after the poll (95th percentile "
        f"{made.p95_seconds:.2f}), Ready {start_up.median_seconds:.1f} s later "
        f"({start_up.p95_seconds:.1f}), gone {plant.termination.drain_seconds:.1f} s after their "
        f"deletion; service {plant.service.mean_seconds:g} s, {plant.service.shape}"
    )


def table(compared: Sequence[Compared]) -> str:
    """Return a line per case."""
    titles = (f"{'':8}{'replica-hours':>28}", f"{'late requests':>26}")
    lines = [
        f"live and simulated (mean and standard deviation of {RUNS} runs):",
        f"{'apart':>8}".join([*titles, f"{'pods made':>12}{'peak':>12}"]),
    ]
    for case, live, simulated, spread in compared:
        one = Compared(case, live, simulated, spread)
        hours = (
            f"{live.replica_hours:.4f} {simulated.replica_hours:.4f}+-{spread.replica_hours:.4f}"
        )
        late = f"{live.late_ratio:.2%} {simulated.late_ratio:.2%}+-{spread.late_ratio:.2%}"
        lines.append(
            f"{case.name:8}{hours:>28}{one.replica_hours_apart:>+8.2%}{late:>26}"
            f"{one.late_apart:>+8.2%}{f'{live.created:.0f} {simulated.created:.1f}':>12}"
            f"{f'{live.peak:.0f} {simulated.peak:.1f}':>12}"
        )
    return "\n".join(lines)
