"""The shape of a scenario file.

Names are those of the plant's parameters, durations in seconds, as everywhere in the simulations.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from simulations.plant.parameters import (
    Count,
    Faults,
    Nodes,
    NotNegative,
    Positive,
    Prices,
    Service,
    Signal,
    StartUp,
    Termination,
    Waiting,
)
from simulations.policies.objects import TriggerModel

Name = Annotated[str, msgspec.Meta(pattern=r"^[\w][\w .,:()+-]*$")]
"""Files are called by it."""


class AutoscalerModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who scales a tier: exactly one of the first three.

    Attributes:
        scaled_object: A ScaledObject (flyball.dev or keda.sh) or the path of its manifest.
        hpa: An ``autoscaling/v2`` spec.
        baseline: Name of an autoscaler to compare with, such as ``kpa`` or ``static``.
        triggers: By trigger name or position (``"0"``); of an HPA by position.
        further_triggers: By name: those of other objects that may be tried here (``compare``,
            ``tune``) and that the tier's own does not have.
        options: Parameters of the baseline.
        controller: Whose loop runs a keda.sh object: ``keda`` (operator and HPA) or ``flyball``.
    """

    scaled_object: str | dict[str, Any] | None = None
    hpa: dict[str, Any] | None = None
    baseline: str | None = None
    triggers: dict[str, TriggerModel] = {}
    further_triggers: dict[str, TriggerModel] = {}
    options: dict[str, Any] = {}
    controller: str = ""


class TierModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A workload, who scales it and what that one can see.

    Attributes:
        replicas: Serving at the beginning.
        upstream: Tier whose requests come here, or several, each with the requests here per request
            there; empty = the workload does.
        fan_out: Requests here per request of the only upstream, or of the workload.
    """

    name: Name
    service: Service
    start_up: StartUp
    waiting: Waiting
    signals: tuple[Signal, ...]
    autoscaler: AutoscalerModel
    replicas: int = 1
    upstream: str | dict[str, Positive] = ""
    fan_out: Positive = 1.0
    termination: Termination = Termination()
    nodes: Nodes | None = None
    faults: Faults = Faults()
    prices: Prices = Prices()


class ScenarioModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole scenario.

    Attributes:
        workload: What arrives (see ``docs/reference/workloads.md``).
        step_seconds: Of virtual time; ticks and scrapes are whole steps.
        seeds: Runs; each draws arrivals and start-up delays anew.
        score_from_seconds: Warm-up that is not scored.
        fail_on: Criteria a run must not meet, such as ``slo_violation>0.5%``.
    """

    name: Name
    workload: dict[str, Any]
    tiers: tuple[TierModel, ...]
    description: str = ""
    step_seconds: Positive = 5.0
    seeds: Count = 1
    score_from_seconds: NotNegative = 0.0
    fail_on: tuple[str, ...] = ()
