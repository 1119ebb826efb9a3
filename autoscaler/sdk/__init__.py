"""What a scaler may import, and nothing else of the service."""

from autoscaler.core.model import MetricSource, MetricSpec, PodSample, Reading, TargetType
from autoscaler.errors import (
    FOREIGN_TEXT_LIMIT,
    MetricError,
    MetricMalformed,
    MetricRejected,
    MetricUnavailable,
    TriggerConfigError,
    shorten,
)
from autoscaler.runtime.clock import Clock
from autoscaler.sdk.config import (
    AUTH,
    ENV,
    METADATA,
    Param,
    ParameterDescription,
    Problem,
    Seconds,
    TriggerConfig,
)
from autoscaler.sdk.scaler import (
    Answer,
    ClusterPod,
    ClusterReader,
    PushScaler,
    Scaler,
    Source,
    SourceContext,
    TriggerContext,
    metric_name,
)

__all__ = [
    "AUTH",
    "ENV",
    "FOREIGN_TEXT_LIMIT",
    "METADATA",
    "Answer",
    "Clock",
    "ClusterPod",
    "ClusterReader",
    "MetricError",
    "MetricMalformed",
    "MetricRejected",
    "MetricSource",
    "MetricSpec",
    "MetricUnavailable",
    "Param",
    "ParameterDescription",
    "PodSample",
    "Problem",
    "PushScaler",
    "Reading",
    "Scaler",
    "Seconds",
    "Source",
    "SourceContext",
    "TargetType",
    "TriggerConfig",
    "TriggerConfigError",
    "TriggerContext",
    "metric_name",
    "shorten",
]
