"""The values every decision is made of: policy, memory, observation, decision.

All are frozen msgspec structs: cheap to build (a decision must cost microseconds), comparable, and
``Memory`` serialises as it is. Units: instants ``_at`` are epoch seconds (float), except inside
``Memory``, where histories hold integer milliseconds (``_at_ms``) so that window edges are exact;
durations end in ``_seconds``; metric amounts end in ``_milli`` (integer thousandths, as the HPA
computes); replicas are plain integers.

What is made anew with every decision is ``gc=False``: frozen values hold only older ones, so they
form no cycles, and a garbage collector that looked at a thousand objects' histories would stop
everything for a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from autoscaler.core.formula import Formula

MEMORY_VERSION: Final = 1
INT32_MAX: Final = 2**31 - 1


class TargetType(StrEnum):
    """How a metric value relates to its target (``autoscaling/v2`` names)."""

    AVERAGE_VALUE = "AverageValue"
    VALUE = "Value"
    UTILIZATION = "Utilization"


class MetricSource(StrEnum):
    """Where a metric comes from (``autoscaling/v2`` names)."""

    EXTERNAL = "External"
    OBJECT = "Object"
    PODS = "Pods"
    RESOURCE = "Resource"
    CONTAINER_RESOURCE = "ContainerResource"


class Activation(StrEnum):
    """Who takes a workload from zero, and how far."""

    DIRECT = "direct"
    """Straight to the replicas the metrics ask for, at least max(1, min)."""
    MINIMUM = "minimum"
    """As KEDA: to max(1, min); the metrics take over on the next decision."""
    HPA = "hpa"
    """As a bare HPA: no activation stage; zero obeys ``HpaSettings.scale_to_zero``."""


class FallbackBehavior(StrEnum):
    """Which replica count stands in for a metric that keeps failing (KEDA names)."""

    STATIC = "static"
    CURRENT_REPLICAS = "currentReplicas"
    CURRENT_REPLICAS_IF_HIGHER = "currentReplicasIfHigher"
    CURRENT_REPLICAS_IF_LOWER = "currentReplicasIfLower"
    SCALING_MODIFIERS = "scalingModifiers"


class SelectPolicy(StrEnum):
    """Which of several scaling policies counts."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class PolicyType(StrEnum):
    """Unit of a scaling policy's value."""

    PODS = "Pods"
    PERCENT = "Percent"


class MetricSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One metric and its target, as a scaler declares it.

    Attributes:
        name: Unique within the object, ``s<trigger index>-…``.
        target_milli: Target in thousandths; whole percent for ``Utilization``. > 0, or 0 when the
            metric only feeds a formula.
        activation_value: The trigger is active when value > this (strict), unless the reading
            carries its own verdict.
        resource: ``cpu`` or ``memory`` for (Container)Resource metrics, else None.
        container: Container name for ContainerResource metrics, else None.
        description: HPA wording for reason texts; empty = derived from the name.
    """

    name: str
    source: MetricSource = MetricSource.EXTERNAL
    target_type: TargetType = TargetType.AVERAGE_VALUE
    target_milli: int = 0
    activation_value: float = 0.0
    resource: str | None = None
    container: str | None = None
    description: str = ""


class Ewma(msgspec.Struct, frozen=True, kw_only=True, tag="ewma"):
    """Exponentially weighted moving average; a weight halves every ``half_life_seconds``."""

    half_life_seconds: float


class Median(msgspec.Struct, frozen=True, kw_only=True, tag="median"):
    """Median of the last ``samples`` values (odd counts give an observed value)."""

    samples: int


class MetricPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A metric with what its trigger says about it.

    Attributes:
        trigger: User-given trigger name (formulas use it), may be empty.
        trigger_index: Position in ``spec.triggers``.
        trigger_type: ``prometheus``, ``redis``, …
        freshness_seconds: A reading older than this is an error; None = any age.
        smoothing: Applied to the value before it is used, or None.
    """

    spec: MetricSpec
    trigger: str = ""
    trigger_index: int = 0
    trigger_type: str = ""
    freshness_seconds: float | None = None
    smoothing: Ewma | Median | None = None


class ScalingPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """At most ``value`` pods or percent of change per ``period_seconds`` (1..1800)."""

    type: PolicyType
    value: int
    period_seconds: int


class ScalingRules(msgspec.Struct, frozen=True, kw_only=True):
    """Behavior in one direction, API defaults already applied.

    Attributes:
        stabilization_window_seconds: None (scale down only) = the controller-wide window.
        tolerance: Ratio >= 0, None = the controller-wide tolerance.
    """

    policies: tuple[ScalingPolicy, ...]
    select_policy: SelectPolicy = SelectPolicy.MAX
    stabilization_window_seconds: int | None = None
    tolerance: float | None = None


class Behavior(msgspec.Struct, frozen=True, kw_only=True):
    """``autoscaling/v2`` behavior with defaults applied in both directions."""

    scale_up: ScalingRules
    scale_down: ScalingRules


class Fallback(msgspec.Struct, frozen=True, kw_only=True):
    """Replicas to assume for a metric after more than ``failure_threshold`` failures in a row."""

    failure_threshold: int
    replicas: int
    behavior: FallbackBehavior = FallbackBehavior.STATIC


class Modifiers(msgspec.Struct, frozen=True, kw_only=True):
    """A formula over trigger values that replaces their individual targets."""

    formula: Formula
    target_milli: int
    target: float
    activation_target: float = 0.0
    metric_type: TargetType = TargetType.AVERAGE_VALUE


class HpaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Controller-wide settings of the HPA algorithm (kube-controller-manager flags).

    Attributes:
        sync_period_seconds: Metrics are acted on at most once in this time; 0 = on every decision.
        default_scale_up_limit: Without behavior, scale up at most to max(2 x current, 4) per
            decision, as the HPA does. False jumps straight to the needed count.
        scale_to_zero: The ``HPAScaleToZero`` gate; only read with ``Activation.HPA``.
        configurable_tolerance: The ``HPAConfigurableTolerance`` gate.
    """

    tolerance: float = 0.1
    downscale_stabilization_seconds: float = 300.0
    cpu_initialization_period_seconds: float = 300.0
    initial_readiness_delay_seconds: float = 30.0
    sync_period_seconds: float = 0.0
    default_scale_up_limit: bool = True
    scale_to_zero: bool = False
    configurable_tolerance: bool = True


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """What the pause annotations ask for.

    Attributes:
        paused: Nothing is scaled (but histories go on).
        replicas: Go to this count and stay; implies ``paused``.
        scale_in: No scaling down.
        scale_out: No scaling up.
    """

    paused: bool = False
    replicas: int | None = None
    scale_in: bool = False
    scale_out: bool = False


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a user decided about one scale target; built once per object generation.

    Attributes:
        key: ``namespace/name`` of the scaling object, for messages.
        scale_target: ``apps/v1.Deployment namespace/name`` of the target, for messages.
        min_replicas: ``minReplicaCount``, >= 0.
        max_replicas: ``maxReplicaCount``, >= min.
        idle_replicas: Replicas while nothing is active, < min; None = min (or zero when min is 0).
        metrics: In trigger order; names unique.
        created_at: Creation of the object, epoch seconds (initial cooldown counts from it).
        zero_follows_behavior: The step to zero or idle obeys ``behavior.scale_down`` too.
        shadow: Decide and record, never write.
    """

    key: str = ""
    scale_target: str = ""
    min_replicas: int = 0
    max_replicas: int = 100
    idle_replicas: int | None = None
    metrics: tuple[MetricPolicy, ...] = ()
    modifiers: Modifiers | None = None
    fallback: Fallback | None = None
    behavior: Behavior | None = None
    cooldown_seconds: float = 300.0
    initial_cooldown_seconds: float = 0.0
    created_at: float = 0.0
    activation: Activation = Activation.DIRECT
    zero_follows_behavior: bool = True
    pause: Pause = Pause()
    force_activation: bool = False
    shadow: bool = False
    hpa: HpaSettings = HpaSettings()


