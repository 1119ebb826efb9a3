"""Ours: two ScaledObjects that the product runs today, decided by the product's own core.

``flyball`` is KEDA's rate trigger under ``flyball.dev``: nothing but the defaults of its group,
polled every 5 s (one loop, so the polling interval is the reaction time). ``flyball-fast`` is the
preset for services that must follow quickly:

* the rate of the last 15 s, with a target of 75 % and no tolerance upwards (with the default
  tolerance of 10 % a target of 70 % lets utilisation rise to 77 %);
* the queue, at what a replica serves in 10 s: a backlog that the replicas there are would need
  longer than that for asks for more;
* 60 s of scale-down stabilisation instead of 300 s.

The numbers follow from the service's arithmetic and were fixed before the benchmark was run.
"""

from __future__ import annotations

from typing import Any, Final

from simulations.policies.decided_lanes import DecidedLanes
from simulations.policies.keda import QUEUE_QUERY, rate_trigger
from simulations.policies.scaled_objects import Trigger, decided_by, manifest, prometheus_trigger
from simulations.policies.service import ServiceFacts
from simulations.policies.watching import FAST_RATE, QUEUE

FLYBALL: Final = "flyball.dev/v1alpha1"
POLLING_INTERVAL: Final = 5
FAST_TARGET_RATIO: Final = 0.75
DRAIN_SECONDS: Final = 10.0
FAST_BEHAVIOR: Final[dict[str, Any]] = {
    "scaleUp": {"tolerance": "0"},
    "scaleDown": {"stabilizationWindowSeconds": 60},
}


def flyball_manifest(facts: ServiceFacts) -> tuple[dict[str, Any], list[Trigger]]:
    """Return the object with the group's defaults, and its triggers."""
    triggers = [rate_trigger(facts)]
    return manifest(FLYBALL, triggers, facts, pollingInterval=POLLING_INTERVAL), triggers


def flyball_fast_manifest(
    facts: ServiceFacts, *, target_ratio: float = FAST_TARGET_RATIO
) -> tuple[dict[str, Any], list[Trigger]]:
    """Return the object of the preset, and its triggers."""
    target = facts.requests_per_second * target_ratio
    drained = facts.requests_per_second * DRAIN_SECONDS
    triggers = [
        prometheus_trigger("sum(rate(http_requests_total[15s]))", target, FAST_RATE),
        prometheus_trigger(QUEUE_QUERY, drained, QUEUE),
    ]
    raw = manifest(
        FLYBALL,
        triggers,
        facts,
        pollingInterval=POLLING_INTERVAL,
        advanced={"horizontalPodAutoscalerConfig": {"behavior": FAST_BEHAVIOR}},
    )
    return raw, triggers


def flyball(facts: ServiceFacts) -> DecidedLanes:
    """Return the defaults of ``flyball.dev``."""
    return DecidedLanes(decided_by(*flyball_manifest(facts)))


def flyball_fast(facts: ServiceFacts) -> DecidedLanes:
    """Return the preset that follows quickly."""
    return DecidedLanes(decided_by(*flyball_fast_manifest(facts)))
