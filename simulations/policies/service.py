"""What everybody who sets up an autoscaler knows about the service."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from simulations.plant.parameters import Count, Positive

TARGET_RATIO: Final = 0.7
"""Utilisation that baselines aim at: the HPA walkthrough's order of magnitude, and what
``container-concurrency-target-percentage`` of Knative's ``config-autoscaler`` is by default."""


class ServiceFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service as its operator knows it.

    Attributes:
        requests_per_second: What one replica serves at most.
        concurrency: Requests one replica serves at a time.
        minimum: Least replicas.
        maximum: Most replicas.
        target_ratio: Utilisation to aim at, 0..1.
    """

    requests_per_second: Positive
    concurrency: Count
    minimum: Annotated[int, msgspec.Meta(ge=0)] = 1
    maximum: Count = 100
    target_ratio: Annotated[float, msgspec.Meta(gt=0, le=1)] = TARGET_RATIO

    def __post_init__(self) -> None:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum is {self.minimum}, must be at most maximum ({self.maximum})")

    @property
    def target_rate(self) -> float:
        """Requests per second that one replica should serve."""
        return self.requests_per_second * self.target_ratio

    @property
    def target_concurrency(self) -> float:
        """Requests in flight that one replica should have."""
        return self.concurrency * self.target_ratio
