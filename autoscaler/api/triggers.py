"""``triggers[]``: what ScaledObject and ScaledJob share."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from autoscaler.api.fields import ApiModel, Duration

POD_RESOURCE_TYPES: Final = frozenset({"cpu", "memory"})
"""Trigger types whose metrics come from the pods themselves and have no value of their own."""

UNCACHED_TYPES: Final = POD_RESOURCE_TYPES | {"cron"}
"""Trigger types that ``useCachedMetrics`` means nothing for."""

MEDIAN_SAMPLES_MAX: Final = 101
"""Keeps what a decision has to remember small."""


class AuthenticationRef(ApiModel):
    """Where a trigger's credentials come from."""

    name: Annotated[str, Field(min_length=1)]
    kind: str = ""
    """``TriggerAuthentication`` (the default) or ``ClusterTriggerAuthentication``."""


class Smoothing(ApiModel):
    """Evens out a trigger's value before it is used. Beyond KEDA."""

    type: Literal["ewma", "median"]
    """``ewma``: moving average; ``median``: median of the last values."""
    half_life_seconds: Annotated[float, Field(gt=0)] | None = None
    """``ewma`` only, required: a value's weight halves in this time."""
    samples: Annotated[int, Field(ge=2, le=MEDIAN_SAMPLES_MAX)] | None = None
    """``median`` only, required: how many values; odd counts give an observed value."""


class Trigger(ApiModel):
    """One metric source."""

    type: Annotated[str, Field(min_length=1)]
    """Which scaler: ``redis``, ``prometheus``, ``cron``, …"""
    metadata: dict[str, str] = Field(default_factory=dict)
    """The scaler's parameters; every value is a string."""
    name: str = ""
    """Unique within the object; a formula calls the trigger by it."""
    use_cached_metrics: bool = False
    """Accepted for compatibility: readings are always shared."""
    authentication_ref: AuthenticationRef | None = None
    metric_type: str = ""
    """``AverageValue`` (the default) or ``Value``; ``Utilization`` for cpu and memory only."""
    freshness: Duration | None = None
    """A reading older than this (seconds, or such as 90s) is an error. Beyond KEDA."""
    smoothing: Smoothing | None = None

    @property
    def is_pod_resource(self) -> bool:
        """Whether the trigger scales on what the pods use (cpu, memory)."""
        return self.type in POD_RESOURCE_TYPES
