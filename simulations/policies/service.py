"""What everybody who sets up an autoscaler knows about the service."""

from __future__ import annotations

from typing import Final

import msgspec

TARGET_RATIO: Final = 0.7
"""Utilisation that baselines aim at: the HPA walkthrough's order of magnitude, and what
``container-concurrency-target-percentage`` of Knative's ``config-autoscaler`` is by default."""


class ServiceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A service as its operator knows it.

    Attributes:
        requests_per_second: What one replica serves at most.
        concurrency: Requests one replica serves at a time.
        minimum: Least replicas.
        maximum: Most replicas.
        target_ratio: Utilisation to aim at, 0..1.
    """

    requests_per_second: float
    concurrency: int
    minimum: int = 1
    maximum: int = 100
    target_ratio: float = TARGET_RATIO

    @property
    def target_rate(self) -> float:
        """Requests per second that one replica should serve."""
        return self.requests_per_second * self.target_ratio

    @property
    def target_concurrency(self) -> float:
        """Requests in flight that one replica should have."""
        return self.concurrency * self.target_ratio
