"""ScaledObject: scales a workload through its scale subresource."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from autoscaler.api.fields import ApiModel, Count, Int32, PositiveCount, Quantity
from autoscaler.api.metadata import ObjectMeta
from autoscaler.api.status import ScaledObjectStatus
from autoscaler.api.triggers import Trigger

DEFAULT_POLLING_INTERVAL_SECONDS: Final = 30
DEFAULT_COOLDOWN_SECONDS: Final = 300
DEFAULT_MAX_REPLICAS: Final = 100
DEFAULT_API_VERSION: Final = "apps/v1"
DEFAULT_KIND: Final = "Deployment"


class ScaleTargetRef(ApiModel):
    """The workload, in the object's own namespace."""

    name: Annotated[str, Field(min_length=1)]
    api_version: str = ""
    """Default ``apps/v1``."""
    kind: str = ""
    """Default ``Deployment``; any namespaced kind with a scale subresource."""
    env_source_container_name: str = ""
    """Container whose environment ``…FromEnv`` parameters read; default the first."""

    @property
    def kind_text(self) -> str:
        """Version and kind with their defaults, e.g. ``apps/v1.Deployment``."""
        return f"{self.api_version or DEFAULT_API_VERSION}.{self.kind or DEFAULT_KIND}"


class FallbackSpec(ApiModel):
    """Replicas to assume for a trigger that keeps failing."""

    failure_threshold: Count
    """Failed reads in a row that are tolerated."""
    replicas: Count
    behavior: (
        Literal[
            "",
            "static",
            "currentReplicas",
            "currentReplicasIfHigher",
            "currentReplicasIfLower",
            "scalingModifiers",
        ]
        | None
    ) = None
    """Which replica count stands in; default ``static``, that is ``replicas``."""


class ScalingPolicySpec(ApiModel):
    """At most so much change in so many seconds."""

    type: str
    """``Pods`` or ``Percent``."""
    value: Int32
    period_seconds: Int32
    """1 to 1800."""


class ScalingRulesSpec(ApiModel):
    """Behavior in one direction, as in ``autoscaling/v2``."""

    stabilization_window_seconds: Int32 | None = None
    """0 to 3600; default 0 for scaling up and 300 for scaling down."""
    select_policy: str | None = None
    """``Max`` (the default), ``Min`` or ``Disabled``."""
    policies: list[ScalingPolicySpec] | None = None
    tolerance: Quantity | None = None
    """Ratio around the target that causes no change; default 0.1."""


class BehaviorSpec(ApiModel):
    """How fast to scale, as in ``autoscaling/v2``."""

    scale_up: ScalingRulesSpec | None = None
    scale_down: ScalingRulesSpec | None = None


class HorizontalPodAutoscalerConfig(ApiModel):
    """KEDA's place for ``behavior``; no HorizontalPodAutoscaler is created."""

    name: str = ""
    behavior: BehaviorSpec | None = None


class ScalingModifiers(ApiModel):
    """A formula over trigger values that replaces their individual targets."""

    formula: str = ""
    """An expression over trigger names, such as ``max(queue, 2 * errors)``."""
    target: str = ""
    """What one replica should handle of the formula's value, a number greater than 0."""
    activation_target: str = ""
    """There is work when the formula's value exceeds this number; default 0."""
    metric_type: Literal["", "AverageValue", "Value"] = ""
    """How the value relates to the target; default ``AverageValue``."""

    @property
    def is_used(self) -> bool:
        """Whether any field is given."""
        return any((self.formula, self.target, self.activation_target, self.metric_type))


class Advanced(ApiModel):
    """Less usual settings."""

    horizontal_pod_autoscaler_config: HorizontalPodAutoscalerConfig | None = None
    restore_to_original_replica_count: bool = False
    """Set the target back to its original replicas when this object is deleted."""
    scaling_modifiers: ScalingModifiers | None = None


class ScaledObjectSpec(ApiModel):
    """What to scale, on what, and within which bounds."""

    scale_target_ref: ScaleTargetRef
    triggers: list[Trigger]
    """Where the need is read; at least one."""
    polling_interval: PositiveCount | None = None
    """Seconds between two reads; default 30."""
    cooldown_period: Count | None = None
    """Seconds without activity before scaling to zero or idle; default 300."""
    initial_cooldown_period: Count | None = None
    """The same, counted from creation, while nothing has been active yet; default 0."""
    idle_replica_count: Count | None = None
    """Replicas while nothing is active; less than minReplicaCount."""
    min_replica_count: Count | None = None
    """Default 0."""
    max_replica_count: PositiveCount | None = None
    """Default 100."""
    fallback: FallbackSpec | None = None
    advanced: Advanced | None = None
    mode: Literal["active", "shadow"] | None = None
    """``shadow`` decides and records but never writes; default ``active``. Beyond KEDA."""


class ScaledObject(ApiModel):
    """Scales a workload through its scale subresource."""

    api_version: str
    kind: Literal["ScaledObject"]
    metadata: ObjectMeta = ObjectMeta()
    spec: ScaledObjectSpec
    status: ScaledObjectStatus | None = None

    @property
    def is_keda(self) -> bool:
        """Whether the object is KEDA's own and keeps KEDA's defaults."""
        return self.api_version.startswith("keda.sh/")

    @property
    def modifiers(self) -> ScalingModifiers | None:
        """Scaling modifiers, when any of their fields is given."""
        modifiers = self.spec.advanced.scaling_modifiers if self.spec.advanced else None
        return modifiers if modifiers and modifiers.is_used else None

    @property
    def hpa_config(self) -> HorizontalPodAutoscalerConfig | None:
        """``spec.advanced.horizontalPodAutoscalerConfig``."""
        return self.spec.advanced.horizontal_pod_autoscaler_config if self.spec.advanced else None

    @property
    def polling_interval_seconds(self) -> float:
        """Seconds between two reads."""
        return float(self.spec.polling_interval or DEFAULT_POLLING_INTERVAL_SECONDS)
