"""``status`` of the kinds: KEDA's shape, and what Flyball adds to it."""

from __future__ import annotations

from pydantic import Field

from autoscaler.api.fields import ApiModel, Count, Int32, Timestamp


class StatusCondition(ApiModel):
    """One condition."""

    type: str
    """``Ready``, ``Active``, ``Fallback``, ``Paused``, or one of the HPA's."""
    status: str
    """``True``, ``False`` or ``Unknown``."""
    reason: str | None = None
    """Why, as one CamelCase word."""
    message: str | None = None
    """Why, for people."""
    last_transition_time: Timestamp | None = None
    """When ``status`` last changed."""


class GroupVersionKindResource(ApiModel):
    """The scale target's kind, resolved."""

    group: str = ""
    version: str = ""
    kind: str = ""
    resource: str = ""


class HealthStatus(ApiModel):
    """Failed reads of one metric."""

    number_of_failures: Count | None = None
    """Failed reads in a row."""
    status: str | None = None
    """``Happy`` or ``Failing``."""


class TriggerActivity(ApiModel):
    """Whether a metric calls for work."""

    is_active: bool | None = None


class LastDecision(ApiModel):
    """The latest decision that changed something, in short."""

    time: Timestamp | None = None
    current_replicas: Count | None = None
    """Replicas before."""
    desired_replicas: Count | None = None
    """Replicas wanted."""
    reason: str | None = None
    """What decided, as one word."""
    message: str | None = None
    """The decision in one sentence."""


class ScaledObjectStatus(ApiModel):
    """What a ScaledObject is doing."""

    observed_generation: int | None = None
    """Generation of the spec this status speaks about."""
    scale_target_kind: str | None = None
    """``<apiVersion>.<kind>`` of the scale target."""
    scale_target_gvkr: GroupVersionKindResource | None = Field(None, alias="scaleTargetGVKR")
    original_replica_count: Count | None = None
    """Replicas the target had when it was taken over."""
    last_active_time: Timestamp | None = None
    """When a trigger was last active."""
    desired_replicas: Count | None = None
    """Replicas the last decision asked for."""
    last_decision: LastDecision | None = None
    external_metric_names: list[str] | None = None
    resource_metric_names: list[str] | None = None
    composite_scaler_name: str | None = None
    conditions: list[StatusCondition] | None = None
    health: dict[str, HealthStatus] | None = None
    """By metric name."""
    triggers_activity: dict[str, TriggerActivity] | None = None
    """By metric name."""
    paused_replica_count: Int32 | None = None
    """Replicas a pause annotation asked for."""
    hpa_name: str | None = None
    """Name of a HorizontalPodAutoscaler that was taken over."""
    triggers_types: str | None = None
    """Trigger types, comma separated."""
    authentications_types: str | None = None
    """Authentication objects used, comma separated."""


class ScaledJobStatus(ApiModel):
    """What a ScaledJob is doing."""

    observed_generation: int | None = None
    """Generation of the spec this status speaks about."""
    last_active_time: Timestamp | None = None
    """When a trigger was last active."""
    desired_replicas: Count | None = None
    """Running jobs the last decision asked for."""
    last_decision: LastDecision | None = None
    external_metric_names: list[str] | None = None
    conditions: list[StatusCondition] | None = None
    triggers_activity: dict[str, TriggerActivity] | None = None
    """By metric name."""
    triggers_types: str | None = None
    """Trigger types, comma separated."""
    authentications_types: str | None = None
    """Authentication objects used, comma separated."""


class TriggerAuthenticationStatus(ApiModel):
    """Who uses an authentication object."""

    scaledobjects: str | None = None
    """Names, comma separated."""
    scaledjobs: str | None = None
    """Names, comma separated."""
