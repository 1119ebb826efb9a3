"""The autoscalers that ours is compared with, by name.

The oracle is not among them: it needs the load itself (:mod:`simulations.policies.oracle`). Nor are
the static ones, which need a number (:mod:`simulations.policies.static`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Final

import msgspec

from simulations.engine.view import LaneAutoscaler
from simulations.errors import SimulationError
from simulations.policies.aws import aws
from simulations.policies.crane import crane
from simulations.policies.flyball import flyball, flyball_fast
from simulations.policies.hpa import hpa
from simulations.policies.keda import keda_queue, keda_rate
from simulations.policies.keda_cron import keda_cron
from simulations.policies.kpa import Kpa
from simulations.policies.past import Past
from simulations.policies.phpa import Model, Phpa
from simulations.policies.service import ServiceFacts

Factory = Callable[[ServiceFacts, Past], LaneAutoscaler]


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """An autoscaler to compare with.

    Attributes:
        title: For tables.
        make: From the service and what could be read before the run.
        is_ours: Flyball.
        learns: It keeps, or was given, one history of the request rate for all its lanes.
    """

    title: str
    make: Factory
    is_ours: bool = False
    learns: bool = False


BASELINES: Final[dict[str, Baseline]] = {
    "hpa": Baseline(title="HPA, CPU 70 %", make=lambda facts, _: hpa(facts)),
    "keda-rate": Baseline(title="KEDA, requests/s 70 %", make=lambda facts, _: keda_rate(facts)),
    "keda-queue": Baseline(title="KEDA, queue length 5", make=lambda facts, _: keda_queue(facts)),
    "keda-cron": Baseline(title="KEDA, requests/s and cron", make=keda_cron, learns=True),
    "kpa": Baseline(title="Knative KPA, concurrency 70 %", make=lambda facts, _: Kpa(facts)),
    "phpa-linear": Baseline(title="PHPA, linear", make=lambda facts, _: Phpa(facts, Model.LINEAR)),
    "phpa-holt-winters": Baseline(
        title="PHPA, Holt-Winters", make=lambda facts, _: Phpa(facts, Model.HOLT_WINTERS)
    ),
    "crane": Baseline(title="Crane EHPA, DSP", make=crane, learns=True),
    "aws": Baseline(title="AWS predictive scaling", make=aws, learns=True),
    "flyball": Baseline(
        title="Flyball, defaults", make=lambda facts, _: flyball(facts), is_ours=True
    ),
    "flyball-fast": Baseline(
        title="Flyball, rate and queue", make=lambda facts, _: flyball_fast(facts), is_ours=True
    ),
}


def baseline(name: str) -> Baseline:
    """Return an autoscaler by name.

    Raises:
        SimulationError: There is none.
    """
    found = BASELINES.get(name)
    if found is None:
        close = difflib.get_close_matches(name, BASELINES, n=1)
        guess = f', did you mean "{close[0]}"?' if close else ""
        raise SimulationError(
            f'no baseline "{name}"{guess}; there are: {", ".join(BASELINES)}', field="baseline"
        )
    return found