class PodSample(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One pod's metric sample.

    Attributes:
        value_milli: Sum over the containers that count.
        sampled_at: End of the window the sample covers, epoch seconds.
        window_seconds: Length of that window.
    """

    pod: str
    value_milli: int
    sampled_at: float = 0.0
    window_seconds: float = 60.0


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """A container's resource requests, ``{"cpu": milli, "memory": milli}``."""

    name: str
    requests_milli: Mapping[str, int]
    is_sidecar: bool = False
    """A restartable init container."""
    is_init: bool = False
    """A plain init container."""


class Pod(msgspec.Struct, frozen=True, kw_only=True):
    """What the HPA's readiness rules need of a pod.

    Attributes:
        ready: Status of the Ready condition, ``True``, ``False``, ``Unknown``; None = none.
        requests_milli: Pod-level requests, or None when the pod has none.
    """

    name: str
    phase: str = "Running"
    ready: str | None = "True"
    ready_changed_at: float | None = None
    started_at: float | None = None
    is_terminating: bool = False
    containers: tuple[Container, ...] = ()
    requests_milli: Mapping[str, int] | None = None


class Reading(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One attempt to read one metric: a value or an error, never both.

    Attributes:
        sampled_at: When the source was asked (or says the value was true), epoch seconds. Two
            readings with the same ``sampled_at`` are the same reading.
        value: The value as the source gave it, finite; None on error and for pod metrics.
        values_milli: What the HPA arithmetic sums; usually one element.
        active: The scaler's own verdict; None = compare ``value`` with the activation value.
        samples: Per-pod samples for Pods and (Container)Resource metrics.
        error: What went wrong, for people; None = the reading is good.
        error_reason: CamelCase, e.g. ``MetricUnavailable``.
    """

    metric: str
    sampled_at: float
    value: float | None = None
    values_milli: tuple[int, ...] = ()
    active: bool | None = None
    samples: tuple[PodSample, ...] = ()
    error: str | None = None
    error_reason: str = ""

    @classmethod
    def of(
        cls, metric: str, value: float, sampled_at: float, *, active: bool | None = None
    ) -> Reading:
        """Build a good reading; thousandths are truncated toward zero as KEDA does.

        Args:
            metric: Metric name.
            value: Finite; the caller turns NaN and infinities into errors.
            sampled_at: Epoch seconds.
            active: The scaler's own verdict, None = by activation value.
        """
        return cls(
            metric=metric,
            sampled_at=sampled_at,
            value=value,
            values_milli=(int(value * 1000),),
            active=active,
        )

    @classmethod
    def failed(cls, metric: str, error: str, sampled_at: float, *, reason: str = "") -> Reading:
        """Build an error reading."""
        return cls(
            metric=metric, sampled_at=sampled_at, error=error, error_reason=reason or "MetricError"
        )


class Observation(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Everything known at one instant.

    Attributes:
        at: Now, epoch seconds.
        spec_replicas: ``scale.spec.replicas``.
        status_replicas: ``scale.status.replicas``.
        scale_error: The scale subresource could not be read; nothing is decided.
        selector_error: ``(reason, message)`` when the pod selector is missing, unparsable or
            ambiguous; metrics cannot be acted on.
        ready_pods: Pods with phase Running and Ready=True, terminating ones included.
        total_pods: Pods matching the selector.
        pods: Pods in detail; only needed for Pods and (Container)Resource metrics.
        pods_error: Why nothing is known of the pods: metrics that involve them fail, others do
            not.
        readings: By metric name; a missing entry is a metric never read yet.
    """

    at: float
    spec_replicas: int
    status_replicas: int
    readings: Mapping[str, Reading]
    ready_pods: int = 0
    total_pods: int = 0
    pods: tuple[Pod, ...] = ()
    pods_error: str | None = None
    scale_error: str | None = None
    selector_error: tuple[str, str] | None = None


class Proposal(msgspec.Struct, frozen=True, gc=False):
    """One metric's replica proposal, or why there is none.

    Attributes:
        replicas: None on error.
        description: HPA wording, e.g. ``external metric s0-redis-jobs(nil)``.
        current_milli: The value as the HPA would report it; None when it has none.
        current_utilization: Whole percent, for Utilization targets.
        error_reason: HPA condition reason, e.g. ``FailedGetExternalMetric``.
    """

    metric: str
    replicas: int | None
    description: str = ""
    current_milli: int | None = None
    current_utilization: int | None = None
    error: str = ""
    error_reason: str = ""


class Step(msgspec.Struct, frozen=True, gc=False):
    """What one stage received and made of it.

    ``text`` may hold ``{0}``-style fields that ``args`` fills; it is rendered only when somebody
    asks, so that a steady state costs nothing.
    """

    stage: str
    before: int | None
    after: int | None
    code: str
    text: str = ""
    args: tuple[object, ...] = ()

    def render(self) -> str:
        """Return the sentence."""
        return self.text.format(*self.args) if self.args else self.text


class Condition(msgspec.Struct, frozen=True, gc=False):
    """A condition of the object's status: ``status`` is ``True``, ``False`` or ``Unknown``."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


class DecisionEvent(msgspec.Struct, frozen=True, gc=False):
    """A Kubernetes event the decision calls for; ``type`` is ``Normal`` or ``Warning``."""

    type: str
    reason: str
    message: str


class Decision(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What should be, and why.

    Attributes:
        desired_replicas: Equals ``current_replicas`` when nothing is to be done.
        proposals: Per metric, in policy order; empty when metrics were not consulted.
        steps: The derivation, in order.
        conditions: HPA and KEDA conditions after this decision (sticky ones carried over).
        events: Due if the decision is applied; failures of metrics included.
        is_active: Whether any trigger is active (or activation is forced).
        active_triggers: Names of active metrics.
        rescale_reason: HPA wording (``… above target``), empty when it gives none.
        requeue_after_seconds: Decide again then even if nothing changes; None = no need.
    """

    at: float
    current_replicas: int
    desired_replicas: int
    proposals: tuple[Proposal, ...] = ()
    steps: tuple[Step, ...] = ()
    conditions: tuple[Condition, ...] = ()
    events: tuple[DecisionEvent, ...] = ()
    is_active: bool = False
    active_triggers: tuple[str, ...] = ()
    rescale_reason: str = ""
    requeue_after_seconds: float | None = None

    @property
    def is_rescale(self) -> bool:
        """Whether the scale subresource has to be written."""
        return self.desired_replicas != self.current_replicas

    @property
    def is_lowering(self) -> bool:
        """Whether there should be fewer replicas."""
        return self.desired_replicas < self.current_replicas


class Recommendation(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A raw (un-stabilised) merged proposal."""

    at_ms: int
    replicas: int


class ScaleEvent(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A performed rescale: absolute change; ``outdated`` marks a slot that may be reused."""

    at_ms: int
    change: int
    outdated: bool = False


class Health(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Failed reads in a row of one metric, and which reading was counted last."""

    failures: int = 0
    counted_at_ms: int = 0


class SmoothingState(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Recent values (median) or the running average (one element), newest reading last."""

    sampled_at_ms: int
    values: tuple[float, ...]


class Memory(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What the next decision needs from the past; bounded and serialisable.

    Attributes:
        recommendations: In the HPA's storage order; empty = first decision.
        last_active_at: When a trigger was last active, epoch seconds; None = never seen.
        last_sync_at: When metrics were last acted on (``HpaSettings.sync_period_seconds``).
        last_scale_at: Last performed rescale.
        desired_replicas: HPA ``status.desiredReplicas`` (kept on failures).
        conditions: Sticky conditions in order of first appearance.
        health: By metric name.
        smoothing: By metric name.
        scale_target: What the histories are about; equal for one target only. Empty = not known.
    """

    version: int = MEMORY_VERSION
    recommendations: tuple[Recommendation, ...] = ()
    scale_ups: tuple[ScaleEvent, ...] = ()
    scale_downs: tuple[ScaleEvent, ...] = ()
    last_active_at: float | None = None
    last_sync_at: float | None = None
    last_scale_at: float | None = None
    desired_replicas: int | None = None
    conditions: tuple[Condition, ...] = ()
    health: Mapping[str, Health] = msgspec.field(default_factory=dict)
    smoothing: Mapping[str, SmoothingState] = msgspec.field(default_factory=dict)
    scale_target: str = ""
