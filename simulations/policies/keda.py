"""KEDA by its defaults, on request rate or on queue length.

Defaults (KEDA 2.19, ``ScaledObject`` specification): polling interval 30 s, cooldown period 300 s,
HPA without ``behavior``. Above zero replicas KEDA's HPA asks the metrics adapter at every sync, so
the polling interval only matters at zero. Rate: 70 % of what a replica can serve. Queue: 5 per
replica, the default of KEDA's own queue scalers (``listLength`` of redis, ``queueLength`` of SQS).
Decided by our core with KEDA's rules, which its recorded decisions hold in place.
"""

from __future__ import annotations

from typing import Final

from simulations.policies.decided_lanes import DecidedLanes
from simulations.policies.scaled_objects import Trigger, decided_by, manifest, prometheus_trigger
from simulations.policies.service import ServiceFacts
from simulations.policies.watching import QUEUE, RATE

KEDA: Final = "keda.sh/v1alpha1"
QUEUE_LENGTH_TARGET: Final = 5.0
RATE_QUERY: Final = "sum(rate(http_requests_total[1m]))"
QUEUE_QUERY: Final = "sum(http_requests_waiting)"


def rate_trigger(facts: ServiceFacts) -> Trigger:
    """Return the trigger on the rate of the last minute."""
    return prometheus_trigger(RATE_QUERY, facts.target_rate, RATE)


def keda_rate(facts: ServiceFacts) -> DecidedLanes:
    """Return KEDA on request rate."""
    triggers = [rate_trigger(facts)]
    return DecidedLanes(decided_by(manifest(KEDA, triggers, facts), triggers))


def keda_queue(facts: ServiceFacts) -> DecidedLanes:
    """Return KEDA on queue length."""
    triggers = [prometheus_trigger(QUEUE_QUERY, QUEUE_LENGTH_TARGET, QUEUE)]
    return DecidedLanes(decided_by(manifest(KEDA, triggers, facts), triggers))
