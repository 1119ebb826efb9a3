"""Scaling modifiers: one composite metric computed from trigger values by a formula."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from autoscaler.core.fallback import FallbackOutcome
from autoscaler.core.model import MetricPolicy, Policy, Reading

COMPOSITE_METRIC = "composite-metric"


class Composite(msgspec.Struct, frozen=True, kw_only=True):
    """What the formula stage made of the readings.

    Attributes:
        metrics: What the HPA arithmetic looks at now: the composite metric first, then the
            policy's (Container)Resource metrics. Without modifiers ``policy.metrics``.
        readings: The input plus the composite reading.
        is_active: Whether the composite exceeds its activation target; None without modifiers.
    """

    metrics: tuple[MetricPolicy, ...]
    readings: Mapping[str, Reading]
    is_active: bool | None = None


def compose(policy: Policy, outcome: FallbackOutcome, *, at: float) -> Composite:
    """Evaluate the formula over the trigger values.

    Args:
        policy: Without ``modifiers`` everything is handed through.
        outcome: Result of the fallback stage (with readings possibly smoothed since).
        at: Now; the composite reading's ``sampled_at``.
    """
    raise NotImplementedError
